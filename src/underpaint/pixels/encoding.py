"""Results as the bytes of a file: tagged sRGB, with metadata, the same bytes every time."""

import hashlib
import io
import os
import re
from pathlib import PurePath

from PIL import Image, PngImagePlugin

from underpaint.errors import Notice, OutputError
from underpaint.pixels.colour import srgb_profile
from underpaint.pixels.exif import PREFIX as EXIF_PREFIX
from underpaint.pixels.exif import with_user_comment
from underpaint.pixels.jpeg import MORE_XMP_PREFIX, XMP_PREFIX
from underpaint.pixels.png import INFOTEXT_KEYWORD, XMP_KEYWORD

_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".avif": "AVIF"}
_LONGEST_SIDES_PX = {"JPEG": 65_500, "WEBP": 16_383, "AVIF": 65_535, "PNG": 1 << 31}
_JPEG_QUALITY, _WEBP_QUALITY, _AVIF_QUALITY = 95, 95, 90  # no loss a person sees side by side
_PNG_LEVEL = 6  # zlib's own middle

_SEGMENT_BYTES = 65_533  # what a JPEG segment holds (T.81, B.1.1.4)
_JPEG_INFOTEXT_BYTES = _SEGMENT_BYTES - 100  # less the EXIF around it


def suffix_of(path: str | os.PathLike[str]) -> str:
    """The ending of a file's name that decides its format, in lower case.

    Raises:
        OutputError: No picture is written under that ending.
    """
    suffix = PurePath(path).suffix.lower()
    if suffix not in _FORMATS:
        given = f"the ending {suffix!r}" if suffix else "no ending"
        raise OutputError(
            f"{str(path)!r} has {given}; name the result with .png, .jpg, .jpeg, .webp or .avif"
        )
    return suffix


def encode(
    image: Image.Image, suffix: str, *, xmp: bytes | None = None, infotext: str | None = None
) -> bytes:
    """The bytes of a picture file, tagged sRGB; the same picture and metadata give the same bytes.

    Args:
        image: ``RGB`` or ``RGBA`` in sRGB. JPEG has no alpha: there it is laid on white.
        suffix: ``.png``, ``.jpg``, ``.jpeg``, ``.webp`` or ``.avif``.
        xmp: An XMP packet.
        infotext: The text that other web UIs read: PNG's ``parameters``, elsewhere ``UserComment``.
            A JPEG holds some 32,000 characters of it and leaves a longer one out.

    Raises:
        OutputError: The format is unknown or cannot hold a picture of that size.
    """
    kind = _FORMATS[suffix_of(f"result{suffix}")]
    longest = _LONGEST_SIDES_PX[kind]
    if max(image.size) > longest:
        raise OutputError(
            f"a {kind} picture has at most {longest} pixels a side and this one is "
            f"{image.width}x{image.height}; write a .png instead"
        )
    clean = _without_attachments(image)
    if kind == "PNG":
        return _png(clean, xmp, infotext)
    if kind == "JPEG":
        return _jpeg(clean, xmp, infotext)
    exif = with_user_comment(infotext) if infotext else b""
    if kind == "WEBP":
        return _saved(clean, kind, xmp, exif, quality=_WEBP_QUALITY, method=4)
    return _saved(clean, kind, xmp, exif, quality=_AVIF_QUALITY, subsampling="4:4:4")


def encoding_notices(
    image: Image.Image, suffix: str, *, infotext: str | None = None
) -> tuple[Notice, ...]:
    """What :func:`encode` would have to leave out of such a file."""
    if _FORMATS.get(suffix) != "JPEG":
        return ()
    notices: list[Notice] = []
    if image.has_transparency_data:
        notices.append(
            Notice("flattened", "a JPEG has no transparency; the picture was laid on white")
        )
    if infotext and len(EXIF_PREFIX + with_user_comment(infotext)) > _JPEG_INFOTEXT_BYTES:
        notices.append(
            Notice(
                "infotext-left-out",
                "the settings as text are too long for a JPEG; only the recipe was written",
            )
        )
    return tuple(notices)


def _without_attachments(image: Image.Image) -> Image.Image:
    """The pixels as ``RGB`` or ``RGBA``, without what Pillow would copy into the file."""
    clean = image.convert("RGBA" if image.has_transparency_data else "RGB")
    clean = clean.copy() if clean is image else clean
    clean.info = {}
    return clean


def _png(image: Image.Image, xmp: bytes | None, infotext: str | None) -> bytes:
    text = PngImagePlugin.PngInfo()
    if infotext:
        text.add_text(INFOTEXT_KEYWORD, infotext)
    if xmp:
        text.add_itxt(XMP_KEYWORD, xmp)
    made = io.BytesIO()
    image.save(made, "PNG", pnginfo=text, icc_profile=srgb_profile(), compress_level=_PNG_LEVEL)
    return made.getvalue()


def _jpeg(image: Image.Image, xmp: bytes | None, infotext: str | None) -> bytes:
    if image.mode == "RGBA":
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image).convert("RGB")
    exif = EXIF_PREFIX + with_user_comment(infotext) if infotext else b""
    exif = exif if len(exif) <= _JPEG_INFOTEXT_BYTES else b""
    segments = _xmp_segments(xmp) if xmp else b""
    return _saved(
        image, "JPEG", None, exif, quality=_JPEG_QUALITY, subsampling="4:4:4", extra=segments
    )


def _saved(
    image: Image.Image,
    kind: str,
    xmp: bytes | None,
    exif: bytes,
    *,
    quality: int,
    subsampling: str | None = None,
    method: int | None = None,
    extra: bytes | None = None,
) -> bytes:
    options = {"xmp": xmp, "exif": exif, "subsampling": subsampling, "method": method}
    options |= {"extra": extra}
    given = {name: value for name, value in options.items() if value}
    made = io.BytesIO()
    image.save(made, kind, quality=quality, icc_profile=srgb_profile(), **given)
    return made.getvalue()


def _xmp_segments(xmp: bytes) -> bytes:
    """The packet in one JPEG segment, or a note that names it and as many as it needs.

    The note says too where the pixels come from: many readers follow it no further.

    Source: XMP specification part 3, section 1.1.3.1, "Extended XMP in JPEG".
    """
    if len(XMP_PREFIX) + len(xmp) <= _SEGMENT_BYTES:
        return _segment(XMP_PREFIX + xmp)
    guid = hashlib.md5(xmp, usedforsecurity=False).hexdigest().upper().encode()
    room = _SEGMENT_BYTES - len(MORE_XMP_PREFIX) - 40
    origin = _ORIGIN.search(xmp)
    segments = [_segment(XMP_PREFIX + _NOTE % (guid, origin[0] if origin else b""))]
    for start in range(0, len(xmp), room):
        header = MORE_XMP_PREFIX + guid + len(xmp).to_bytes(4) + start.to_bytes(4)
        segments.append(_segment(header + xmp[start : start + room]))
    return b"".join(segments)


def _segment(body: bytes) -> bytes:
    return b"\xff\xe1" + (len(body) + 2).to_bytes(2) + body


_NOTE = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:xmpNote="http://ns.adobe.com/xmp/note/"'
    b' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
    b' xmpNote:HasExtendedXMP="%s">%s</rdf:Description></rdf:RDF></x:xmpmeta>'
)
_ORIGIN = re.compile(  # as our own packets have it
    rb"<Iptc4xmpExt:DigitalSourceType>[^<]{1,999}</Iptc4xmpExt:DigitalSourceType>"
)
