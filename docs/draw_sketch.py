"""Draws examples/sketch.png: a mountain lake, in wobbly pencil lines. Run ``python -m docs.draw_sketch``."""

from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter

SIZE = (576, 448)
SCALE = 3  # drawn larger and shrunk, so that lines are smooth
TARGET = Path(__file__).parent.parent / "examples" / "sketch.png"

Points = list[tuple[float, float]]


class Pencil:
    """Lines with a little wobble, drawn twice as a hand does."""

    def __init__(self, seed: int) -> None:
        """Takes a sheet of paper."""
        self.rng = np.random.default_rng(seed)
        self.sheet = Image.new("L", (SIZE[0] * SCALE, SIZE[1] * SCALE), 255)

    def line(self, points: Points, *, dark: float = 0.7, width: float = 3.2) -> None:
        """A stroke of a soft pencil through ``points``."""
        for weight in (min(1.2 * dark, 0.92), dark * 0.5):
            path = self._wobbly(points)
            stroke = Image.new("L", self.sheet.size, 255)
            pen = ImageDraw.Draw(stroke)
            pressure = 0.75 + 0.25 * np.sin(np.linspace(0, 9, len(path)) + self.rng.uniform(0, 6))
            for (a, b), press in zip(pairwise(path), pressure, strict=False):
                ink = int(255 * (1 - weight * press))
                pen.line([tuple(a), tuple(b)], fill=ink, width=max(2, round(width * SCALE * press)))
            self.sheet = ImageChops.multiply(self.sheet, stroke)

    def closed(self, points: Points, **style: float) -> None:
        """A stroke that comes back to where it began."""
        self.line([*points, points[0]], **style)

    def circle(self, x: float, y: float, radius: float, **style: float) -> None:
        """A circle, as round as a hand makes it."""
        turns = np.linspace(0, 2 * np.pi * 1.04, 30)
        self.line([(x + radius * np.cos(t), y + radius * np.sin(t)) for t in turns], **style)

    def hatch(self, start: tuple[float, float], end: tuple[float, float], count: int) -> None:
        """``count`` short slanting strokes beside the way from ``start`` to ``end``."""
        for share in np.linspace(0, 1, count):
            x = start[0] + share * (end[0] - start[0]) + self.rng.normal(0, 1)
            y = start[1] + share * (end[1] - start[1]) + self.rng.normal(0, 1)
            length = self.rng.uniform(14, 26)
            self.line([(x, y), (x - 0.55 * length, y + length)], dark=0.55, width=2.4)

    def _wobbly(self, points: Points) -> NDArray[np.float64]:
        corners = np.asarray(points, dtype=np.float64)
        lengths = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(corners, axis=0).T))])
        along = np.linspace(0, lengths[-1], max(8, int(lengths[-1] / 3)))
        path = np.stack([np.interp(along, lengths, corners[:, i]) for i in (0, 1)], axis=1)
        knots = self.rng.normal(0, 0.8, (max(3, len(path) // 8), 2))
        at = np.linspace(0, len(knots) - 1, len(path))
        path += np.stack(
            [np.interp(at, np.arange(len(knots)), knots[:, i]) for i in (0, 1)], axis=1
        )
        return path * SCALE

    def finished(self) -> Image.Image:
        """The sheet at its size, with a little paper grain."""
        small = self.sheet.filter(ImageFilter.GaussianBlur(0.8)).resize(SIZE, Image.Resampling.BOX)
        grain = self.rng.normal(0, 2.0, (SIZE[1], SIZE[0]))
        ink = np.asarray(small, dtype=np.float64)
        paper = ink * 0.985 + grain * (0.5 + (255 - ink) / 40)
        return Image.fromarray(np.clip(paper, 0, 255).astype(np.uint8)).convert("RGB")


def draw() -> Image.Image:
    """The sketch: sun, two ridges, a lake, a cabin, firs and a sailing boat."""
    pencil = Pencil(5)
    pencil.circle(452, 84, 34, dark=0.6)
    far = [(0, 196), (58, 150), (92, 172), (150, 96), (196, 58), (232, 104), (262, 90), (318, 160)]
    pencil.line([*far, (352, 142), (408, 186), (470, 150), (520, 190), (576, 172)], dark=0.75)
    pencil.line([(196, 60), (188, 96), (204, 120), (192, 150), (206, 182)], dark=0.5, width=2.6)
    pencil.line([(352, 144), (346, 166), (356, 190)], dark=0.45, width=2.2)
    for start, end, count in (
        ((204, 78), (240, 150), 9),
        ((222, 118), (300, 186), 9),
        ((360, 158), (400, 196), 5),
        ((66, 166), (96, 206), 5),
    ):
        pencil.hatch(start, end, count)
    pencil.line([(0, 232), (120, 222), (260, 228), (420, 220), (576, 230)], dark=0.6)
    pencil.line([(0, 338), (90, 330), (170, 352), (250, 384), (300, 448)], dark=0.7)
    for y, x, length in (
        (262, 330, 70), (282, 250, 46), (300, 400, 90), (330, 330, 60), (352, 470, 70),
        (252, 160, 40), (392, 400, 90), (420, 500, 60),
    ):  # fmt: skip
        pencil.line([(x, y), (x + length / 2, y + 2), (x + length, y)], dark=0.35, width=2.2)
    # The cabin
    pencil.closed([(44, 268), (122, 268), (122, 332), (44, 332)], dark=0.75)
    pencil.line([(122, 268), (158, 256), (158, 318), (122, 332)], dark=0.7)
    pencil.line([(36, 272), (84, 224), (130, 270)], dark=0.8)
    pencil.line([(84, 224), (128, 216), (164, 258)], dark=0.75)
    pencil.line([(130, 270), (164, 258)], dark=0.7)
    pencil.closed([(72, 292), (94, 292), (94, 332), (72, 332)], dark=0.65)
    pencil.closed([(102, 284), (115, 284), (115, 302), (102, 302)], dark=0.6)
    pencil.closed([(132, 276), (146, 271), (146, 290), (132, 295)], dark=0.55)
    for x, foot, height in ((196, 350, 118), (20, 344, 96), (232, 372, 74)):
        _fir(pencil, x, foot, height)
    # The boat and its mirror image
    pencil.line([(404, 346), (414, 366), (478, 366), (492, 346), (404, 346)], dark=0.8)
    pencil.line([(446, 346), (446, 262)], dark=0.75)
    pencil.closed([(450, 266), (450, 336), (488, 336)], dark=0.7)
    pencil.closed([(442, 276), (442, 336), (414, 336)], dark=0.7)
    pencil.line([(420, 376), (470, 378)], dark=0.55, width=2.4)
    pencil.line([(432, 386), (462, 387)], dark=0.35, width=2.2)
    for x, y in ((318, 64), (336, 70), (300, 76)):
        pencil.line([(x - 7, y - 3), (x, y), (x + 7, y - 4)], dark=0.55, width=2.2)
    return pencil.finished()


def _fir(pencil: Pencil, x: float, foot: float, height: float) -> None:
    top, half = foot - height, height * 0.24
    for side in (-1, 1):
        edge: Points = [(x, top)]
        for tier in range(1, 5):
            y = top + height * 0.21 * tier
            edge += [(x + side * half * tier / 4, y), (x + side * half * tier / 8, y - 2)]
        pencil.line(edge, dark=0.7)
    pencil.line([(x - 3, foot - height * 0.15), (x - 3, foot)], dark=0.7)
    pencil.line([(x + 3, foot - height * 0.15), (x + 3, foot)], dark=0.7)
    pencil.hatch((x + half * 0.3, top + height * 0.3), (x + half * 0.6, foot - height * 0.25), 5)


if __name__ == "__main__":
    TARGET.parent.mkdir(exist_ok=True)
    draw().save(TARGET, optimize=True)
