"""The few EXIF values that matter here (TIFF 6.0 section 2; CIPA DC-008)."""

import struct
from typing import NamedTuple

_ORIENTATION = 0x0112
_EXIF_FOLDER = 0x8769
_USER_COMMENT = 0x9286
PREFIX = b"Exif\0\0"  # stands before the block in a JPEG, and by habit elsewhere
_UNICODE = b"UNICODE\0"
_ASCII = b"ASCII\0\0\0"
_WIDTHS = {1: 1, 2: 1, 3: 2, 4: 4, 7: 1, 13: 4}  # bytes of a value by its type; others are not read


class _Entry(NamedTuple):
    kind: int
    data: bytes


def orientation(exif: bytes) -> int | None:
    """How the picture was held, 1…8; 1 where nothing is said, None where it makes no sense."""
    try:
        value = number(exif, _ORIENTATION)
    except ValueError:
        return None
    if value is None:
        return 1
    return value if 1 <= value <= 8 else None


def number(exif: bytes, tag: int) -> int | None:
    """The whole number stored in the first folder under ``tag``.

    Raises:
        ValueError: The block is malformed.
    """
    exif = exif.removeprefix(PREFIX)
    order, start = _opened(exif)
    entry = _found(exif, order, start, tag)
    if entry is None:
        return None
    width = _WIDTHS[entry.kind]
    if len(entry.data) < width:
        raise ValueError("an empty EXIF value")
    return int.from_bytes(entry.data[:width], "little" if order == "<" else "big")


def user_comment(exif: bytes) -> str | None:
    """The text that a picture's maker left in ``UserComment``, or None."""
    exif = exif.removeprefix(PREFIX)
    try:
        order, _ = _opened(exif)
        inner = number(exif, _EXIF_FOLDER)
        entry = _found(exif, order, inner, _USER_COMMENT) if inner else None
    except ValueError:
        return None
    if entry is None or len(entry.data) < 8:
        return None
    code, text = entry.data[:8], entry.data[8:]
    if code == _UNICODE:
        return _utf_16(text)
    return text.decode("ascii" if code == _ASCII else "utf-8", "replace").strip("\0 ") or None


def with_user_comment(text: str) -> bytes:
    """An EXIF block that holds ``text`` alone, as UTF-16 in big-endian order.

    That is the layout which the web UIs of Stable Diffusion write and expect.
    """
    comment = _UNICODE + text.encode("utf-16-be", "surrogatepass")
    outer = struct.pack(">HHHIII", 1, _EXIF_FOLDER, 4, 1, 26, 0)
    inner = struct.pack(">HHHIII", 1, _USER_COMMENT, 7, len(comment), 44, 0)
    return struct.pack(">2sHI", b"MM", 42, 8) + outer + inner + comment


def _opened(exif: bytes) -> tuple[str, int]:
    """The byte order and where the first folder starts."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None or len(exif) < 8:
        raise ValueError("no EXIF header")
    return order, struct.unpack(order + "I", exif[4:8])[0]


def _found(exif: bytes, order: str, start: int, tag: int) -> _Entry | None:
    """The first sound entry under ``tag`` of the folder that starts at ``start``.

    Values may overlap, so those of all entries together could be far longer than the block.
    """
    if start + 2 > len(exif):
        raise ValueError("an EXIF folder beyond the end")
    (count,) = struct.unpack_from(order + "H", exif, start)
    if start + 2 + 12 * count > len(exif):
        raise ValueError("an EXIF folder cut short")
    for at in range(start + 2, start + 2 + 12 * count, 12):
        own, kind, values = struct.unpack_from(order + "HHI", exif, at)
        if own != tag or kind not in _WIDTHS:
            continue
        length = values * _WIDTHS[kind]
        begin = at + 8 if length <= 4 else struct.unpack_from(order + "I", exif, at + 8)[0]
        if begin + length <= len(exif):
            return _Entry(kind, exif[begin : begin + length])
    return None


def _utf_16(text: bytes) -> str:
    """Big-endian unless that makes nonsense: some programs follow the block's byte order."""
    high, low = text[0::2].count(0), text[1::2].count(0)
    order = "utf-16-le" if low > high else "utf-16-be"
    return text[: len(text) // 2 * 2].decode(order, "replace").strip("\0")
