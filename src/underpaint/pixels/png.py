"""The chunks of a PNG file (W3C PNG, third edition)."""

import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import BinaryIO

from underpaint.geometry import Size
from underpaint.pixels.contents import (
    CUT_SHORT,
    DAMAGED,
    LONGEST_PROFILE_BYTES,
    LONGEST_TEXT_BYTES,
    Contents,
    UnreadableError,
    check_size,
    check_text,
    is_srgb,
)

SIGNATURE = b"\x89PNG\r\n\x1a\n"
XMP_KEYWORD = "XML:com.adobe.xmp"
INFOTEXT_KEYWORD = "parameters"

_PAINTING = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
_TEXT = {b"tEXt", b"zTXt", b"iTXt"}
_KEYWORDS = {XMP_KEYWORD.encode(), INFOTEXT_KEYWORD.encode()}
_KEPT = _TEXT | {b"iCCP", b"eXIf", b"acTL", b"IHDR", b"cICP", b"sRGB", b"gAMA"}
_GAMMA_SRGB = 45_455  # 1 / 2.2, in 100,000ths
_MOST_CHUNKS = 200_000  # 100 megapixels in IDATs of 8 KiB, the smallest usual, need fewer
_BLOCK_BYTES = 1 << 20


def read_png(stream: BinaryIO, length: int, limit_px: int) -> Contents:
    """What a PNG's chunks say; every checksum is verified.

    Raises:
        UnreadableError: It is cut short, damaged, too large or laden with text.
    """
    found: dict[bytes, bytes] = {}
    texts: dict[bytes, bytes] = {}
    parts: list[bytes | tuple[int, int]] = [SIGNATURE]
    for kind, span, body in _chunks(stream, length, limit_px):
        if kind in _TEXT:
            keyword, _, rest = body.partition(b"\0")
            if keyword in _KEYWORDS - texts.keys():  # the first counts, so few are ever inflated
                texts[keyword] = _text(kind, rest)
                check_text(sum(map(len, texts.values())))
        elif kind in _KEPT:
            found.setdefault(kind, body)
        if kind in _PAINTING:
            parts.append(span)
    infotext = texts.get(INFOTEXT_KEYWORD.encode())
    return Contents(
        depth=max(8, found[b"IHDR"][8]),
        more_frames=found.get(b"acTL", b"")[:4] > b"\0\0\0\1",
        icc=_profile(found[b"iCCP"]) if b"iCCP" in found else None,
        exif=found.get(b"eXIf"),
        other_colours=_other_colours(found),
        xmp=texts.get(XMP_KEYWORD.encode()) or None,
        infotext=infotext.decode("utf-8", "replace") if infotext else None,
        parts=tuple(parts),
    )


def _chunks(
    stream: BinaryIO, length: int, limit_px: int
) -> Iterator[tuple[bytes, tuple[int, int], bytes]]:
    """Each chunk's name, its place and length in the file, and the body where it is kept."""
    at, text_bytes = len(SIGNATURE), 0
    for index in range(_MOST_CHUNKS):
        stream.seek(at)
        header = stream.read(8)
        if len(header) < 8:
            raise UnreadableError(CUT_SHORT)
        body_bytes, kind = struct.unpack(">I4s", header)
        span = at, 12 + body_bytes
        if not kind.isalpha() or (index == 0) != (kind == b"IHDR"):
            raise UnreadableError(DAMAGED)
        if sum(span) > length:
            raise UnreadableError(CUT_SHORT)
        text_bytes += body_bytes if kind in _TEXT else 0
        check_text(text_bytes)
        body = _checked_body(stream, kind, body_bytes)
        if kind == b"IHDR":
            check_size(_size(body), limit_px)
        yield kind, span, body
        if kind == b"IEND":
            return
        at += span[1]
    raise UnreadableError(DAMAGED)


def _checked_body(stream: BinaryIO, kind: bytes, length: int) -> bytes:
    """The chunk's bytes where they are kept, else nothing; refuses a wrong checksum."""
    kept: list[bytes] = []
    checksum, left = zlib.crc32(kind), length
    while left:
        block = stream.read(min(left, _BLOCK_BYTES))
        if not block:
            raise UnreadableError(CUT_SHORT)
        checksum, left = zlib.crc32(block, checksum), left - len(block)
        if kind in _KEPT and length <= LONGEST_TEXT_BYTES:
            kept.append(block)
    if stream.read(4) != checksum.to_bytes(4):
        raise UnreadableError(DAMAGED)
    return b"".join(kept)


def _other_colours(found: Mapping[bytes, bytes]) -> bool:
    """Whether code points or a gamma, in this order of weight, name colours that are not sRGB's (11.3.2)."""
    if b"cICP" in found:
        return not is_srgb(*found[b"cICP"][:2])
    gamma = int.from_bytes(found.get(b"gAMA", b"")[:4])
    return b"sRGB" not in found and gamma > 0 and abs(gamma - _GAMMA_SRGB) > _GAMMA_SRGB // 20


def _size(header: bytes) -> Size:
    if len(header) != 13:
        raise UnreadableError(DAMAGED)
    return Size(*struct.unpack(">II", header[:8]))


def _profile(body: bytes) -> bytes:
    _, _, compressed = body.partition(b"\0")
    profile = _inflated(compressed[1:], LONGEST_PROFILE_BYTES + 1)
    return profile if profile and len(profile) <= LONGEST_PROFILE_BYTES else b""


def _text(kind: bytes, rest: bytes) -> bytes:
    """The text behind a chunk's keyword, in UTF-8; empty where it is damaged."""
    squeezed = kind == b"zTXt"
    if kind == b"zTXt":
        rest = rest[1:]
    elif kind == b"iTXt":
        fields = rest[2:].split(b"\0", 2)  # language, translated keyword, text
        squeezed, rest = rest[:1] == b"\1", fields[-1]
    plain = _inflated(rest, LONGEST_TEXT_BYTES + 1) or b"" if squeezed else rest
    return plain if kind == b"iTXt" else plain.decode("latin-1").encode()


def _inflated(data: bytes, limit: int) -> bytes | None:
    """The first ``limit`` decompressed bytes, or None where they are damaged."""
    try:
        return zlib.decompressobj().decompress(data, limit)
    except zlib.error:
        return None
