"""The photographs that Gesso is measured on, and never trained on: those inside scikit-image's wheel."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage import data

Pixels = NDArray[np.uint8]
PHOTOGRAPHS: dict[str, Callable[[], Pixels]] = {
    "astronaut": data.astronaut,
    "coffee": data.coffee,
    "chelsea": data.chelsea,
    "rocket": data.rocket,
    "motorcycle": lambda: data.stereo_motorcycle()[0],
}
"""All the colour photographs of everyday things that come with it; microscopes and telescopes left out."""

GREY_PHOTOGRAPHS: dict[str, Callable[[], Pixels]] = {
    "camera": data.camera,
    "brick": data.brick,
    "grass": data.grass,
    "gravel": data.gravel,
    "coins": data.coins,
}
"""Harder for a classifier of media: no colour, and four of five nothing but texture."""


def photographs(
    size_px: int, names: dict[str, Callable[[], Pixels]] = PHOTOGRAPHS
) -> dict[str, Pixels]:
    """The photographs, their middle square brought to `[size, size, 3]`, uint8."""
    return {name: square(load(), size_px) for name, load in names.items()}


def square(picture: Pixels, size_px: int) -> Pixels:
    """The middle square of a picture at that size, uint8 `[size, size, 3]`."""
    if picture.ndim == 2:
        picture = np.repeat(picture[..., None], 3, axis=2)
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    picture = picture[top : top + side, left : left + side, :3]
    way = cv2.INTER_AREA if side >= size_px else cv2.INTER_CUBIC
    return cv2.resize(picture, (size_px, size_px), interpolation=way)


def images(size_px: int) -> dict[str, Image.Image]:
    """The colour photographs as images, for an engine to render."""
    return {name: Image.fromarray(pixels) for name, pixels in photographs(size_px).items()}
