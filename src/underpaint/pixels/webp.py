"""The chunks of a WebP file (RFC 9649)."""

from typing import BinaryIO

from underpaint.geometry import Size
from underpaint.pixels.contents import (
    CUT_SHORT,
    DAMAGED,
    LONGEST_PROFILE_BYTES,
    Contents,
    UnreadableError,
    check_size,
    check_text,
)

_MOST_CHUNKS = 100_000
_ASIDE = {b"EXIF", b"XMP ", b"ICCP"}
_HEADER_BYTES = 10  # the size of a picture stands within the first ten bytes of its chunk


def read_webp(stream: BinaryIO, length: int, limit_px: int) -> Contents:
    """What a WebP's chunks say.

    Raises:
        UnreadableError: It is cut short, damaged, too large or laden with text.
    """
    stream.seek(4)
    end = 8 + int.from_bytes(stream.read(4), "little")
    if end > length:
        raise UnreadableError(CUT_SHORT)
    found: dict[bytes, bytes] = {}
    frames, at, size = 0, 12, None
    for _ in range(_MOST_CHUNKS):
        if at + 8 > end:
            break
        stream.seek(at)
        kind, chunk_bytes = stream.read(4), int.from_bytes(stream.read(4), "little")
        if at + 8 + chunk_bytes > end:
            raise UnreadableError(CUT_SHORT)
        if kind in _ASIDE:
            check_text(chunk_bytes if kind != b"ICCP" else 0)
            if kind != b"ICCP" or chunk_bytes <= LONGEST_PROFILE_BYTES:
                found.setdefault(kind, stream.read(chunk_bytes))
            else:
                found.setdefault(kind, b"")
        frames += kind == b"ANMF"
        if size is None:
            size = _size(kind, stream.read(_HEADER_BYTES))
            check_size(size, limit_px)
        at += 8 + chunk_bytes + chunk_bytes % 2
    else:
        raise UnreadableError(DAMAGED)
    return Contents(
        more_frames=frames > 1,
        icc=found.get(b"ICCP"),
        exif=found.get(b"EXIF"),
        xmp=found.get(b"XMP "),
    )


def _size(kind: bytes, header: bytes) -> Size:
    """The canvas of the first chunk (RFC 9649, sections 2.5 to 2.7)."""
    if len(header) == _HEADER_BYTES and kind == b"VP8X":
        return Size(*(1 + int.from_bytes(header[i : i + 3], "little") for i in (4, 7)))
    if len(header) == _HEADER_BYTES and kind == b"VP8 ":
        return Size(*(int.from_bytes(header[i : i + 2], "little") & 0x3FFF for i in (6, 8)))
    if len(header) >= 5 and kind == b"VP8L":
        bits = int.from_bytes(header[1:5], "little")
        return Size((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    raise UnreadableError(DAMAGED)
