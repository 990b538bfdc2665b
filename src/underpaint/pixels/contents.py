"""What a picture file says of itself before any pixel is decoded."""

import io
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, BinaryIO

from underpaint.geometry import Size

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

# Real profiles are a few KiB; the largest printers' tables in common use are about 3 MiB.
LONGEST_PROFILE_BYTES = 4 << 20
# A node graph that other tools store beside a picture may reach a few MiB; a recipe stays below.
LONGEST_TEXT_BYTES = 8 << 20

CUT_SHORT = "the file is cut short; fetch or export it anew"
DAMAGED = "the file is damaged; fetch or export it anew"
NO_PIXELS = "the picture has no pixels; its width and height must be at least 1"


class UnreadableError(Exception):
    """Why a file cannot be read, and what to do: the second half of a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What stands around a file's pixels.

    Attributes:
        depth: Bits a channel.
        more_frames: Whether there are pictures beyond the first.
        icc: The colour profile; empty bytes where there is one that cannot be used.
        exif: The EXIF block, from its byte-order mark on.
        xmp: The XMP packet.
        infotext: The text stored under PNG's key ``parameters``.
        parts: What a decoder needs, as bytes or as (start, length) in the file; empty for all.
        parts_without_exif: The same, with an EXIF block hidden that the decoder may refuse (AVIF).
        whole: False where a JPEG ends without its end marker.
        every_scan: Whether every coefficient has been announced in full (JPEG).
        progressive: Whether later scans refine earlier ones (JPEG).
        other_colours: Whether it names other colours than sRGB's beside any profile (PNG, AVIF).
    """

    depth: int = 8
    more_frames: bool = False
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    infotext: str | None = None
    parts: tuple[bytes | tuple[int, int], ...] = ()
    parts_without_exif: tuple[bytes | tuple[int, int], ...] = ()
    whole: bool = True
    every_scan: bool = True
    progressive: bool = False
    other_colours: bool = False


def is_srgb(primaries: int = 2, transfer: int = 2, *_: int) -> bool:
    """Whether code points of ITU-T H.273 name sRGB, what is taken for it, or nothing (2).

    Transfers 1, 6, 14 and 15 are BT.709's, which still pictures are not decoded by.
    """
    return primaries in {1, 2} and transfer in {1, 2, 6, 13, 14, 15}


def check_size(size: Size, limit_px: int) -> None:
    """Refuses a picture that is empty or larger than the limit.

    Raises:
        UnreadableError: It is.
    """
    if min(size) < 1:
        raise UnreadableError(NO_PIXELS)
    if size.area > limit_px:
        raise UnreadableError(
            f"its {size} pixels are {size.area / 1e6:.1f} megapixels and at most "
            f"{limit_px / 1e6:g} are read; scale it down first"
        )


def check_text(length: int) -> None:
    """Refuses text of a length that no honest picture carries.

    Raises:
        UnreadableError: It is longer than 8 MiB.
    """
    if length > LONGEST_TEXT_BYTES:
        raise UnreadableError(
            f"it carries more than {LONGEST_TEXT_BYTES >> 20} MiB of text beside its pixels, which "
            "is the most that is read; export it without metadata"
        )


class Spliced(io.RawIOBase):
    """A stream made of parts of another and of bytes of its own, without a copy of either."""

    def __init__(self, stream: BinaryIO, parts: Sequence[bytes | tuple[int, int]]) -> None:
        self._stream = stream
        self._parts = parts
        lengths = (part[1] if isinstance(part, tuple) else len(part) for part in parts)
        self._ends = list(accumulate(lengths))
        self._at = 0

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """The position in the joined parts."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """The new position in the joined parts."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._ends[-1]}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """How many bytes were put into the buffer; 0 at the end."""
        index = bisect_right(self._ends, self._at)
        if index == len(self._parts):
            return 0
        wanted, part = memoryview(buffer).cast("B"), self._parts[index]
        left = self._ends[index] - self._at
        size = min(len(wanted), left)
        if isinstance(part, tuple):
            self._stream.seek(part[0] + part[1] - left)
            found = self._stream.read(size)
        else:
            found = part[len(part) - left :][:size]
        wanted[: len(found)] = found
        self._at += len(found)
        return len(found)
