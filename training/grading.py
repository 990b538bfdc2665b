"""Palettes: one picture's colours brought into another key, before a medium is chosen."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from training.canvas import Plane, mix

PaletteName = Literal["natural", "warm", "cold", "muted", "vivid", "sepia", "monochrome", "pale"]
PALETTES: tuple[PaletteName, ...] = get_args(PaletteName)
LUMA = np.float32([0.3, 0.59, 0.11])
SEPIA = np.float32(
    [[0.13, 0.075, 0.035], [0.58, 0.42, 0.26], [0.97, 0.91, 0.78]]
)  # dark, middle, light


def grade(rgb: Plane, palette: PaletteName) -> Plane:
    """Returns a picture [H, W, 3], 0…1, in the colours of that name."""
    grey = (rgb @ LUMA)[..., None]
    match palette:
        case "natural":
            graded = rgb
        case "warm":
            graded = mix(rgb, grey, 0.25) * np.float32([1.16, 0.98, 0.68]) + np.float32(
                [0.07, 0.025, 0]
            )
        case "cold":
            graded = mix(rgb, grey, 0.35) * np.float32([0.72, 0.96, 1.14]) + np.float32(
                [0, 0.03, 0.09]
            )
        case "muted":
            graded = mix(mix(grey, rgb, 0.35), (0.56, 0.55, 0.52), 0.22)
        case "vivid":
            graded = grey + (rgb - grey) * 2.1 + 0.5 * (grey - 0.5) * grey * (1 - grey)
        case "sepia":
            graded = toned(grey[..., 0])
        case "monochrome":
            graded = np.repeat(grey, 3, axis=2)
        case "pale":
            graded = 0.5 + 0.5 * (grey + (rgb - grey) * 1.25)
    return np.clip(graded, 0, 1).astype(np.float32)


def toned(grey: Plane) -> Plane:
    """Returns a grey picture [H, W] in sepia [H, W, 3]."""
    stops = (0.0, 0.5, 1.0)
    return np.dstack([np.interp(grey, stops, SEPIA[:, c]) for c in range(3)]).astype(np.float32)
