"""What a sweep varies: ranges and lists, as they are typed or given from Python; no torch."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, prod
from typing import Any, cast, overload

import numpy as np

from underpaint.errors import RequestError
from underpaint.request import Request

# The order in which axes become columns, rows and pages.
NAMES = ("strength", "guidance_scale", "steps", "seed", "sampler", "spacing", "prompt")
CELLS_WITHOUT_ASKING = 400  # at 5 s a picture, half an hour
CELLS_AT_MOST = 1_000_000  # exclusive; nobody looks at so many

_FRACTIONS, _WHOLE, _WORDS = (
    ("strength", "guidance_scale"),
    ("steps", "seed"),
    ("sampler", "spacing"),
)
_DECIMALS = 6  # of what lies between the ends of a range, so that names and commands stay short
_RANGE = re.compile(r"\s*([^:,\s]+)\s*:\s*([^:,\s]+)\s*:\s*([0-9]{1,9})\s*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Spread(Sequence[float]):
    """``number`` values from ``low`` to ``high``, evenly; whole ones are rounded. Listed nowhere."""

    low: float
    high: float
    number: int
    decimals: int | None = _DECIMALS

    def __len__(self) -> int:
        return self.number

    @overload
    def __getitem__(self, index: int) -> float: ...
    @overload
    def __getitem__(self, index: slice) -> list[float]: ...
    def __getitem__(self, index: int | slice) -> float | list[float]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self.number))]
        i = range(self.number)[index]
        if i in {0, self.number - 1}:
            return self.high if i else self.low
        return round(self.low + (self.high - self.low) * i / (self.number - 1), self.decimals)


@dataclass(frozen=True, slots=True)
class Axis:
    """A parameter and the values that it takes, in their order."""

    name: str
    values: Sequence[Any]


def read_axis(name: str, given: object) -> Axis:
    """The axis of ``given``: text as it is typed, one value, or several.

    Args:
        name: One of ``NAMES``.
        given: ``"0.2:0.9:8"`` (low, high and how many) or ``"0.2,0.5"`` for numbers, ``"a,b"`` for
            words, a value, or a sequence of values. A prompt's text is one value, whatever is in it.

    Raises:
        RequestError: it is reversed, empty, no number, out of bounds or lists a value twice.
    """
    values: Sequence[Any]
    if name == "prompt":
        values = [given] if isinstance(given, str) else _several(given)
    elif isinstance(given, str):
        values = _parsed(name, given)
    else:
        values = _several(given)
    if not values:
        raise RequestError(f"{name} holds no value; {_form(name)}")
    if isinstance(values, Spread):
        for end in (values[0], values[-1]):
            _checked(name, end)
        return Axis(name, values)
    values = [_checked(name, value) for value in values]
    _refuse_twins(name, values)
    return Axis(name, values)


def _several(given: object) -> list[Any]:
    return list(cast("Iterable[Any]", given)) if isinstance(given, Iterable) else [given]


def _checked(name: str, value: object) -> Any:
    """The value as a request holds it, whose bounds are the axis's too; NumPy's numbers as Python's."""
    plain: Any = cast("np.generic[Any]", value).item() if isinstance(value, np.generic) else value
    return getattr(Request(**{"source": None, "prompt": "", name: plain}), name)


def check_count(axes: Mapping[str, Axis], *, allowed: bool) -> int:
    """How many pictures the axes ask for.

    Args:
        axes: By name.
        allowed: Whether the person agreed to more than ``CELLS_WITHOUT_ASKING``.

    Raises:
        RequestError: they are too many, with their number.
    """
    count = prod(len(axis.values) for axis in axes.values())
    if count >= CELLS_AT_MOST:
        raise RequestError(
            f"the sweep asks for {count} pictures, and {CELLS_AT_MOST} or more are never rendered "
            "in one; take fewer values"
        )
    if count > CELLS_WITHOUT_ASKING and not allowed:
        raise RequestError(
            f"the sweep asks for {count} pictures; above {CELLS_WITHOUT_ASKING} say --yes, or take "
            "fewer values"
        )
    return count


def _parsed(name: str, text: str) -> Sequence[Any]:
    if name in _WORDS:
        return [part.strip() for part in text.split(",")]
    if ":" in text:
        return _spread(name, text)
    try:
        if name in _WHOLE:
            return [int(part) for part in text.split(",")]
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        raise RequestError(f"{name} {_form(name)}, got {text[:40]!r}") from None
    return numbers


def _spread(name: str, text: str) -> Spread:
    whole = name in _WHOLE
    found = _RANGE.fullmatch(text)
    try:
        low, high, count = (
            (
                (int if whole else float)(found[1]),
                (int if whole else float)(found[2]),
                int(found[3]),
            )
            if found
            else (0, 0, 0)
        )
    except ValueError:
        low, high, count = 0, 0, 0
    if not (isfinite(low) and isfinite(high) and low < high and count >= 2):
        raise RequestError(f"{name} {_form(name)}, got {text[:40]!r}")
    closest = 1 if whole else 10.0**-_DECIMALS
    if count < CELLS_AT_MOST and (high - low) / (count - 1) < closest:
        raise RequestError(
            f"{name} {text[:40]} asks for {count} values that lie closer than {closest:g}; take fewer"
        )
    return Spread(low, high, count, None if whole else _DECIMALS)


def _form(name: str) -> str:
    if name in _WORDS:
        return "takes names with commas between them"
    return "takes LOW:HIGH:COUNT with LOW < HIGH and a COUNT of 2 or more, or values with commas"


def _refuse_twins(name: str, values: Sequence[Any]) -> None:
    seen: set[Any] = set()
    for value in values:
        if value in seen:
            raise RequestError(f"{name} lists {str(value)[:40]!r} twice; leave one out")
        seen.add(value)
