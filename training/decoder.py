"""Trains the autoencoder's decoder; the encoder is what it is, so latents that were cached stay valid.

python -m training.decoder --pictures DIR --run DIR --minutes 8

Where the run has a denoiser, half of each batch are latents as that leaves them: its estimates differ a little from
cell to cell, which a decoder that has only seen encoded pictures draws as a weave of 8 pixels.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import CLIPTokenizer

from training.autoencoder import (
    CROP_PX,
    Pictures,
    as_pictures,
    figures_line,
    judge,
    picture_loss,
)
from training.denoiser import LEAST_STRENGTH, TEXTURES, Networks, choose_task, paired_sample
from training.hardware import autocast, compiled
from training.latents import Scene
from training.pictures import Variant
from training.team import STOP, WORKERS, Member, Shared, start_team
from training.text import tokenize

BATCH = 8
LATEST_LEVELS = (0.03, 0.2)  # of the last estimates of a run
LEARNING_RATE = 5e-4
LATENT_NOISE = 0.08  # the most; drawn per picture. It keeps the decoder calm when the UNet's estimate is a bit off.
EMA_DECAY = 0.995


class Estimates:
    """Latents as the UNet leaves them at the end of a run, and the pictures that they stand for."""

    def __init__(self, pictures: Path, run: Path, *, shards: int = 3, seed: int = 0) -> None:
        self.rng, self.numbers = random.Random(seed), np.random.default_rng(seed)
        self.networks = Networks(run)
        with torch.no_grad():
            mean = torch.load(run / "denoiser.pt")["mean"]
            torch._foreach_copy_(self.networks.parameters, mean)
        self.networks.unet.to(memory_format=torch.channels_last).requires_grad_(requires_grad=False)
        self.tokenizer = CLIPTokenizer.from_pretrained(run / "tokenizer")
        paths = sorted(pictures.resolve().glob("*.npz"))
        self.scenes = [
            (pixels, entry)
            for path in self.rng.sample(paths, min(shards, len(paths)))
            for pixels, entry in scenes_of(path)
        ]

    @torch.no_grad()
    def draw(self, vae: AutoencoderTiny, count: int, crop_px: int) -> tuple[Tensor, Tensor]:
        """What the decoder gets, `[count, 32, h, w]`, and the pixels `[count, 3, crop, crop]` that it shall make."""
        sources, targets, words = [], [], []
        for _ in range(count):
            pixels, scene = self.rng.choice(self.scenes)
            task = choose_task(self.rng, scene, TEXTURES)
            y, x = self.numbers.integers(0, (pixels.shape[1] - crop_px) // 8 + 1, 2) * 8
            window = pixels[:, y : y + crop_px, x : x + crop_px]
            sources.append(window[task.source])
            targets.append(window[task.target])
            words.append(task.words)
        wanted = as_pictures(np.stack(targets))
        source, target = (
            vae.encoder(one).float() * vae.config.scaling_factor
            for one in (as_pictures(np.stack(sources)), wanted)
        )
        t = torch.from_numpy(self.numbers.uniform(*LATEST_LEVELS, count)).float()
        strength = torch.from_numpy(self.numbers.uniform(LEAST_STRENGTH, 0.99, count)).float()
        left = (t / (1 - t)) / (strength / (1 - strength))
        x = paired_sample(source, target, t, left.clamp(max=1), torch.randn_like(target))
        ids = tokenize(self.tokenizer, words)
        read = self.networks.text(input_ids=ids).last_hidden_state
        velocity = self.networks.unet(x, t * 1000, read, return_dict=False)[0]
        return (x - t[:, None, None, None] * velocity) / vae.config.scaling_factor, wanted


def scenes_of(path: Path) -> Iterator[tuple[NDArray[np.uint8], Scene]]:
    """The pictures `[variants, h, w, 3]` of each scene of a shard, and what they are."""
    shard = np.load(path)
    for pixels, entry in zip(shard["pixels"], json.loads(str(shard["meta"])), strict=True):
        variants = tuple(Variant(**variant) for variant in entry["variants"])
        yield pixels, Scene(torch.empty(len(variants)), variants, tuple(entry["words"]))


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
    estimates = Estimates(folder, run, seed=30 + rank) if (run / "denoiser.pt").exists() else None
    share = BATCH // WORKERS
    start, step, losses = None, 0, []
    while True:
        if step % 50 == 0:
            pictures.refresh(Path(os.path.realpath(folder)))
        wanted = pictures.crops(rng, share if estimates is None else share // 2, CROP_PX)
        with autocast():
            with torch.no_grad():
                z = encode(wanted).float()
                z = z + torch.rand(len(z), 1, 1, 1) * noise * torch.randn_like(z)
                if estimates is not None:
                    left, meant = estimates.draw(vae, share - len(z), CROP_PX)
                    z, wanted = torch.cat([z, left]), torch.cat([wanted, meant])
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
