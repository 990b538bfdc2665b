"""The cells of a sweep: which request stands where, and in which file; no torch."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from underpaint.request import Request
from underpaint.sweeping.axes import NAMES, Axis

LONG_PROMPT = 60  # characters, which a label shows in whole
LEAST_LABEL = 24  # characters of the shortest that stay
_SHORT = {"guidance_scale": "guidance"}


@dataclass(frozen=True, slots=True)
class Cell:
    """One picture of a sweep.

    Attributes:
        request: What makes it; its source is not in it.
        values: Its own value on every axis that has several.
        page: Its page, from 0.
        row: Its row there.
        column: Its column.
        file: Its file's name.
    """

    request: Request
    values: Mapping[str, Any]
    page: int
    row: int
    column: int
    file: str


@dataclass(frozen=True, slots=True)
class Grid:
    """Axes laid out: the first with several values gives columns, the second rows, others pages.

    Attributes:
        fixed: The request that all cells share.
        axes: Those with several values, in the order of ``NAMES``.
    """

    fixed: Request
    axes: tuple[Axis, ...]

    @property
    def columns(self) -> list[str]:
        """Their labels; one empty label where nothing varies."""
        return _labels(self.axes[:1])

    @property
    def rows(self) -> list[str]:
        """Their labels; one empty label where there is one row."""
        return _labels(self.axes[1:2])

    @property
    def pages(self) -> list[str]:
        """Their labels; one empty label where there is one page."""
        labels = [""]
        for axis in self.axes[2:]:
            labels = [
                f"{before}, {label}" if before else label
                for before in labels
                for label in _labels((axis,))
            ]
        return labels

    @property
    def labels(self) -> dict[str, dict[Any, str]]:
        """The words for each value of each axis."""
        return {
            axis.name: dict(zip(axis.values, _labels((axis,)), strict=True)) for axis in self.axes
        }

    def cells(self) -> Iterator[Cell]:
        """Every cell, page by page and row by row."""
        for page, more in enumerate(_combinations(self.axes[2:])):
            for row, down in enumerate(_combinations(self.axes[1:2])):
                for column, across in enumerate(_combinations(self.axes[:1])):
                    values = {**across, **down, **more}
                    yield Cell(
                        request=_with(self.fixed, values),
                        values=values,
                        page=page,
                        row=row,
                        column=column,
                        file=self._file(values),
                    )

    def _file(self, values: Mapping[str, Any]) -> str:
        parts: list[str] = []
        for axis in self.axes:
            value = values[axis.name]
            shown = axis.values.index(value) + 1 if axis.name == "prompt" else written(value)
            parts.append(f"{_SHORT.get(axis.name, axis.name)}-{shown}")
        return "_".join(parts or ["picture"]) + ".png"


def lay_out(fixed: Request, axes: Mapping[str, Axis]) -> Grid:
    """The grid of the axes; those with one value only say what all cells share."""
    single = {name: axis.values[0] for name, axis in axes.items() if len(axis.values) == 1}
    several = (axes[name] for name in NAMES if name in axes and len(axes[name].values) > 1)
    return Grid(_with(fixed, single), tuple(several))


def label(name: str, value: object) -> str:
    """The words for one value of an axis, such as ``strength 0.2``."""
    if name in {"prompt", "sampler", "spacing"}:
        return written(value)
    return f"{_SHORT.get(name, name)} {written(value)}"


def written(value: object) -> str:
    """A value as short as it can be without becoming another."""
    if not isinstance(value, float):
        return str(value)
    short = f"{value:g}"
    return short if float(short) == value and "e" not in short else repr(value)


def _with(request: Request, values: Mapping[str, Any]) -> Request:
    """The request with these values, checked as a whole."""
    given = {name: getattr(request, name) for name in request.model_fields_set}
    return Request(**{**given, "source": request.source, **values})


def _labels(axes: Sequence[Axis]) -> list[str]:
    labels: list[str] = []
    for axis in axes:
        words = [label(axis.name, value) for value in axis.values]
        labels += told_apart(words) if axis.name == "prompt" else words
    return labels or [""]


def told_apart(prompts: Sequence[str]) -> list[str]:
    """The prompts; long ones without the words that all begin with, so that a short label shows how they differ."""
    if max(map(len, prompts)) <= LONG_PROMPT:
        return list(prompts)
    letters = takewhile(lambda each: len(set(each)) == 1, zip(*prompts, strict=False))
    alike = min(sum(1 for _ in letters), min(map(len, prompts)) - LEAST_LABEL)
    begin = prompts[0].rfind(" ", 0, max(alike, 0)) + 1
    return [f"… {prompt[begin:]}" for prompt in prompts] if begin else list(prompts)


def _combinations(axes: Sequence[Axis]) -> Iterator[dict[str, Any]]:
    if not axes:
        yield {}
        return
    first, *others = axes
    for value in first.values:
        for more in _combinations(others):
            yield {first.name: value, **more}
