"""Drawn pictures as latents in memory: each shard is encoded once, with the frozen autoencoder, and kept on disk."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny
from torch import Tensor

from training.hardware import DTYPE
from training.pictures import Variant


@dataclass(frozen=True, slots=True)
class Scene:
    """One scene's latents `[variants, 32, 32, 32]` float16, what each variant is, and the words for what it shows."""

    latents: Tensor
    variants: tuple[Variant, ...]
    words: tuple[str, ...]


class Scenes:
    """All scenes encoded so far. A worker encodes its share of the shards and loads everybody's."""

    def __init__(
        self, pictures: Path, cache: Path, vae: AutoencoderTiny, *, rank: int = 0, workers: int = 1
    ) -> None:
        self.pictures, self.cache, self.rank, self.workers = pictures, cache, rank, workers
        cache.mkdir(parents=True, exist_ok=True)
        self.encoder = vae.encoder.to(DTYPE, memory_format=torch.channels_last)
        self.scale = vae.config.scaling_factor
        self.scenes: list[Scene] = []
        self.known: set[str] = set()

    def encode_missing(self, *, most: int, limit: int) -> None:
        """Encodes at most `most` shards that are this worker's among the first `limit`, and are not in the cache."""
        paths = sorted(self.pictures.resolve().glob("*.npz"))[:limit]
        for path in paths[self.rank :: self.workers]:
            if most > 0 and not (self.cache / f"{path.stem}.pt").exists():
                self.encode_shard(path)
                most -= 1

    def load_cached(self) -> None:
        """Takes in every encoded shard that is not yet here."""
        for path in sorted(self.cache.glob("*.pt")):
            if path.name not in self.known:
                self.known.add(path.name)
                content = torch.load(path)
                self.scenes += [
                    Scene(
                        rows,
                        tuple(Variant(**variant) for variant in entry["variants"]),
                        tuple(entry["words"]),
                    )
                    for rows, entry in zip(content["latents"], content["meta"], strict=True)
                ]

    def encode_shard(self, path: Path) -> None:
        """Encodes one shard into the cache."""
        shard = np.load(path)
        latents = torch.stack([self.encode(scene) for scene in torch.from_numpy(shard["pixels"])])
        cached = self.cache / f"{path.stem}.pt"
        torch.save(
            {"latents": latents, "meta": json.loads(str(shard["meta"]))}, cached.with_suffix(".tmp")
        )
        cached.with_suffix(".tmp").replace(cached)

    @torch.no_grad()
    def encode(self, pixels: Tensor) -> Tensor:
        """Latents `[n, 32, h/8, w/8]` float16 of `[n, h, w, 3]` uint8."""
        wanted = pixels.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
        wanted = wanted.to(DTYPE, memory_format=torch.channels_last)
        return (self.encoder(wanted) * self.scale).half()

    def any(self, rng: random.Random) -> Scene:
        """A scene by chance."""
        return self.scenes[rng.randrange(len(self.scenes))]
