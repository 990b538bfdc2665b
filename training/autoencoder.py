"""Makes Gesso's autoencoder: 8x smaller, 32 channels, its encoder linear and final within minutes.

    python -m training.autoencoder --pictures DIR --run DIR --minutes 3

It ends with `RUN/vae`, a `diffusers` folder. The encoder is the principal components of 8x8 patches (`linear.py`) and is
never trained again, so latents may be cached and the denoiser may begin at once; `decoder.py` makes the decoder good.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import cv2
import numpy as np
import torch
from diffusers import AutoencoderTiny
from numpy.typing import NDArray
from skimage import data
from skimage.color import deltaE_ciede2000, rgb2lab
from torch import Tensor
from torch.nn import functional as F

from training.cielab import difference
from training.linear import (
    LATENT_CHANNELS,
    LinearAutoencoder,
    fill_network,
    half_whiten,
    start_at_components,
    train_linear,
)
from training.quick import quick_picture

CROP_PX = 96
SEEN_WEIGHT = 0.04  # of a step of CIEDE2000
SCALING = 10.0  # the network's own latents are so much smaller than the denoiser's


def new_autoencoder() -> AutoencoderTiny:
    """An untrained `AutoencoderTiny`: 7 + 51 GFLOP at 512², .9 M parameters."""
    return AutoencoderTiny(
        latent_channels=LATENT_CHANNELS,
        num_encoder_blocks=(0, 0, 0, 0),
        num_decoder_blocks=(3, 2, 1, 0),
        encoder_block_out_channels=(64, 64, 64, 64),
        decoder_block_out_channels=(64, 64, 64, 64),
        scaling_factor=SCALING,
    )


class Pictures:
    """The pictures to crop from: quick ones made here, and the newest shards of a folder."""

    def __init__(self, folder: Path, *, quick: int, shards: int = 5, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.folder, self.most_shards = folder, shards
        self.quick = np.stack([quick_picture(rng) for _ in range(quick)])
        self.drawn: dict[Path, NDArray[np.uint8]] = {}

    def refresh(self, folder: Path | None = None) -> None:
        """Reads at most one shard that it has not, and forgets the oldest beyond its share of memory."""
        self.folder = folder or self.folder
        for path in sorted(
            self.folder.glob("*.npz"), key=lambda p: p.stat().st_mtime, reverse=True
        ):
            if path not in self.drawn:
                try:
                    self.drawn[path] = np.load(path)["pixels"].reshape(-1, 256, 256, 3)
                except (OSError, ValueError, KeyError):
                    continue
                while len(self.drawn) > self.most_shards:
                    del self.drawn[next(iter(self.drawn))]
                return

    def crops(self, rng: np.random.Generator, batch: int, crop_px: int) -> Tensor:
        """Random crops `[batch, 3, crop, crop]` in -1...1, some from shrunk pictures, some flipped."""
        out = np.empty((batch, crop_px, crop_px, 3), np.uint8)
        for row in range(batch):
            pool = self.quick
            if self.drawn and rng.random() < 0.6:
                pool = self.drawn[list(self.drawn)[rng.integers(len(self.drawn))]]
            picture = pool[rng.integers(len(pool))]
            if rng.random() < 0.4:
                side = int(rng.integers(crop_px, 256))
                picture = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
            y, x = rng.integers(0, picture.shape[0] - crop_px + 1, 2)
            picture = picture[y : y + crop_px, x : x + crop_px]
            out[row] = picture[:, ::-1] if rng.random() < 0.5 else picture
        return as_pictures(out)


def as_pictures(pixels: NDArray[np.uint8]) -> Tensor:
    """Pictures `[n, 3, h, w]` in -1...1 of `[n, h, w, 3]`, as convolutions like them."""
    planes = torch.from_numpy(pixels).permute(0, 3, 1, 2).float()
    return (planes / 127.5 - 1).contiguous(memory_format=torch.channels_last)


def picture_loss(made: Tensor, wanted: Tensor) -> Tensor:
    """L1 and squares of pixels, L1 of their gradients and of the picture shrunk by 4, and what the eye sees of it."""
    made = made.float()
    error = made - wanted
    gradient = error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()
    coarse = F.avg_pool2d(error, 4).abs().mean()
    pixels = error.abs().mean() + 4 * error.square().mean()
    seen = SEEN_WEIGHT * difference(made, wanted).mean()
    return pixels + 0.5 * gradient + 0.5 * coarse + seen


def photographs() -> dict[str, Tensor]:
    """Photographs `[1, 3, 512, 512]`, -1...1, for judging only: nothing here is ever trained on."""

    def square(picture: NDArray[np.uint8]) -> Tensor:
        side = min(picture.shape[:2])
        y, x = (picture.shape[0] - side) // 2, (picture.shape[1] - side) // 2
        picture = picture[y : y + side, x : x + side]
        way = cv2.INTER_AREA if side >= 512 else cv2.INTER_CUBIC
        picture = cv2.resize(picture, (512, 512), interpolation=way)
        return torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 127.5 - 1

    names = ("astronaut", "coffee", "chelsea", "rocket")
    return {name: square(getattr(data, name)()) for name in names}


@torch.no_grad()
def judge(vae: AutoencoderTiny) -> dict[str, tuple[float, float]]:
    """PSNR in dB and mean CIEDE2000 of the float32 round trip of each photograph."""
    figures = {}
    for name, pixels in photographs().items():
        made = vae.decode(vae.encode(pixels).latents).sample.clamp(-1, 1)
        psnr = -10 * math.log10(((made - pixels) / 2).square().mean().item())
        a, b = ((p[0].permute(1, 2, 0).numpy() + 1) / 2 for p in (made, pixels))
        figures[name] = (psnr, float(deltaE_ciede2000(rgb2lab(a), rgb2lab(b)).mean()))
    return figures


def save_checkpoint(path: Path, state: dict[str, object]) -> None:
    """Writes to a neighbour and renames, so that a kill leaves the last good file."""
    torch.save(state, path.with_suffix(".tmp"))
    path.with_suffix(".tmp").replace(path)


def figures_line(figures: dict[str, tuple[float, float]]) -> str:
    """The figures of `judge`, to read."""
    return "  ".join(
        f"{name} {psnr:.2f} dB dE {error:.2f}" for name, (psnr, error) in figures.items()
    )


def train(folder: Path, run: Path, minutes: float) -> None:
    """Writes `run/vae`, if it is not there yet."""
    if (run / "vae").exists():
        return
    torch.manual_seed(0)
    torch.set_flush_denormal(True)
    rng = np.random.default_rng(0)
    pictures = Pictures(folder, quick=80)
    for _ in range(pictures.most_shards):
        pictures.refresh()
    model = LinearAutoencoder(LATENT_CHANNELS).to(memory_format=torch.channels_last)
    start_at_components(model, pictures.crops(rng, 400, CROP_PX))
    train_linear(model, lambda count: pictures.crops(rng, count, CROP_PX), minutes)
    deviations = half_whiten(model, pictures.crops(rng, 64, 192))
    print("deviations", [round(one, 2) for one in deviations.tolist()])
    vae = new_autoencoder()
    fill_network(vae, model)
    print(figures_line(judge(vae.eval())), flush=True)
    vae.save_pretrained(run / "vae")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=3)
    options = parser.parse_args()
    train(options.pictures, options.run, options.minutes)
