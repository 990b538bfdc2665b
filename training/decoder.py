"""Trains the autoencoder's decoder; the encoder is what it is, so latents that were cached stay valid.

python -m training.decoder --pictures DIR --run DIR --minutes 8
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny
from torch import nn

from training.autoencoder import CROP_PX, Pictures, figures_line, judge, picture_loss
from training.hardware import autocast, compiled
from training.team import STOP, WORKERS, Member, Shared, start_team

BATCH = 8
LEARNING_RATE = 5e-4
LATENT_NOISE = 0.08  # the most; drawn per picture. It keeps the decoder calm when the UNet's estimate is a bit off.
EMA_DECAY = 0.995


def train(pictures: Path, run: Path, minutes: float) -> None:
    """Replaces `run/vae`'s decoder by a better one, if it is better."""
    vae = AutoencoderTiny.from_pretrained(run / "vae")
    print("before:", figures_line(judge(vae.eval())), flush=True)
    start_team(work, list(vae.decoder.parameters()), pictures, run, minutes)


def work(rank: int, shared: Shared, folder: Path, run: Path, minutes: float) -> None:
    """One worker: its half of each batch."""
    rng = np.random.default_rng(time.time_ns() + rank)
    torch.manual_seed(time.time_ns() + rank)
    pictures = Pictures(folder, quick=60, seed=10 + rank)
    vae = AutoencoderTiny.from_pretrained(run / "vae").to(memory_format=torch.channels_last)
    live = list(vae.decoder.parameters())
    member = Member(rank, shared, live, matrices(vae.decoder), lr=LEARNING_RATE, decay=EMA_DECAY)
    encode, decode = compiled(vae.encoder), compiled(vae.decoder)
    noise = LATENT_NOISE / vae.config.scaling_factor
    start, step, losses = None, 0, []
    while True:
        if step % 50 == 0:
            pictures.refresh(Path(os.path.realpath(folder)))
        wanted = pictures.crops(rng, BATCH // WORKERS, CROP_PX)
        with autocast():
            with torch.no_grad():
                z = encode(wanted).float()
                z = z + torch.rand(len(z), 1, 1, 1) * noise * torch.randn_like(z)
            made = decode(z)
        loss = picture_loss(made, wanted)
        loss.backward()
        losses.append(loss.item())
        if rank == 0:
            start = start or time.monotonic()
            left = 1 - (time.monotonic() - start) / (minutes * 60)
            rate = LEARNING_RATE * min(1, (step + 1) / 50) * max(0.01, left)
            shared.orders.copy_(torch.tensor([rate, left <= 0, 0, 0, step]))
        orders = member.update()
        step += 1
        if rank == 0 and step % 50 == 0:
            print(f"step {step} loss {np.mean(losses[-50:]):.4f}", flush=True)
        if orders[STOP]:
            break
    if rank == 0:
        finish(vae, member, run)


def matrices(model: nn.Module) -> list[bool]:
    """Which parameters Muon steps: the square convolutions."""
    return [p.dim() == 4 and min(p.shape[:2]) == 64 for p in model.parameters()]


def finish(vae: AutoencoderTiny, member: Member, run: Path) -> None:
    """Writes the autoencoder with the running mean of the decoder."""
    with torch.no_grad():
        torch._foreach_copy_(member.live, member.mean)
    vae = vae.to(memory_format=torch.contiguous_format).eval()
    print("after:", figures_line(judge(vae)), flush=True)
    vae.save_pretrained(run / "vae")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=8)
    options = parser.parse_args()
    train(options.pictures, options.run, options.minutes)
