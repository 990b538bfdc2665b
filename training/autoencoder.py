"""Trains Gesso's autoencoder: 8x smaller, 16 channels, on drawn pictures alone.

    python -m training.autoencoder --pictures DIR --run DIR --minutes 25

It resumes from its own checkpoint, and ends with `RUN/vae`, a `diffusers` folder whose latents have zero mean and
unit variance a channel (so `scaling_factor` is 1).
"""

from __future__ import annotations

import argparse
import copy
import math
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from diffusers import AutoencoderTiny
from numpy.typing import NDArray
from skimage import data
from skimage.color import deltaE_ciede2000, rgb2lab
from torch import Tensor, nn
from torch.nn import functional as F

from training.hardware import autocast, compiled
from training.quick import quick_picture
from training.team import SAVE, STOP, WORKERS, Member, Shared, start_team

LATENT_CHANNELS = 16
CROP_PX = 96
BATCH = 8
LEARNING_RATE = 1e-3
EMA_DECAY = 0.998
LATENT_NOISE = 0.08  # the most; drawn per picture. It keeps the decoder calm when the UNet's estimate is a bit off.
STATISTICS_STEPS = (
    400  # from here on the latents' mean and deviation stay fixed: a batch's own would blur colour
)


def new_autoencoder() -> AutoencoderTiny:
    """An untrained `AutoencoderTiny`: 32 + 51 GFLOP at 512², 1.6 M parameters."""
    return AutoencoderTiny(
        latent_channels=LATENT_CHANNELS,
        num_encoder_blocks=(0, 1, 2, 3),
        num_decoder_blocks=(3, 2, 1, 0),
        encoder_block_out_channels=(64, 64, 64, 64),
        decoder_block_out_channels=(64, 64, 64, 64),
        scaling_factor=1.0,
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
        pixels = torch.from_numpy(out).permute(0, 3, 1, 2).float()
        return (pixels / 127.5 - 1).contiguous(memory_format=torch.channels_last)


class Normalised(nn.Module):
    """The autoencoder with its latents held at mean 0 and variance 1 a channel while it learns."""

    def __init__(self) -> None:
        super().__init__()
        self.vae = new_autoencoder()
        self.norm = nn.BatchNorm2d(LATENT_CHANNELS, affine=False, momentum=0.02)

    def forward(self, pixels: Tensor) -> Tensor:
        """The round trip, -1...1."""
        with autocast():
            raw = self.vae.encoder(pixels)
        z = self.norm(raw.float())
        noise = torch.rand(z.shape[0], 1, 1, 1) * LATENT_NOISE
        z = z + noise * torch.randn_like(z)
        with autocast():
            return self.vae.decoder(z)


def picture_loss(made: Tensor, wanted: Tensor) -> Tensor:
    """L1 and squares of the pixels, L1 of their gradients, and of the picture shrunk by 4 (colour)."""
    made = made.float()
    error = made - wanted
    gradient = error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()
    return error.abs().mean() + 4 * error.square().mean() + 0.5 * gradient + 0.5 * F.avg_pool2d(error, 4).abs().mean()


def folded(model: Normalised, mean: Tensor, deviation: Tensor) -> AutoencoderTiny:
    """A copy whose encoder's last convolution gives normalised latents; the decoder already expects them."""
    vae = copy.deepcopy(model.vae)
    last = vae.encoder.layers[-1]
    with torch.no_grad():
        last.weight.div_(deviation[:, None, None, None])
        last.bias.sub_(mean).div_(deviation)
    return vae.eval()


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


def matrices(model: nn.Module) -> list[bool]:
    """Which parameters Muon steps: the square convolutions."""
    return [p.dim() == 4 and min(p.shape[:2]) == 64 for p in model.parameters()]


def begin_from(released: Path, run: Path) -> None:
    """Writes a first checkpoint from a released autoencoder, whose latents are normalised already."""
    model = Normalised()
    model.vae.load_state_dict(AutoencoderTiny.from_pretrained(released / "vae").state_dict())
    state = model.state_dict()
    save_checkpoint(
        run / "autoencoder.pt",
        {"model": state, "mean": state, "step": STATISTICS_STEPS, "spent": 0.0},
    )


def train(folder: Path, run: Path, minutes: float, released: Path | None) -> None:
    """Trains until `minutes` in all (resumed ones included) have passed, then writes `run/vae`."""
    run.mkdir(parents=True, exist_ok=True)
    model = Normalised()
    if released and not (run / "autoencoder.pt").exists():
        begin_from(released, run)
    if (run / "autoencoder.pt").exists():
        model.load_state_dict(torch.load(run / "autoencoder.pt")["model"])
    start_team(work, list(model.parameters()), folder, run, minutes)
    freeze(run, Pictures(folder, quick=60))


def work(rank: int, shared: Shared, folder: Path, run: Path, minutes: float) -> None:
    """One worker: its half of each batch, from pictures of its own."""
    rng = np.random.default_rng(time.time_ns() + rank)
    torch.manual_seed(rank)
    pictures = Pictures(folder, quick=80, seed=rank)
    model = Normalised().to(memory_format=torch.channels_last)
    mean_model, path = copy.deepcopy(model), run / "autoencoder.pt"
    member = Member(
        rank, shared, list(model.parameters()), matrices(model), lr=LEARNING_RATE, decay=EMA_DECAY
    )
    member.resume_optimizer(run / f"autoencoder-optimizer-{rank}.pt")
    step, spent = 0, 0.0
    if path.exists():
        saved = torch.load(path)
        step, spent = saved["step"], saved["spent"]
        model.norm.load_state_dict(
            {k[5:]: v for k, v in saved["mean"].items() if k.startswith("norm.")}
        )
        if rank == 0:
            with torch.no_grad():
                torch._foreach_copy_(
                    member.mean, [saved["mean"][name] for name, _ in model.named_parameters()]
                )
    step_model = compiled(model)
    last, saved_at, losses = None, spent, []
    while True:
        if step % 50 == 0:
            pictures.refresh(folder.resolve())
        model.norm.train(step < STATISTICS_STEPS)
        wanted = pictures.crops(rng, BATCH // WORKERS, CROP_PX)
        loss = picture_loss(step_model(wanted), wanted)
        loss.backward()
        losses.append(loss.item())
        if rank == 0:
            now = time.monotonic()
            spent, last = spent + now - (last or now), now
            left = 1 - spent / (minutes * 60)
            rate = (
                LEARNING_RATE
                * min(1, (step + 1) / 200)
                * (0.02 + 0.98 * min(1, max(0, left) / 0.5))
            )
            save = spent - saved_at > 180 or left <= 0
            shared.orders.copy_(torch.tensor([rate, left <= 0, save, spent, step]))
        orders = member.update()
        step += 1
        if rank == 0 and step % 50 == 0:
            print(
                f"step {step} {spent:.0f} s loss {np.mean(losses[-50:]):.4f} rate {rate:.2e} drawn {len(pictures.drawn)}",
                flush=True,
            )
        if orders[SAVE]:
            saved_at = spent
            member.save_optimizer(run / f"autoencoder-optimizer-{rank}.pt")
            if rank == 0:
                mean_model.load_state_dict(model.state_dict())
                with torch.no_grad():
                    torch._foreach_copy_(list(mean_model.parameters()), member.mean)
                state = {
                    "model": model.state_dict(),
                    "mean": mean_model.state_dict(),
                    "step": step,
                    "spent": spent,
                }
                save_checkpoint(path, state)
                print(figures_line(judge(folded(mean_model, *statistics(mean_model)))), flush=True)
        if orders[STOP]:
            return


def statistics(model: Normalised) -> tuple[Tensor, Tensor]:
    """The running mean and deviation of the latents."""
    return model.norm.running_mean, model.norm.running_var.sqrt()


def figures_line(figures: dict[str, tuple[float, float]]) -> str:
    """The figures of `judge`, to read."""
    return "  ".join(
        f"{name} {psnr:.2f} dB dE {error:.2f}" for name, (psnr, error) in figures.items()
    )


@torch.no_grad()
def freeze(run: Path, pictures: Pictures) -> None:
    """Writes `run/vae`, never to change again, and prints how the latents of drawn pictures are spread."""
    model = Normalised()
    model.load_state_dict(torch.load(run / "autoencoder.pt")["mean"])
    rng = np.random.default_rng(1)
    for _ in range(3):
        pictures.refresh(pictures.folder.resolve())
    raw = torch.cat([model.vae.encoder(pictures.crops(rng, 16, 192)) for _ in range(20)])
    mean, deviation = statistics(model)
    vae = folded(model, mean, deviation)
    z = (raw - mean[:, None, None]) / deviation[:, None, None]
    print(
        "means", z.mean((0, 2, 3)), "deviations", z.std((0, 2, 3)), "most", z.abs().amax((0, 2, 3))
    )
    vae.save_pretrained(run / "vae")
    print(figures_line(judge(vae)), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=25)
    parser.add_argument("--begin-from", type=Path, help="a released folder to improve")
    options = parser.parse_args()
    train(options.pictures, options.run, options.minutes, options.begin_from)
