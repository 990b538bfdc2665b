"""Where Gesso's autoencoder begins: a linear one, found in a few minutes.

Its encoder is the projection of 8x8 patches onto their first principal components, a chain of strided convolutions
without an activation, and stays so for good: a mixture of latents is a mixture of pictures, twice the light is twice the
latent, and nothing that was encoded is ever out of date. A linear decoder of the network's own shape is trained first.
The network then starts with that function and goes on to learn what a linear one can't (`decoder.py`): a rectifier
passes a signed signal as two channels, its positive and its negative part.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from diffusers import AutoencoderTiny
from torch import Tensor, nn
from torch.nn import functional as F

from training.muon import Muon

LATENT_CHANNELS = 32
WIDTH = 64
PEAK_RATE = 3e-3
SIGNALS = WIDTH // 2  # signed ones, as pairs of channels that are never negative
PATCH_PX = 8
HALF_WHITE = 0.25  # a channel's deviation is its pixel energy to this power: .5 would be as in the picture, 0 white


def up(x: Tensor) -> Tensor:
    """Twice the size, nearest neighbour, as `AutoencoderTiny` does."""
    return F.interpolate(x, scale_factor=2, mode="nearest")


class LinearAutoencoder(nn.Module):
    """The encoder as released and a decoder of half the channels, both without any activation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(3, WIDTH, 3, padding=1),
            *(nn.Conv2d(WIDTH, WIDTH, 3, stride=2, padding=1, bias=False) for _ in range(3)),
            nn.Conv2d(WIDTH, channels, 3, padding=1),
        )
        self.decoder = nn.ModuleList(
            [
                nn.Conv2d(channels, SIGNALS, 3, padding=1),
                *(nn.Conv2d(SIGNALS, SIGNALS, 3, padding=1, bias=False) for _ in range(3)),
                nn.Conv2d(SIGNALS, 3, 3, padding=1),
            ]
        )

    def decode(self, z: Tensor) -> Tensor:
        """Pixels, -1...1, of latents."""
        first, quarter, half, whole, last = self.decoder
        return last(whole(up(half(up(quarter(up(first(z)))))))).mul(2).sub(1)

    def encode(self, pixels: Tensor) -> Tensor:
        """Latents of pixels, -1...1; `AutoencoderTiny` too computes with 0...1 inside."""
        return self.encoder(pixels.add(1).div(2))

    def forward(self, pixels: Tensor) -> Tensor:
        """The round trip."""
        return self.decode(self.encode(pixels))


@torch.no_grad()
def start_at_components(model: LinearAutoencoder, crops: Tensor) -> None:
    """Sets the encoder to the whitened principal components of 8x8 patches of `crops [n, 3, h, w]`."""
    first, *strided, last = model.encoder
    channels = last.out_channels
    patches = (
        F.unfold(crops.add(1).div(2), PATCH_PX, stride=PATCH_PX)
        .transpose(1, 2)
        .reshape(-1, 3 * PATCH_PX**2)
    )
    mean = patches.mean(0)
    energies, vectors = torch.linalg.eigh((patches - mean).T @ (patches - mean) / len(patches))
    energies, vectors = energies.flip(0)[:WIDTH], vectors.flip(1)[:, :WIDTH]
    for layer in model.encoder:
        layer.weight.mul_(0.02)  # what is not used yet may come to be
    nn.init.zeros_(first.bias)
    first.weight[:3] = 0
    first.weight[range(3), range(3), 1, 1] = 1
    held = 3
    for layer in strided[:2]:  # 3 -> 12 -> 48 channels: the pixels themselves, folded
        layer.weight[: held * 4] = 0
        for channel in range(held):
            for dy in range(2):
                for dx in range(2):
                    layer.weight[channel * 4 + 2 * dy + dx, channel, 1 + dy, 1 + dx] = 1
        held *= 4
    basis = vectors.T.reshape(
        WIDTH, 3, 2, 2, 2, 2, 2, 2
    )  # component, colour, y4, y2, y1, x4, x2, x1
    # The second folding numbered its channels ((colour, y1, x1), y2, x2).
    basis = basis.permute(0, 1, 4, 7, 3, 6, 2, 5).reshape(WIDTH, held, 2, 2)
    strided[2].weight[:, :held] = 0
    strided[2].weight[:, :held, 1:, 1:] = basis
    last.weight.zero_()
    scale = energies[:channels].sqrt()
    last.weight[range(channels), range(channels), 1, 1] = 1 / scale
    last.bias.copy_(-(vectors.T @ mean)[:channels] / scale)


def train_linear(model: LinearAutoencoder, draw: Callable[[int], Tensor], minutes: float) -> None:
    """Trains the decoder on the mean squared error of crops that `draw(count)` gives; the encoder stays."""
    start, step, losses, done = time.monotonic(), 0, [], 0.0
    matrices = [layer.weight for layer in model.decoder[:-1]]
    others = [*(p for p in model.decoder.parameters() if all(p is not m for m in matrices))]
    optimizer = Muon(matrices, others, PEAK_RATE, weight_decay=0)
    while done < 1:
        done = (time.monotonic() - start) / (60 * minutes)
        optimizer.set_rate(
            PEAK_RATE * min(1, (step + 1) / 50) * min(1, max(0.01, (1 - done) / 0.7))
        )
        wanted = draw(16)
        with torch.no_grad():
            z = model.encode(wanted)
        loss = F.mse_loss(model.decode(z), wanted)
        loss.backward()
        optimizer.step()
        model.zero_grad()
        losses.append(loss.item())
        step += 1
        if step % 100 == 0:
            print(f"step {step} loss {np.mean(losses[-100:]):.5f}", flush=True)


@torch.no_grad()
def half_whiten(model: LinearAutoencoder, crops: Tensor) -> Tensor:
    """Turns the latents to independent components, ordered by the energy that they carry in pixels.

    Uncorrelated over `crops`, mean 0, and of deviation `energy^HALF_WHITE`, whose mean square is 1. So coarse structure
    outlives fine texture when noise is added, as it does in a picture, though less steeply. Returns the deviations.
    """
    z = model.encode(crops)
    flat = z.transpose(0, 1).flatten(1).T
    mean = flat.mean(0)
    values, vectors = torch.linalg.eigh((flat - mean).T @ (flat - mean) / len(flat))
    whiten = vectors @ torch.diag(values.rsqrt()) @ vectors.T
    channels, side = z.shape[1], 9
    impulses = torch.zeros(channels, channels, side, side)
    impulses[range(channels), range(channels), side // 2, side // 2] = 1
    kernels = (model.decode(impulses) - model.decode(torch.zeros(1, channels, side, side))).flatten(
        1
    )
    colour = whiten.inverse()
    energies, turn = torch.linalg.eigh(colour.T @ (kernels @ kernels.T) @ colour)
    energies, turn = energies.flip(0), turn.flip(1)
    deviations = energies.clamp_min(energies[0] * 1e-6) ** HALF_WHITE
    deviations /= deviations.square().mean().sqrt()
    forward = torch.diag(deviations) @ turn.T @ whiten
    first, last = model.decoder[0], model.encoder[-1]
    last.weight.copy_(torch.einsum("ij,jkyx->ikyx", forward, last.weight))
    last.bias.copy_(forward @ (last.bias - mean))
    first.bias.add_(first.weight.sum((2, 3)) @ mean)
    first.weight.copy_(torch.einsum("ojyx,ji->oiyx", first.weight, forward.inverse()))
    return deviations


@torch.no_grad()
def fill_network(vae: AutoencoderTiny, model: LinearAutoencoder) -> None:
    """Gives `vae` the linear autoencoder's function: signed signals as pairs, residual branches that add nothing yet.

    `vae` clamps its latents with `3·tanh(x/3)`; its own are `scaling_factor` times smaller than the model's, so
    that the clamp is out of reach.
    """
    scale = vae.config.scaling_factor
    encoder = [layer for layer in vae.encoder.layers if isinstance(layer, nn.Conv2d)]
    for ours, theirs in zip(encoder, model.encoder, strict=True):
        ours.load_state_dict(theirs.state_dict())
    encoder[-1].weight.div_(scale)
    encoder[-1].bias.div_(scale)
    for block in (layer for layer in vae.decoder.layers if hasattr(layer, "fuse")):
        nn.init.zeros_(block.conv[-1].weight)
        nn.init.zeros_(block.conv[-1].bias)
    first, *middle, last = (layer for layer in vae.decoder.layers if isinstance(layer, nn.Conv2d))
    source = model.decoder[0]
    first.weight.copy_(torch.cat([source.weight, -source.weight]) * scale)
    first.bias.copy_(torch.cat([source.bias, -source.bias]))
    for ours, theirs in zip(middle, model.decoder[1:-1], strict=True):
        row = torch.cat([theirs.weight, -theirs.weight], 1)
        ours.weight.copy_(torch.cat([row, -row]))
    source = model.decoder[
        -1
    ]  # the pair after the last upsampling meets no rectifier: half of each
    last.weight.copy_(torch.cat([source.weight, -source.weight], 1) / 2)
    last.bias.copy_(source.bias)
