"""The boxes of an AVIF or HEIC file (ISO/IEC 14496-12 and 23008-12)."""

import re
import struct
from collections.abc import Iterator
from typing import BinaryIO

from underpaint.geometry import Size
from underpaint.pixels.contents import (
    CUT_SHORT,
    DAMAGED,
    Contents,
    UnreadableError,
    check_size,
    is_srgb,
)

_MOST_BOXES = 10_000
_LONGEST_META_BYTES = 32 << 20  # room for several colour profiles
_EXTENT = re.compile(rb"\0\0\0\x14ispe\0\0\0\0(.{8})", re.DOTALL)
_EXIF_ITEM = re.compile(rb"infe(?:\x02.{5}|\x03.{7}).{2}(Exif)", re.DOTALL)
_NCLX = re.compile(rb"colrnclx(.{4})", re.DOTALL)  # primaries and transfer (H.273)
_AV1 = re.compile(rb"av1C.{2}(.)", re.DOTALL)
_HEVC = re.compile(rb"hvcC.{17}(.)", re.DOTALL)


def read_boxes(stream: BinaryIO, length: int, limit_px: int) -> Contents:
    """What the boxes say of size and depth.

    Raises:
        UnreadableError: The file is cut short, damaged or too large.
    """
    meta, hidden = b"", ()
    for kind, start, box_bytes in _boxes(stream, length):
        if kind == b"meta":
            if box_bytes > _LONGEST_META_BYTES:
                raise UnreadableError(DAMAGED)
            stream.seek(start)
            meta += stream.read(box_bytes)
            hidden = hidden or _exif_hidden(meta, start, length)
    for extent in _EXTENT.findall(meta):
        check_size(Size(*struct.unpack(">II", extent)), limit_px)
    said = [struct.unpack(">HH", codes) for codes in _NCLX.findall(meta)]
    other = any(not is_srgb(*codes) for codes in said)
    return Contents(depth=_depth(meta), parts_without_exif=hidden, other_colours=other)


def _boxes(stream: BinaryIO, length: int) -> Iterator[tuple[bytes, int, int]]:
    """Each outermost box's kind, where it starts and how long it is."""
    at = 0
    for _ in range(_MOST_BOXES):
        if at == length:
            return
        stream.seek(at)
        header = stream.read(16)
        if len(header) < 8:
            raise UnreadableError(CUT_SHORT)
        box_bytes, kind = struct.unpack(">I4s", header[:8])
        if box_bytes == 1:
            box_bytes = int.from_bytes(header[8:16])
        elif box_bytes == 0:
            box_bytes = length - at
        if box_bytes < 8:
            raise UnreadableError(DAMAGED)
        if at + box_bytes > length:
            raise UnreadableError(CUT_SHORT)
        yield kind, at, box_bytes
        at += box_bytes
    raise UnreadableError(DAMAGED)


def _exif_hidden(meta: bytes, start: int, length: int) -> tuple[bytes | tuple[int, int], ...]:
    """The file with its EXIF item given a kind that no reader knows."""
    item = _EXIF_ITEM.search(meta)
    if item is None:
        return ()
    at = start + item.start(1)
    return (0, at), b"skip", (at + 4, length - at - 4)


def _depth(meta: bytes) -> int:
    """The largest depth that a codec's configuration names (AV1-ISOBMFF 2.3; 14496-15, 8.3.3)."""
    depths = [8]
    for found in _AV1.findall(meta):
        high, twelve = found[0] & 0x40, found[0] & 0x20
        depths.append(12 if high and twelve else 10 if high else 8)
    depths += [8 + (found[0] & 7) for found in _HEVC.findall(meta)]
    return max(depths)
