"""Measure 4: whether side light falls from its side."""

from __future__ import annotations

import math

import numpy as np

from training.evaluate.setting import Data, Pixels, Setting, table, verdict
from training.vocabulary import LIGHTS, MEDIA

STRENGTH = 0.7
PLAINEST = "photograph"
PAINTED_IN = (PLAINEST, "oil", "watercolour", "pencil")
BASES = {"source": "the source", "plain": "the same render without the words for the light"}
SIDES = {"left": LIGHTS["side-left"][0], "right": LIGHTS["side-right"][0]}


def measure(setting: Setting) -> Data:
    """How far the balance of luminance between left and right moved towards the lamp; above 0 is the right way.

    Returns:
        `source` (against the photograph) and `plain` (against the render that lacks the words for the light): side,
        medium, photograph, powers of 2.
    """
    found: Data = {
        base: {side: {medium: {} for medium in PAINTED_IN} for side in SIDES} for base in BASES
    }
    for medium in PAINTED_IN:
        words = MEDIA[medium][0]
        for name, source in setting.sources.items():
            plain = setting.paint(source, words, strength=STRENGTH)
            for side, light in SIDES.items():
                made = setting.paint(source, f"{words}, {light}", strength=STRENGTH)
                for base, before in zip(BASES, (source, plain), strict=True):
                    found[base][side][medium][name] = towards(side, before, made)
    return found


def towards(side: str, source: Pixels, made: Pixels) -> float:
    """By how many powers of 2 the ratio of both halves' luminances moved towards a side."""
    moved = math.log2(left_over_right(made) / left_over_right(source))
    return moved if side == "left" else -moved


def left_over_right(picture: Pixels) -> float:
    """The mean linear luminance (Rec. 709) of the left half over that of the right half."""
    linear = (picture.astype(np.float64) / 255) ** 2.2 @ np.array([0.2126, 0.7152, 0.0722])
    half = picture.shape[1] // 2
    return float((linear[:, :half].mean() + 1e-4) / (linear[:, half:].mean() + 1e-4))


def lines(found: Data) -> list[str]:
    """The figures, to read."""
    written: list[str] = []
    for base, before in BASES.items():
        rows, everything = [], []
        for side, media in found[base].items():
            for medium, moved in media.items():
                values = list(moved.values())
                everything += values
                row = (f"{2**value:.2f}" for value in values)
                rows.append([side, medium, f"{right_way(values):.0%}", *row])
        names = found[base]["left"][PLAINEST]
        written += [f"Luminance of the lamp's half over the other's, against {before}:", ""]
        written += table(["from", "medium", "right way", *names], rows)
        written += [verdict(f"right way at strength {STRENGTH}", right_way(everything), 0.95), ""]
    return written


def right_way(values: list[float]) -> float:
    """The share of movements towards the lamp."""
    return sum(value > 0 for value in values) / len(values)
