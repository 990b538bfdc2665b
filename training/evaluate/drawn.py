"""Freshly drawn pictures for the classifier: scenes with seeds far from those of training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.grading import PALETTES
from training.light import LIGHTS
from training.pictures import COLOURLESS, MEDIA, UNLIT, Variant, draw

FIRST_SEED = 10_000_000
CLASSES = tuple(MEDIA)
PICTURE_PX = 256


@dataclass(frozen=True, slots=True)
class Drawn:
    """Pictures `[n, 256, 256, 3]`, the index of each one's medium in `CLASSES`, and of its scene."""

    pixels: NDArray[np.uint8]
    media: NDArray[np.int64]
    scenes: NDArray[np.int64]


def draw_all(scenes: int) -> Drawn:
    """Every medium once for each scene, photographs twice more, in lights and palettes of chance."""
    pixels, media, numbers = [], [], []
    for i in range(scenes):
        rng = np.random.default_rng(FIRST_SEED + i)
        for variant, picture in draw(FIRST_SEED + i, PICTURE_PX, variants(rng))[0]:
            pixels.append(picture)
            media.append(CLASSES.index(variant.medium))
            numbers.append(i)
    return Drawn(np.array(pixels), np.array(media), np.array(numbers))


def variants(rng: np.random.Generator) -> list[Variant]:
    """What one scene is rendered as."""
    return [one_variant(rng, medium) for medium in (*CLASSES, "photograph", "photograph")]


def one_variant(rng: np.random.Generator, medium: str) -> Variant:
    """A medium in a light and a palette of chance, as it may be met in a render."""
    lit = medium not in UNLIT and rng.random() < 0.5
    light = rng.choice(LIGHTS[1:]).item() if lit else "neutral"
    if medium in COLOURLESS:
        toned = medium not in UNLIT and rng.random() < 0.1
        return Variant(medium, light, "sepia" if toned else "natural")
    graded = rng.random() < 0.4
    return Variant(medium, light, rng.choice(PALETTES[1:]).item() if graded else "natural")
