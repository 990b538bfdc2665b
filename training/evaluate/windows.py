"""What the classifier sees: windows of a picture, roughened while it learns so that it trusts strokes and not pixels."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
INPUT_PX = 96
LEAST_WINDOW_PX, MOST_WINDOW_PX = 116, 180
JUDGED_PX = (144,)
"""Sides of the windows that a picture is judged by, in its own pixels: large enough for a few strokes."""


def windows_of(picture: Pixels) -> Iterator[Pixels]:
    """Windows spread evenly over a picture, `[96, 96, 3]` each."""
    height, width = picture.shape[:2]
    for side in JUDGED_PX:
        held = min(side, height, width)
        for top in places(height, held):
            for left in places(width, held):
                yield shrunk(picture[top : top + held, left : left + held])


def places(length_px: int, side_px: int) -> list[int]:
    """Where windows begin that cover a length with the least overlap."""
    count = -(-length_px // side_px)
    return np.linspace(0, length_px - side_px, count).round().astype(int).tolist()


def shrunk(window: Pixels) -> Pixels:
    """A window at the network's size."""
    way = cv2.INTER_AREA if window.shape[0] >= INPUT_PX else cv2.INTER_CUBIC
    return cv2.resize(window, (INPUT_PX, INPUT_PX), interpolation=way)


def glimpse(rng: np.random.Generator, picture: Pixels) -> Pixels:
    """A random window, mirrored, recoloured, blurred, grained and compressed by chance."""
    side = int(rng.integers(LEAST_WINDOW_PX, MOST_WINDOW_PX + 1))
    top, left = rng.integers(0, picture.shape[0] - side + 1, 2)
    window = picture[top : top + side, left : left + side]
    if rng.random() < 0.35:
        window = cv2.GaussianBlur(window, (0, 0), rng.uniform(0.4, 1.3))
    if rng.random() < 0.3:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(40, 95))]
        window = cv2.imdecode(cv2.imencode(".jpg", window, quality)[1], cv2.IMREAD_COLOR)
    seen = shrunk(window).astype(np.float32) / 255
    if rng.random() < 0.5:
        seen = seen[:, ::-1]
    seen = recoloured(rng, seen)
    if rng.random() < 0.3:
        seen = seen + rng.normal(0, rng.uniform(0.005, 0.03), seen.shape)
    return np.ascontiguousarray(as_bytes(seen * 255))


def as_a_lens_would(rng: np.random.Generator, picture: Pixels) -> Pixels:
    """A photograph out of focus or enlarged, in another white balance, or of one hue: all common in real ones."""
    side = picture.shape[0]
    if rng.random() < 0.4:
        smaller = round(side * rng.uniform(0.4, 0.95))
        picture = cv2.resize(picture, (smaller, smaller), interpolation=cv2.INTER_AREA)
        picture = cv2.resize(picture, (side, side), interpolation=cv2.INTER_CUBIC)
    if rng.random() < 0.4:
        grey = picture.mean(axis=2, keepdims=True)
        hue = 1 + rng.choice((0.0, 0.4)) * rng.uniform(
            -1, 1, 3
        )  # fur, sand, skin; or black and white
        picture = as_bytes(picture + rng.uniform(0.6, 1.0) * (grey * hue - picture))
    if rng.random() < 0.4:
        picture = as_bytes(picture * rng.uniform(0.8, 1.2, 3))
    return picture


def as_bytes(picture: NDArray[np.floating]) -> Pixels:
    """Values of 0…255, held there."""
    return np.clip(picture, 0, 255).astype(np.uint8)


def recoloured(rng: np.random.Generator, seen: NDArray[np.float32]) -> NDArray[np.float32]:
    """Another exposure, contrast, saturation and balance, all slight."""
    grey = seen.mean(axis=2, keepdims=True)
    seen = grey + (seen - grey) * rng.uniform(0.8, 1.2)
    seen = seen * rng.uniform(0.97, 1.03, 3).astype(np.float32)
    return np.clip((seen - 0.5) * rng.uniform(0.8, 1.2) + 0.5 + rng.uniform(-0.06, 0.06), 0, 1)
