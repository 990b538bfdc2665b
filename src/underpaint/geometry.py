"""Sizes, boxes and how one rectangle goes into another; whole-number arithmetic, no pixels."""

import math
import re
from typing import Literal, NamedTuple

from underpaint.errors import RequestError

Fit = Literal["cover", "contain", "stretch"]

LARGEST_AREA_PX = 100_000_000  # what is read by default; what was written should be readable
LONGEST_SIDE_PX = 16_384  # larger than any format but TIFF is commonly written at
_WRITTEN_SIZE = re.compile(r"\s*([0-9]{1,9})\s*[x×*]\s*([0-9]{1,9})\s*", re.IGNORECASE)


class Size(NamedTuple):
    """A width and a height in pixels."""

    width: int
    height: int

    @property
    def area(self) -> int:
        """The number of pixels."""
        return self.width * self.height

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


class Box(NamedTuple):
    """A rectangle by its edges, in pixels; fractions are allowed."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        """The distance from the left to the right edge."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """The distance from the top to the bottom edge."""
        return self.bottom - self.top


class Padding(NamedTuple):
    """How many pixels are added at each side."""

    left: int
    top: int
    right: int
    bottom: int


class Placement(NamedTuple):
    """Which part of a source is shown, and where in the target it lies.

    Attributes:
        crop: The part of the source that is shown, in source pixels.
        size: The size at which that part is shown.
        padding: What of the target is left around it.
    """

    crop: Box
    size: Size
    padding: Padding


def parse_size(text: str) -> Size:
    """The size written as ``640x480``.

    Raises:
        RequestError: The text is no size, or a side is not in 1…16384.
    """
    found = _WRITTEN_SIZE.fullmatch(text)
    if found is None:
        raise RequestError(f"a size is written WIDTHxHEIGHT such as 640x480, got {text[:40]!r}")
    size = Size(int(found[1]), int(found[2]))
    if not all(1 <= side <= LONGEST_SIDE_PX for side in size):
        raise RequestError(
            f"each side of a size must lie in 1 to {LONGEST_SIDE_PX} pixels, got {text.strip()}"
        )
    if size.area > LARGEST_AREA_PX:
        raise RequestError(
            f"a size may hold {LARGEST_AREA_PX // 10**6} megapixels, got {text.strip()}; "
            "choose a smaller one"
        )
    return size


def working_size(size: Size, *, comfortable_area: int) -> Size:
    """The size to render at: ``size``, or the same shape scaled down to ``comfortable_area``.

    The area of what comes back never exceeds ``max(1, comfortable_area)`` where ``size`` did, so a
    second application changes nothing. Sides are rounded to the nearest pixel, at least 1.
    """
    if size.area <= comfortable_area:
        return size
    scale = math.sqrt(comfortable_area / size.area)
    short = max(1, round(min(size) * scale))
    long = max(1, min(round(max(size) * scale), comfortable_area // short))
    return Size(long, short) if size.width >= size.height else Size(short, long)


def padded(size: Size, *, multiple: int, minimum: int) -> Size:
    """The smallest size of at least ``size`` and ``minimum`` whose sides are multiples."""
    return Size(*(math.ceil(max(side, minimum) / multiple) * multiple for side in size))


def centred(size: Size, outer: Size) -> Padding:
    """The padding that centres ``size`` in ``outer``; an odd pixel goes right or below."""
    spare_x, spare_y = outer.width - size.width, outer.height - size.height
    left, top = spare_x // 2, spare_y // 2
    return Padding(left, top, spare_x - left, spare_y - top)


def fit_box(source: Size, target: Size, fit: Fit) -> Placement:
    """How ``source`` is shown in ``target``.

    ``cover`` fills the target with the largest centred part of its shape; ``contain`` shows the
    whole source and leaves padding; ``stretch`` fills the target and changes the source's shape.
    """
    whole = Box(0, 0, *source)
    if fit == "contain":
        inner = _shaped_like(source, target)
        return Placement(whole, inner, centred(inner, target))
    if fit == "cover":
        width = min(source.width, source.height * target.width / target.height)
        height = min(source.height, source.width * target.height / target.width)
        left, top = (source.width - width) / 2, (source.height - height) / 2
        whole = Box(left, top, left + width, top + height)
    return Placement(whole, target, Padding(0, 0, 0, 0))


def _shaped_like(source: Size, target: Size) -> Size:
    """The largest size within ``target`` that has the shape of ``source``, to the nearest pixel."""
    if source.width * target.height >= source.height * target.width:
        return Size(target.width, max(1, round(source.height * target.width / source.width)))
    return Size(max(1, round(source.width * target.height / source.height)), target.height)


def windows(length: int, tile: int, overlap: int) -> list[tuple[int, int]]:
    """Evenly spread windows of ``tile`` that cover ``length``, neighbours sharing at least ``overlap``.

    One window of the whole length where that is no longer than a tile.
    """
    if length <= tile:
        return [(0, length)]
    count = -(-(length - overlap) // (tile - overlap))
    starts = [round(i * (length - tile) / (count - 1)) for i in range(count)]
    return [(start, start + tile) for start in starts]
