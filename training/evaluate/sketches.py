"""Measure 8: how near a sketch, rendered as a photograph, comes to the scene that it was drawn from."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, islice

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.color import deltaE_ciede2000, rgb2lab

from training.evaluate.setting import Data, Pixels, Setting, at_most, table
from training.pictures import Variant, draw

STRENGTHS = (0.6, 0.7, 0.8)
FIRST_SEED = 20_000_100  # no seed that anything was trained on
SCENES, FEWER = 24, 12
WITHOUT_SUBJECT = {"abstract", "page"}
PLACES, SMOOTH_SHARE = (
    32,
    1 / 32,
)  # colours are compared on so coarse a grid, blurred by so much of the side

Colours = NDArray[np.float64]


def measure(setting: Setting) -> Data:
    """Mean CIEDE2000 between the colours of places in the render and in the drawn scene, by strength.

    Beside it what needs no model: the scene's own mean colour everywhere, and one colour for all scenes. A render
    that is farther than the second has put colours in places where they are not.

    Returns:
        `strength` (by strength), `lightness` (how much lighter the renders are, L*), `own` and `one`.
    """
    drawn = list(islice(sketches(setting.size_px), SCENES if setting.thorough else FEWER))
    meant = [places(scene) for _, scene in drawn]
    found: Data = {"strength": {}, "lightness": {}}
    for strength in STRENGTHS:
        made = [
            places(setting.paint(sketch, "photograph", strength=strength)) for sketch, _ in drawn
        ]
        pairs = list(zip(made, meant, strict=True))
        found["strength"][f"{strength:g}"] = float(np.mean([apart(*pair) for pair in pairs]))
        lighter = [(one - other)[..., 0].mean() for one, other in pairs]
        found["lightness"][f"{strength:g}"] = float(np.mean(lighter))
    average = np.mean(meant, axis=(0, 1, 2))
    found["own"] = float(np.mean([apart(one.mean((0, 1)), one) for one in meant]))
    found["one"] = float(np.mean([apart(average, one) for one in meant]))
    return found


def sketches(size_px: int) -> Iterator[tuple[Pixels, Pixels]]:
    """Line drawings and the photographs of the same scenes, of scenes that show something."""
    wanted = [Variant("line_drawing"), Variant("photograph")]
    for seed in count(FIRST_SEED):
        pictures, words = draw(seed, size_px, wanted)
        if not WITHOUT_SUBJECT & set(words):
            yield pictures[0][1], pictures[1][1]


def places(picture: Pixels) -> Colours:
    """CIELAB `[32, 32, 3]` of a picture, blurred."""
    blurred = cv2.GaussianBlur(
        picture.astype(np.float32) / 255, (0, 0), picture.shape[0] * SMOOTH_SHARE
    )
    return rgb2lab(cv2.resize(blurred, (PLACES, PLACES), interpolation=cv2.INTER_AREA))


def apart(one: Colours, other: Colours) -> float:
    """Mean CIEDE2000."""
    return float(deltaE_ciede2000(np.broadcast_to(one, other.shape), other).mean())


def lines(found: Data) -> list[str]:
    """The figures, to read."""
    rows = [
        [strength, f"{apart:.1f}", f"{found['lightness'][strength]:+.1f}"]
        for strength, apart in found["strength"].items()
    ]
    return [
        *table(["strength", "ΔE2000 of places", "lighter by, L*"], rows),
        "",
        f"The scene's own mean colour everywhere: {found['own']:.1f}.",
        at_most("at strength 0.7, against one colour for all scenes", found["strength"]["0.7"], found["one"]),
    ]  # fmt: skip
