"""The segments of a JPEG file (ITU-T T.81, annex B)."""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
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
from underpaint.pixels.exif import PREFIX as EXIF_PREFIX
from underpaint.pixels.exif import number

SIGNATURE = b"\xff\xd8\xff"
XMP_PREFIX = b"http://ns.adobe.com/xap/1.0/\0"
MORE_XMP_PREFIX = b"http://ns.adobe.com/xmp/extension/\0"
_PROFILE_PREFIX = b"ICC_PROFILE\0"
_PICTURES_PREFIX = b"MPF\0"
_NUMBER_OF_PICTURES = 0xB001  # CIPA DC-007, the multi-picture format

_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = {0xC2, 0xCA}
_SCAN, _END = 0xDA, 0xD9
_JFIF, _ADOBE = 0xE0, 0xEE  # these two tell a decoder what the channels mean
_ASIDE = {*range(0xE0, 0xF0), 0xFE} - {_JFIF, _ADOBE}
_BARE = {0x01, 0xD8, *range(0xD0, 0xD8)}

_MOST_SCANS = 100  # usual encoders write 10; each one costs a pass over the whole picture
_MOST_SEGMENTS = 20_000
_MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")
_BLOCK_BYTES = 1 << 16


def read_jpeg(stream: BinaryIO, length: int, limit_px: int) -> Contents:
    """What a JPEG's segments say.

    Raises:
        UnreadableError: It ends before its first scan, is too large or has too many scans.
    """
    jpeg = _Jpeg()
    for marker, start, body in _segments(stream, length):
        if marker in _FRAMES:
            jpeg.see_frame(marker, body)
            check_size(jpeg.size, limit_px)
        elif marker == _SCAN:
            jpeg.see_scan(body)
        elif marker in _ASIDE:
            jpeg.see_aside(marker, body)
            jpeg.parts.append((jpeg.kept_to, start - jpeg.kept_to))
            jpeg.kept_to = stream.tell()
        elif marker == _END:
            jpeg.whole = True
            break
    if not jpeg.scans:
        raise UnreadableError(CUT_SHORT)
    end = stream.tell() if jpeg.whole else length
    jpeg.parts.append((jpeg.kept_to, end - jpeg.kept_to))
    return jpeg.contents()


def _segments(stream: BinaryIO, length: int) -> Iterator[tuple[int, int, bytes]]:
    """Each marker, where it starts, and its segment's bytes; stops at the end of the file."""
    stream.seek(2)
    for _ in range(_MOST_SEGMENTS):
        found = _next_marker(stream)
        if found is None:
            return
        marker, start = found
        if marker in _BARE or marker == _END:
            yield marker, start, b""
            continue
        written = stream.read(2)
        body_bytes = int.from_bytes(written) - 2
        if len(written) < 2 or stream.tell() + body_bytes > length:
            return
        if body_bytes < 0:
            raise UnreadableError(DAMAGED)
        yield marker, start, stream.read(body_bytes)
    raise UnreadableError(DAMAGED)


def _next_marker(stream: BinaryIO) -> tuple[int, int] | None:
    """The next marker but restarts, and where it starts; leaves the stream behind it."""
    at = stream.tell()
    while True:
        stream.seek(at)
        block = stream.read(_BLOCK_BYTES)
        found = _MARKER.search(block)
        if found:
            stream.seek(at + found.end())
            return found[1][0], at + found.start()
        if len(block) < 2:
            return None
        at += len(block) - 1  # a marker may straddle the two blocks


@dataclass(slots=True)
class _Jpeg:
    size: Size = Size(0, 0)  # noqa: RUF009 -- immutable
    depth: int = 8
    progressive: bool = False
    scans: int = 0
    whole: bool = False
    kept_to: int = 0
    parts: list[bytes | tuple[int, int]] = field(default_factory=list[bytes | tuple[int, int]])
    components: set[int] = field(default_factory=set[int])
    coded: dict[tuple[int, int], int] = field(default_factory=dict[tuple[int, int], int])
    profile: dict[int, bytes] = field(default_factory=dict[int, bytes])
    profile_parts: int = 0
    exif: bytes | None = None
    xmp: bytes | None = None
    more_xmp: dict[tuple[bytes, int], bytes] = field(default_factory=dict[tuple[bytes, int], bytes])
    more_xmp_bytes: int = 0
    pictures: int = 1

    def see_frame(self, marker: int, body: bytes) -> None:
        if len(body) < 6 or len(body) < 6 + 3 * body[5]:
            raise UnreadableError(DAMAGED)
        self.depth, height, width, channels = struct.unpack(">BHHB", body[:6])
        if self.depth != 8:
            raise UnreadableError(
                f"it is a JPEG of {self.depth} bits a channel and only 8 are read; "
                "export it as PNG or TIFF"
            )
        self.size = Size(width, height)
        self.progressive = marker in _PROGRESSIVE
        self.components = {body[6 + 3 * i] for i in range(channels)}

    def see_scan(self, body: bytes) -> None:
        """Notes which coefficients the scan brings, and to which bit (T.81, B.2.3)."""
        self.scans += 1
        if self.scans > _MOST_SCANS:
            raise UnreadableError(
                f"it paints itself in more than {_MOST_SCANS} passes, which no camera or editor "
                f"does; export it as PNG"
            )
        if not body or len(body) < 4 + 2 * body[0]:
            raise UnreadableError(DAMAGED)
        first, last, bits = body[1 + 2 * body[0] :][:3]
        for i in range(body[0]):
            for k in range(first, min(last, 63) + 1):
                self.coded[body[1 + 2 * i], k] = bits & 15

    def see_aside(self, marker: int, body: bytes) -> None:
        if marker == 0xE1 and body.startswith(EXIF_PREFIX):
            self.exif = self.exif or body[len(EXIF_PREFIX) :]
        elif marker == 0xE1 and body.startswith(XMP_PREFIX):
            self.xmp = self.xmp or body[len(XMP_PREFIX) :]
        elif marker == 0xE1 and body.startswith(MORE_XMP_PREFIX):
            self._see_more_xmp(body[len(MORE_XMP_PREFIX) :])
        elif marker == 0xE2 and body.startswith(_PROFILE_PREFIX) and len(body) > 14:
            self.profile[body[12]], self.profile_parts = body[14:], body[13]
        elif marker == 0xE2 and body.startswith(_PICTURES_PREFIX):
            self.pictures = _pictures(body[len(_PICTURES_PREFIX) :])

    def _see_more_xmp(self, body: bytes) -> None:
        """Keeps one part of an extended packet (XMP specification 3, section 1.1.3.1)."""
        guid, offset = body[:32], int.from_bytes(body[36:40])
        self.more_xmp_bytes += len(body)
        check_text(self.more_xmp_bytes)
        self.more_xmp[guid, offset] = body[40:]

    def contents(self) -> Contents:
        return Contents(
            more_frames=self.pictures > 1,
            icc=self._icc(),
            exif=self.exif,
            xmp=self._whole_xmp(),
            parts=tuple(self.parts),
            whole=self.whole,
            every_scan=all(self.coded.get((c, k)) == 0 for c in self.components for k in range(64)),
            progressive=self.progressive,
        )

    def _whole_xmp(self) -> bytes | None:
        """The packet, or the extended one that it names."""
        short = self.xmp or b""
        more = sorted((at, part) for (guid, at), part in self.more_xmp.items() if guid in short)
        return b"".join(part for _, part in more) or self.xmp

    def _icc(self) -> bytes | None:
        if not self.profile:
            return None
        joined = b"".join(part for _, part in sorted(self.profile.items()))
        usable = len(self.profile) == self.profile_parts and len(joined) <= LONGEST_PROFILE_BYTES
        return joined if usable else b""


def _pictures(index: bytes) -> int:
    try:
        return number(index, _NUMBER_OF_PICTURES) or 1
    except ValueError:
        return 1
