"""What all measures share: the model, the size, how much is tried, and how figures are written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.evaluate.photographs import photographs
from underpaint import Engine, Request

Pixels = NDArray[np.uint8]
Data = dict[str, Any]
"""What a measure found: numbers, words, lists and dictionaries, as JSON has them."""

SEED = 7
FULL_SIZE_PX = 512


@dataclass(frozen=True)
class Setting:
    """The model that is measured, and how thoroughly.

    Attributes:
        folder: The model, a folder in the diffusers layout.
        size_px: The side of the photographs.
    """

    folder: Path
    size_px: int = FULL_SIZE_PX

    @cached_property
    def engine(self) -> Engine:
        """The model, loaded once."""
        return Engine(self.folder)

    @cached_property
    def sources(self) -> dict[str, Pixels]:
        """The photographs `[size, size, 3]`, uint8."""
        return photographs(self.size_px)

    @property
    def thorough(self) -> bool:
        """Whether everything is tried, or a sample as below the full size."""
        return self.size_px >= FULL_SIZE_PX

    def paint(self, source: Pixels, prompt: str, *, strength: float, seed: int = SEED) -> Pixels:
        """The render with the model's own steps, guidance and sampler, as large as its source."""
        request = Request(
            source=source, prompt=prompt, strength=strength, seed=seed, work_size="native"
        )
        return np.asarray(self.engine.render(request).image.convert("RGB"))


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """The lines of a table in Markdown, its columns aligned; floats are written as they come, so round them."""
    cells = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    lines = [
        "| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |"
        for row in cells
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return [lines[0], rule, *lines[1:]]


def verdict(what: str, figure: float, target: float, *, written: str = "{:.1%}") -> str:
    """One line: a figure that should reach at least its target."""
    met = "met" if figure >= target else "not met"
    return f"{what}: {written.format(figure)}, target at least {written.format(target)}: {met}"


def at_most(what: str, figure: float, target: float, *, written: str = "{:.2f}") -> str:
    """One line: a figure that should stay at or below its target."""
    met = "met" if figure <= target else "not met"
    return f"{what}: {written.format(figure)}, target at most {written.format(target)}: {met}"
