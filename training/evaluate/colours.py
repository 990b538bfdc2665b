"""What lights and palettes do to a picture's colours, as one number each that needs no classifier."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.color import rgb2lab

from training.grading import LUMA, toned

Pixels = NDArray[np.uint8]
LOOKED_AT_PX = 128

TOWARDS: dict[str, dict[str, float]] = {
    "side-left": {"left": 1.0},
    "side-right": {"left": -1.0},
    "golden": {"yellow": 1.0, "red": 0.5, "left": 0.5},
    "moonlight": {"lightness": -1.0, "yellow": -1.0},
    "mist": {"contrast": -1.0, "lightness": 0.25},
    "candle": {"centre": 1.0, "yellow": 1.0, "lightness": -0.25},
    "neon": {"lightness": -0.5, "red_left": 1.0, "red": 0.5},
    "warm": {"yellow": 1.0, "red": 0.5},
    "cold": {"yellow": -1.0, "red": -0.5},
    "muted": {"chroma": -1.0, "contrast": -0.5},
    "vivid": {"chroma": 1.0},
    "sepia": {"sepia": 1.0},
    "monochrome": {"chroma": -1.0},
    "pale": {"lightness": 1.0},
}
"""How much each feature counts for each light and palette, in units of CIELAB."""

JUST_VISIBLE = 1.0  # a step of one unit in CIELAB, side by side


def features(picture: Pixels) -> dict[str, float]:
    """What is measured of a picture, all in units of CIELAB.

    Returns:
        `lightness` and `contrast` (mean and deviation of L), `red` and `yellow` (mean a and b), `chroma`, `left` (L of
        the left half less the right half's), `centre` (L of the middle less that of the rim), `red_left` (a of the left
        half less the right half's) and `sepia` (how near a and b lie to those of the same picture toned).
    """
    small = cv2.resize(picture, (LOOKED_AT_PX, LOOKED_AT_PX), interpolation=cv2.INTER_AREA)
    shares = small.astype(np.float32) / 255
    lab, sepia = rgb2lab(shares), rgb2lab(toned(shares @ LUMA))
    lightness, red, yellow = np.moveaxis(lab, 2, 0)
    half, quarter = LOOKED_AT_PX // 2, LOOKED_AT_PX // 4
    middle = np.zeros(lightness.shape, bool)
    middle[quarter:-quarter, quarter:-quarter] = True
    return {
        "lightness": float(lightness.mean()),
        "contrast": float(lightness.std()),
        "red": float(red.mean()),
        "yellow": float(yellow.mean()),
        "chroma": float(np.hypot(red, yellow).mean()),
        "left": float(lightness[:, :half].mean() - lightness[:, half:].mean()),
        "centre": float(lightness[middle].mean() - lightness[~middle].mean()),
        "red_left": float(red[:, :half].mean() - red[:, half:].mean()),
        "sepia": -float(np.linalg.norm((lab - sepia)[..., 1:], axis=2).mean()),
    }


def moved(name: str, before: Pixels, after: Pixels) -> float:
    """How far a picture moved towards a light or a palette, in units of CIELAB; below 0 is away from it."""
    ours, theirs = features(before), features(after)
    return sum(weight * (theirs[key] - ours[key]) for key, weight in TOWARDS[name].items())
