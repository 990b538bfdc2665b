"""What a picture file carries beside its pixels."""

import io
import os

from PIL import AvifImagePlugin

from underpaint.errors import PictureError
from underpaint.pixels import exif
from underpaint.pixels.contents import UnreadableError
from underpaint.pixels.reading import LIMIT_PX, examine, opened, shown, why_closed


def read_metadata(source: str | os.PathLike[str] | bytes) -> tuple[bytes | None, str | None]:
    """The XMP packet and the infotext of a PNG, JPEG, WebP or AVIF; other kinds carry none.

    The infotext is PNG's text ``parameters``, elsewhere EXIF's ``UserComment``.

    Raises:
        PictureError: The file cannot be read.
    """
    try:
        with opened(source) as (stream, _):
            kind, contents = examine(stream, LIMIT_PX)
            xmp, block, infotext = contents.xmp, contents.exif, contents.infotext
            if kind == "AVIF":
                stream.seek(0)
                xmp, block = _from_avif(stream.read())
    except UnreadableError as error:
        raise PictureError(f"cannot read {shown(source)}: {error}") from error
    except OSError as error:
        raise PictureError(f"cannot read {shown(source)}: {why_closed(error)}") from error
    if infotext is None and block:
        infotext = exif.user_comment(block)
    return xmp, infotext


def _from_avif(data: bytes) -> tuple[bytes | None, bytes | None]:
    try:
        with AvifImagePlugin.AvifImageFile(io.BytesIO(data)) as image:
            return image.info.get("xmp"), image.info.get("exif")
    except Exception as error:  # decoders raise almost anything on damaged bytes
        raise UnreadableError(f"it is damaged ({error}); export it anew") from error
