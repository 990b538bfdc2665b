"""Drawn pictures as latents in memory: each shard is encoded once, with the frozen autoencoder, and kept on disk."""

from __future__ import annotations

import json
import os
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny
from torch import Tensor

VARIANTS: tuple[tuple[str, str], ...] = (
    ("photograph", "neutral"),
    ("photograph", "side"),
    ("oil", "neutral"),
    ("oil", "side"),
    ("watercolour", "neutral"),
    ("watercolour", "side"),
    ("pencil", "neutral"),
    ("pencil", "side"),
    ("line_drawing", "neutral"),
)
"""What the nine aligned pictures of a scene are, in a shard's order."""


@dataclass(frozen=True, slots=True)
class Scene:
    """One scene's latents `[9, 16, 32, 32]` float16, the words for what it shows, and the side its light is on."""

    latents: Tensor
    words: tuple[str, ...]
    side: str


class Scenes:
    """All scenes encoded so far. `refresh` takes in shards that have arrived since."""

    def __init__(self, pictures: Path, cache: Path, vae: AutoencoderTiny) -> None:
        self.pictures, self.cache = pictures, cache
        cache.mkdir(parents=True, exist_ok=True)
        self.encoder = vae.encoder.to(torch.bfloat16, memory_format=torch.channels_last)
        self.scenes: list[Scene] = []
        self.known: set[str] = set()

    def refresh(self, *, most: int) -> int:
        """Takes in at most `most` new shards; returns how many it found."""
        found = 0
        for path in sorted(Path(os.path.realpath(self.pictures)).glob("*.npz")):
            if path.name in self.known or found == most:
                continue
            self.scenes += self.read(path)
            self.known.add(path.name)
            found += 1
        return found

    @torch.no_grad()
    def read(self, path: Path) -> list[Scene]:
        """The scenes of one shard, encoded now or read from the cache."""
        shard = np.load(path)
        meta = json.loads(str(shard["meta"]))
        cached = self.cache / f"{path.stem}.pt"
        if cached.exists():
            latents = torch.load(cached)
        else:
            pixels = torch.from_numpy(shard["pixels"])
            rows = [self.encode(scene) for scene in pixels]
            latents = torch.stack(rows)
            torch.save(latents, cached.with_suffix(".tmp"))
            os.replace(cached.with_suffix(".tmp"), cached)
        return [
            Scene(rows, tuple(entry["words"]), str(entry["side"]).removeprefix("side-")) for rows, entry in zip(latents, meta, strict=True)
        ]

    def encode(self, pixels: Tensor) -> Tensor:
        """Latents `[n, 16, h/8, w/8]` float16 of `[n, h, w, 3]` uint8."""
        wanted = pixels.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
        wanted = wanted.to(torch.bfloat16, memory_format=torch.channels_last)
        return self.encoder(wanted).half()

    def any(self, rng: random.Random) -> Scene:
        """A scene by chance."""
        return self.scenes[rng.randrange(len(self.scenes))]
