"""Trains Gesso's denoiser on one GPU: the samples of `denoiser.py`, many times as many, always whole pictures.

    python -m training.gpu --pictures DIR --run DIR --minutes 20 --begin-from src/underpaint/models/gesso

All latents lie on the GPU; processes beside it choose tasks and write captions. It resumes from `RUN/denoiser.pt` and
leaves it there, as the other trainer does, so either may go on where the other stopped.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset
from transformers import CLIPTokenizer

from training.autoencoder import save_checkpoint
from training.denoiser import (
    EMA_DECAY,
    LEARNING_RATE,
    MUON_BOOST,
    PRACTICES,
    Batch,
    Practice,
    choose_task,
    draw_levels,
    learning_rate,
    noisy_batch,
    open_networks,
)
from training.latents import Scene, Scenes
from training.muon import Muon
from training.text import tokenize

BATCH, CHOOSERS = 1024, 8
SAVE_EVERY_S, TELL_EVERY = 120, 100


@dataclass(frozen=True, slots=True)
class Chosen:
    """A batch before it has pixels: rows of all latents `[n]`, token ids `[n, 48]`, levels and shares `[n]`."""

    sources: Tensor
    targets: Tensor
    tokens: Tensor
    levels: Tensor
    shares: Tensor


class Choices(IterableDataset[Chosen]):
    """Chooses batches without end; every process by its own seed."""

    def __init__(
        self, scenes: Sequence[Scene], tokenizer: CLIPTokenizer, batch: int, practice: Practice
    ) -> None:
        counts = [len(scene.variants) for scene in scenes]
        self.firsts = np.cumsum([0, *counts[:-1]]).tolist()
        self.scenes = [Scene(torch.empty(0), one.variants, one.words) for one in scenes]
        self.tokenizer, self.batch, self.practice = tokenizer, batch, practice

    def __iter__(self) -> Iterator[Chosen]:
        """Batches of this process."""
        seed = torch.initial_seed() % 2**32
        rng, numbers = random.Random(seed), np.random.default_rng(seed)
        while True:
            sources, targets, words = [], [], []
            for _ in range(self.batch):
                at = rng.randrange(len(self.scenes))
                task = choose_task(rng, self.scenes[at], self.practice)
                sources.append(self.firsts[at] + task.source)
                targets.append(self.firsts[at] + task.target)
                words.append(task.words)
            rows = torch.tensor([sources, targets])
            levels, shares = draw_levels(numbers, (rows[0] == rows[1]).numpy(), self.practice)
            yield Chosen(
                rows[0],
                rows[1],
                tokenize(self.tokenizer, words),
                torch.from_numpy(levels).float(),
                torch.from_numpy(shares).float(),
            )


def as_batch(chosen: Chosen, latents: Tensor) -> Batch:
    """The chosen rows of `latents [rows, 32, h, w]`, mixed and noised where they lie."""
    device = latents.device
    source, target = (latents[one.to(device)].float() for one in (chosen.sources, chosen.targets))
    t, share = chosen.levels.to(device), chosen.shares.to(device)
    return noisy_batch(source, target, t, share, chosen.tokens.to(device))


def encode_all(pictures: Path, run: Path) -> list[Scene]:
    """Every scene, encoded on the CPU; what was encoded before is read."""
    vae = AutoencoderTiny.from_pretrained(run / "vae")
    scenes = Scenes(pictures, run / "latents", vae)
    scenes.encode_missing(most=10**6, limit=10**6)
    scenes.load_cached()
    return scenes.scenes


class Trainer:
    """The UNet, its optimizer and its running mean on one device."""

    def __init__(
        self, run: Path, device: torch.device, released: Path | None, practice: Practice
    ) -> None:
        networks = open_networks(run, released, practice)
        self.run, self.device = run, device
        networks.unet.to(device, memory_format=torch.channels_last)
        networks.text.to(device)
        self.networks = networks
        self.weights = list(networks.unet.parameters())
        matrices = networks.matrices()
        self.optimizer = Muon(
            [w for w, is_matrix in zip(self.weights, matrices, strict=True) if is_matrix],
            [w for w, is_matrix in zip(self.weights, matrices, strict=True) if not is_matrix],
            LEARNING_RATE,
            boost=MUON_BOOST,
        )
        self.mean = [w.detach().clone() for w in self.weights]
        self.step, self.spent = 0, 0.0
        if (run / "denoiser.pt").exists():
            self.resume()
        on_gpu = device.type == "cuda"
        self.step_unet = torch.compile(networks.unet, dynamic=False) if on_gpu else networks.unet

    def resume(self) -> None:
        """Takes up the weights; the optimizer's state if this trainer left it."""
        saved = torch.load(self.run / "denoiser.pt", map_location=self.device)
        with torch.no_grad():
            torch._foreach_copy_(self.weights, saved["masters"])
            torch._foreach_copy_(self.mean, saved["mean"])
        self.step, self.spent = saved["step"], saved["spent"]
        if (path := self.run / "denoiser-optimizer-gpu.pt").exists():
            self.optimizer.load_states(torch.load(path, map_location=self.device))

    def save(self) -> None:
        """Writes what `resume` and `training.export` read."""
        torch.save(self.optimizer.states(), self.run / "denoiser-optimizer-gpu.pt")
        state = {
            "masters": [w.detach().cpu() for w in self.weights],
            "mean": [w.cpu() for w in self.mean],
            "step": self.step,
            "spent": self.spent,
        }
        save_checkpoint(self.run / "denoiser.pt", state)

    def learn(self, batch: Batch, rate: float) -> Tensor:
        """One step; the loss, a number on the device."""
        self.optimizer.set_rate(rate)
        on_gpu = self.device.type == "cuda"
        # No cache of cast weights: `walk` would fill it without gradients.
        with torch.autocast(self.device.type, torch.bfloat16, enabled=on_gpu, cache_enabled=False):
            loss = self.networks.loss(self.step_unet, batch).mean()
        loss.backward()
        self.optimizer.step()
        for weight in self.weights:
            weight.grad = None
        self.step += 1
        decay = min(EMA_DECAY, self.step / (self.step + 9))
        with torch.no_grad():
            torch._foreach_lerp_(self.mean, self.weights, 1 - decay)
        return loss.detach()


def train(
    pictures: Path,
    run: Path,
    minutes: float,
    *,
    batch: int,
    choosers: int,
    device: torch.device,
    released: Path | None,
    pause_at: float | None = None,
    practice: str = "colours",
) -> None:
    """Trains until `minutes` in all have passed, whichever trainer spent them, or until `pause_at` of them have."""
    until_s = 60 * min(minutes, pause_at or minutes)
    torch.set_float32_matmul_precision("high")
    practised = PRACTICES[practice]
    trainer = Trainer(run, device, released, practised)
    scenes = encode_all(pictures, run)
    latents = torch.cat([scene.latents for scene in scenes]).to(device)
    tokenizer = CLIPTokenizer.from_pretrained(run / "tokenizer")
    loader = DataLoader(
        Choices(scenes, tokenizer, batch, practised), batch_size=None, num_workers=choosers,
        multiprocessing_context="spawn" if choosers else None, prefetch_factor=4 if choosers else None,
    )  # fmt: skip
    last, saved_at, losses = time.monotonic(), trainer.spent, []
    for chosen in loader:
        done = min(1.0, trainer.spent / (minutes * 60))
        losses.append(trainer.learn(as_batch(chosen, latents), learning_rate(trainer.step, done)))
        now = time.monotonic()
        trainer.spent, last = trainer.spent + now - last, now
        if trainer.step % TELL_EVERY == 0:
            loss = torch.stack(losses).mean().item()
            losses.clear()
            print(f"step {trainer.step} {trainer.spent:.0f} s loss {loss:.4f}", flush=True)
        over = trainer.spent >= until_s
        if over or trainer.spent - saved_at > SAVE_EVERY_S:
            trainer.save()
            saved_at = trainer.spent
        if over:
            return


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--pause-at", type=float, help="minutes after which to stop for now")
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument(
        "--choosers", type=int, default=CHOOSERS, help="processes that choose tasks"
    )
    parser.add_argument("--begin-from", type=Path, help="a released folder to improve")
    parser.add_argument("--practice", choices=PRACTICES, default="colours")
    options = parser.parse_args()
    train(
        options.pictures,
        options.run,
        options.minutes,
        batch=options.batch,
        choosers=options.choosers,
        device=torch.device("cuda"),
        released=options.begin_from,
        pause_at=options.pause_at,
        practice=options.practice,
    )
