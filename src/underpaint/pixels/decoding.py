"""Pixels out of files whose container has been examined."""

import io
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, BinaryIO, cast

import numpy as np
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from underpaint.errors import Notice
from underpaint.geometry import Size
from underpaint.pixels.contents import CUT_SHORT, Contents, Spliced, UnreadableError, check_size
from underpaint.pixels.sniffing import RAW, Kind

# The decoders are named one by one, so that no other plugin ever sees the bytes; opening them
# without Image.open also leaves Pillow's process-wide limits, flags and warnings alone.
_DECODERS: dict[Kind, type[ImageFile.ImageFile]] = {
    "PNG": PngImagePlugin.PngImageFile,
    "JPEG": JpegImagePlugin.JpegImageFile,
    "WebP": WebPImagePlugin.WebPImageFile,
    "AVIF": AvifImagePlugin.AvifImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
}

# A camera that loses power in the last rows leaves a picture; half a picture is a mistake.
_LARGEST_MISSING_SHARE = 0.05
_TALLEST_UNIT_PX = 32  # a JPEG is coded in rows of blocks of at most this height (T.81, A.2.3)

_FIRST_FRAME = Notice(
    "first-frame", "the file holds more than one picture; the first one was taken"
)
_OTHER_COLOURS = Notice(
    "other-colours",
    "the picture says that its colours are not sRGB's (wide gamut, HDR or another gamma), in a way that is "
    "not read; they were taken for sRGB, so convert it to sRGB first if they look wrong",
)
_TRUNCATED = Notice(
    "truncated", "the JPEG ends before its end marker; what is missing was filled by the decoder"
)

BAD_EXIF = Notice(
    "bad-exif",
    "the picture's EXIF block is damaged or names an impossible orientation; it was ignored and the "
    "picture taken as it is stored",
)

_BITS_PER_SAMPLE, _PHOTOMETRIC, _ORIENTATION = 258, 262, 274
_SUBFILE, _DNG_VERSION = 254, 50706


@dataclass(frozen=True, slots=True)
class Decoded:
    """A decoded picture that is not yet upright nor in sRGB.

    Attributes:
        image: The pixels as they are stored.
        icc: The colour profile; empty bytes for one that cannot be used.
        exif: The EXIF block, whose orientation is still to be applied.
        notices: What a person should know so far.
        full_scale: What white is in a grey picture of more than 8 bits.
        inverted: Whether such a picture counts from white to black.
    """

    image: Image.Image
    icc: bytes | None = None
    exif: bytes | None = None
    notices: tuple[Notice, ...] = ()
    full_scale: int = 65535
    inverted: bool = False


def decode(kind: Kind, stream: BinaryIO, contents: Contents, limit_px: int) -> Decoded:
    """The first picture in the file.

    Raises:
        UnreadableError: It is damaged, too large, or its decoder is not installed.
    """
    try:
        if kind == "HEIC":
            return _heic(stream, contents, limit_px)
        if kind == "TIFF":
            return _tiff(stream, limit_px)
        if kind == "AVIF" and contents.parts_without_exif:
            return _avif(stream, contents, limit_px)
        return _plain(kind, stream, contents, limit_px)
    except UnreadableError:
        raise
    except Exception as error:  # decoders raise almost anything on damaged bytes
        raise UnreadableError(
            f"it is damaged or of an unusual kind ({_first_line(error)}); export it anew as PNG"
        ) from error


def _plain(kind: Kind, stream: BinaryIO, contents: Contents, limit_px: int) -> Decoded:
    notices: list[Notice] = []
    tail = b""
    if not contents.whole:
        _refuse_a_part(stream, contents)
        tail = b"\xff\xd9"
        notices.append(_TRUNCATED)
    image = _opened(_DECODERS[kind], _pixels_alone(stream, contents, tail), limit_px)
    more = contents.more_frames
    if kind in {"AVIF", "GIF"}:
        more = cast("Any", image).is_animated
    if kind == "GIF":
        image = _opened(_DECODERS[kind], _pixels_alone(stream, contents, tail), limit_px)
    image.load()
    if kind == "PNG":
        _at_8_bits_too(image, stream)
    if more:
        notices.append(_FIRST_FRAME)
    if contents.depth > 8:
        notices.append(at_8_bits(contents.depth))
    if contents.other_colours and contents.icc is None and "icc_profile" not in image.info:
        notices.append(_OTHER_COLOURS)
    icc = contents.icc if contents.icc is not None else image.info.get("icc_profile")
    exif = contents.exif or image.info.get("exif")
    return Decoded(image, icc, exif, tuple(notices))


def _at_8_bits_too(image: ImageFile.ImageFile, stream: BinaryIO) -> None:
    """Brings the colour that is transparent to the depth of the decoded pixels (PNG, 11.3.1.1)."""
    stream.seek(24)  # the depth in the first chunk
    depth, clear = stream.read(1)[0], image.info.get("transparency")
    if isinstance(clear, int) and image.mode == "L" and depth in {2, 4}:
        image.info["transparency"] = clear * 255 // (2**depth - 1)
    elif isinstance(clear, tuple) and depth == 16:
        image.info["transparency"] = tuple(one >> 8 for one in cast("tuple[int, ...]", clear))


def _avif(stream: BinaryIO, contents: Contents, limit_px: int) -> Decoded:
    """An AVIF with an EXIF block: libavif refuses the whole picture where that is malformed."""
    try:
        return _plain("AVIF", stream, contents, limit_px)
    except UnreadableError:
        raise
    except Exception:  # noqa: BLE001 -- decoders raise almost anything; the second try decides
        hidden = replace(contents, parts=contents.parts_without_exif)
        decoded = _plain("AVIF", stream, hidden, limit_px)
        return replace(decoded, notices=(BAD_EXIF, *decoded.notices))


def _pixels_alone(stream: BinaryIO, contents: Contents, tail: bytes) -> BinaryIO:
    """The file without what stands around its pixels, followed by ``tail``."""
    stream.seek(0)
    if not contents.parts:
        return stream
    return io.BufferedReader(Spliced(stream, (*contents.parts, tail)))


def _opened(
    decoder: Callable[[BinaryIO], ImageFile.ImageFile], stream: BinaryIO, limit_px: int
) -> ImageFile.ImageFile:
    image = decoder(stream)
    check_size(Size(*image.size), limit_px)
    return image


def _refuse_a_part(stream: BinaryIO, contents: Contents) -> None:
    """Refuses a JPEG without an end marker of which more than the last rows is missing.

    What the file decides is what two decodings share: one that meets the end where the file
    ends, and one that reads noise from there on.
    """
    if not contents.every_scan:
        raise UnreadableError(CUT_SHORT)
    noise = random.Random(0).randbytes(1 << 16).replace(b"\xff", b"\0")  # noqa: S311 -- no secret
    scale = 2 if contents.progressive else 8  # the last scans touch fine detail, others every mean
    ends = [
        _reduced(_pixels_alone(stream, contents, tail), scale)
        for tail in (b"\xff\xd9", b"\0" + noise + b"\xff\xd9")
    ]
    differs = (ends[0] != ends[1]).any(axis=2)
    if differs.any():
        # The noise may end before the picture does; then the first row that differs tells.
        first_row = int(differs.any(axis=1).argmax()) + _TALLEST_UNIT_PX // scale
        if max(differs.mean(), 1 - first_row / len(differs)) > _LARGEST_MISSING_SHARE:
            raise UnreadableError(CUT_SHORT)


def _reduced(stream: BinaryIO, scale: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    with JpegImagePlugin.JpegImageFile(stream) as image:
        image.draft(None, (max(1, image.width // scale), max(1, image.height // scale)))
        pixels = np.array(image)
    return pixels.reshape(*pixels.shape[:2], -1)


def _tiff(stream: BinaryIO, limit_px: int) -> Decoded:
    stream.seek(0)
    image = TiffImagePlugin.TiffImageFile(stream)
    check_size(Size(*image.size), limit_px)
    tags = cast("dict[int, Any]", image.tag_v2)
    depth = max(tags.get(_BITS_PER_SAMPLE, (1,)))
    if _DNG_VERSION in tags or tags.get(_SUBFILE, 0) & 1:
        raise UnreadableError(RAW)
    notices = [_FIRST_FRAME] if image.is_animated else []
    if depth > 8:
        notices.append(at_8_bits(depth))
    if tags.get(_ORIENTATION, 1) not in range(1, 9):
        notices.append(BAD_EXIF)
    inverted = tags.get(_PHOTOMETRIC) == 0 and depth > 8
    icc = image.info.get("icc_profile")
    image.load()  # turns the picture upright as well
    return Decoded(image, icc, None, tuple(notices), (1 << min(depth, 16)) - 1, inverted)


def _heic(stream: BinaryIO, contents: Contents, limit_px: int) -> Decoded:
    try:
        import pillow_heif  # noqa: PLC0415 -- an extra, and only these files need it
    except ImportError as error:
        raise UnreadableError(
            "it is a HEIC picture and the reader for those is not installed; "
            "pip install 'underpaint[heif]', or export it as JPEG"
        ) from error
    stream.seek(0)
    # libheif turns the picture upright itself, and the plugin then says so in the EXIF block.
    image = _opened(cast("Any", pillow_heif).HeifImageFile, stream, limit_px)
    notices = [_FIRST_FRAME] if cast("Any", image).is_animated else []
    if contents.depth > 8:
        notices.append(at_8_bits(contents.depth))
    image.load()
    return Decoded(image, image.info.get("icc_profile"), image.info.get("exif"), tuple(notices))


def at_8_bits(depth: int) -> Notice:
    """The notice that a deeper picture is read at 8 bits a channel."""
    return Notice(
        "bit-depth", f"the picture has {depth} bits a channel; it was read at 8, all that is used"
    )


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:120]
