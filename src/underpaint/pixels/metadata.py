"""What a picture file carries beside its pixels."""

import io
import os
from typing import BinaryIO, cast

from PIL import AvifImagePlugin

from underpaint.errors import PictureError
from underpaint.pixels import exif
from underpaint.pixels.contents import Contents, Spliced, UnreadableError
from underpaint.pixels.reading import LIMIT_PX, examine, opened, shown, why_closed


def read_metadata(source: str | os.PathLike[str] | bytes) -> tuple[bytes | None, str | None]:
    """The XMP packet and the infotext of a PNG, JPEG, WebP or AVIF; other kinds carry none.

    The infotext is PNG's text ``parameters``, elsewhere EXIF's ``UserComment``.

    Raises:
        PictureError: The file cannot be read.
    """
    if not isinstance(cast("object", source), str | os.PathLike | bytes):
        raise PictureError(
            "what a result carries is in its file, which is given as a path or its bytes, got "
            f"{type(source).__name__}"
        )
    try:
        with opened(source) as (stream, _):
            kind, contents = examine(stream, LIMIT_PX)
            xmp, block, infotext = contents.xmp, contents.exif, contents.infotext
            if kind == "AVIF":
                xmp, block = _from_avif(stream, contents)
    except UnreadableError as error:
        raise PictureError(f"cannot read {shown(source)}: {error}") from error
    except OSError as error:
        raise PictureError(f"cannot read {shown(source)}: {why_closed(error)}") from error
    if infotext is None and block:
        infotext = exif.user_comment(block)
    return xmp, infotext


def _from_avif(stream: BinaryIO, contents: Contents) -> tuple[bytes | None, bytes | None]:
    """Packet and block; libavif refuses the whole picture where its EXIF is malformed, so once more without."""
    stream.seek(0)
    try:
        return _told_by_avif(stream.read())
    except Exception as error:  # noqa: BLE001 -- decoders raise almost anything; the second try decides
        why = error
    try:
        return _told_by_avif(Spliced(stream, contents.parts_without_exif).readall())
    except Exception:  # noqa: BLE001 -- as before
        raise UnreadableError(f"it is damaged ({why}); export it anew") from None


def _told_by_avif(data: bytes) -> tuple[bytes | None, bytes | None]:
    with AvifImagePlugin.AvifImageFile(io.BytesIO(data)) as image:
        return image.info.get("xmp"), image.info.get("exif")
