"""What kind of file the first bytes promise."""

import re
from typing import Literal

from underpaint.pixels import jpeg, png
from underpaint.pixels.contents import UnreadableError

Kind = Literal["PNG", "JPEG", "WebP", "AVIF", "HEIC", "GIF", "BMP", "TIFF"]

HEAD_BYTES = 4096
WHAT_IS_READ = "give a PNG, JPEG, WebP, AVIF, GIF, BMP or TIFF picture"

_SIGNATURES: tuple[tuple[bytes, Kind], ...] = (
    (jpeg.SIGNATURE, "JPEG"),
    (png.SIGNATURE, "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
)
_BITMAP_HEADERS = {12, 40, 52, 56, 64, 108, 124}  # bytes; one for each version of the format
_HEIC = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"mif2"}
_AVIF = {b"avif", b"avis"}

# First bytes of what people mistake for a picture that can be read: what it is, what to do.
_OTHERS: tuple[tuple[bytes, str], ...] = (
    (b"%PDF", "a PDF document; export the page as PNG"),
    (b"%!PS", "a PostScript (EPS) drawing; export it as PNG"),
    (b"\xc5\xd0\xd3\xc6", "a PostScript (EPS) drawing; export it as PNG"),
    (b"SIMPLE  =", "a FITS file; export it as PNG or TIFF"),
    (b"\xd0\xcf\x11\xe0", "a FlashPix picture or an Office document; export it as PNG"),
    (b"gd2\0", "a GD file; export it as PNG"),
    (b"\xff\xfe", "a GD file or a text; export it as PNG"),
    (b"\xff\xff", "a GD file; export it as PNG"),
    (b"8BPS", "a Photoshop document; export it as PNG"),
    (b"gimp xcf", "a GIMP document; export it as PNG"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 picture; export it as PNG"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 picture; export it as PNG"),
    (b"\xff\x0a", "a JPEG XL picture; export it as PNG"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL picture; export it as PNG"),
    (b"\0\0\1\0", "an icon file; export it as PNG"),
    (b"PK\3\4", "a ZIP archive; unpack it first"),
    (b"\x1f\x8b", "a gzip archive; unpack it first"),
    (b"\x76\x2f\x31\x01", "an OpenEXR picture; export it as PNG"),
    (b"#?RADIANCE", "a Radiance HDR picture; export it as PNG"),
    (b"FUJIFILMCCD-RAW", "a camera's raw file; develop it and export it as PNG or TIFF"),
    (b"\x1aE\xdf\xa3", "a video; export one frame as PNG"),
)
RAW = "it looks like a camera's raw file; develop it and export it as PNG or TIFF"
_CANON_RAW = (b"II*\0\x10\0\0\0CR", b"II\x1a\0\0\0HEAPCCDR")


def sniff(head: bytes) -> Kind:
    """The kind of picture that starts with ``head``.

    Raises:
        UnreadableError: It is none that is read; the message names what it looks like.
    """
    if head.startswith(_CANON_RAW):
        raise UnreadableError(RAW)
    for start, kind in _SIGNATURES:
        if head.startswith(start):
            return kind
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BITMAP_HEADERS:
        return "BMP"
    if head[4:8] == b"ftyp":
        return _by_brand(head)
    raise UnreadableError(f"it looks like {_look(head)}")


def _by_brand(head: bytes) -> Kind:
    end = int.from_bytes(head[:4])
    brands = {head[8:12], *(head[i : i + 4] for i in range(16, min(end, len(head)), 4))}
    if brands & _AVIF:
        return "AVIF"
    if brands & _HEIC:
        return "HEIC"
    if head[8:12] == b"crx ":
        raise UnreadableError(RAW)
    raise UnreadableError("it looks like a video; export one frame as PNG")


def _look(head: bytes) -> str:
    for start, what in _OTHERS:
        if head.startswith(start):
            return what
    lowered = head.lower()
    if b"<svg" in lowered:
        return "an SVG drawing; export it as PNG"
    if re.search(rb"<(!doctype html|html|head|body)\b", lowered):
        return "a web page; download the picture itself"
    if _is_text(head):
        return f"a text; {WHAT_IS_READ}"
    return f"no picture of a known kind; {WHAT_IS_READ}"


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode()
    except UnicodeDecodeError as error:
        if error.start < HEAD_BYTES - 3:  # else a character is cut where the reading stopped
            return False
        text = head[: error.start].decode()
    return len(text) > 3 and all(c.isprintable() or c in "\t\r\n\f" for c in text)
