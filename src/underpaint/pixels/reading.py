"""Pictures from files, bytes, Pillow images and arrays: safely, upright and in sRGB."""

import hashlib
import io
import os
import stat
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from underpaint.errors import Notice, PictureError
from underpaint.geometry import Size
from underpaint.pixels import exif
from underpaint.pixels.boxes import read_boxes
from underpaint.pixels.colour import to_srgb
from underpaint.pixels.contents import Contents, UnreadableError, check_size
from underpaint.pixels.decoding import BAD_EXIF, Decoded, at_8_bits, decode
from underpaint.pixels.jpeg import read_jpeg
from underpaint.pixels.png import read_png
from underpaint.pixels.sniffing import HEAD_BYTES, WHAT_IS_READ, Kind, sniff
from underpaint.pixels.webp import read_webp

Bytes = NDArray[np.uint8]
Source = str | os.PathLike[str] | bytes | Image.Image | NDArray[np.uint8]

LIMIT_PX = 100_000_000  # what the command line and the library read by default
_LIMIT_BYTES = 2 << 30  # 100 megapixels of 16-bit RGBA take 0.8 GB uncompressed
_WALKS = {
    "PNG": read_png,
    "JPEG": read_jpeg,
    "WebP": read_webp,
    "AVIF": read_boxes,
    "HEIC": read_boxes,
}


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A source picture: upright, 8-bit sRGB. Its EXIF, GPS included, is not kept.

    Attributes:
        rgb: ``[H, W, 3]``, read-only.
        alpha: ``[H, W]``, 255 is opaque, read-only; None where the source has no alpha channel.
        name: The file's name without its folder.
        sha256: Of the file's bytes, or of the upright pixels where there is no file.
        notices: What a person should know about how it was read.
    """

    rgb: Bytes
    alpha: Bytes | None = None
    name: str | None = None
    sha256: str = ""
    notices: tuple[Notice, ...] = ()

    @property
    def size(self) -> Size:
        """Width and height in pixels."""
        return Size(self.rgb.shape[1], self.rgb.shape[0])

    @property
    def is_flat(self) -> bool:
        """Whether every visible colour lies within what 8 bits and a JPEG make of one: 2 of 255."""
        everything = self.rgb.reshape(-1, 3)
        seen = everything if self.alpha is None else everything[self.alpha.ravel() > 0]
        return not len(seen) or int((seen.max(axis=0) - seen.min(axis=0)).max()) <= 2

    def to_pil(self) -> Image.Image:
        """The picture as Pillow's ``RGB``, or ``RGBA`` where it has an alpha channel."""
        if self.alpha is None:
            return Image.fromarray(self.rgb)
        return Image.fromarray(np.dstack([self.rgb, self.alpha]))


def read(source: Source | Picture, *, limit_px: int = LIMIT_PX) -> Picture:
    """The picture in a file, in bytes, in a Pillow image or in an array.

    Args:
        source: A path; a file's bytes; a Pillow image (its profile and orientation are applied); or
            an array ``[H, W]``, ``[H, W, 3]`` or ``[H, W, 4]`` of bytes in sRGB; a picture that was
            read already comes back as it is.
        limit_px: The most pixels that are read; larger pictures are refused before decoding.

    Raises:
        PictureError: It cannot be read; the message is one sentence that says why.
    """
    if isinstance(source, Picture):
        return source
    try:
        if isinstance(source, np.ndarray):
            return _from_array(source, limit_px)
        if isinstance(source, Image.Image):
            return _from_pillow(source, limit_px)
        with opened(source) as (stream, name):
            return _from_stream(stream, name, limit_px)
    except UnreadableError as error:
        raise PictureError(f"cannot read {shown(source)}: {error}") from error
    except OSError as error:  # a disk or a share that fails while it is read
        raise PictureError(f"cannot read {shown(source)}: {why_closed(error)}") from error


@contextmanager
def opened(source: str | os.PathLike[str] | bytes) -> Generator[tuple[BinaryIO, str | None]]:
    """The source as a stream, and its name without the folder; a pipe or device never blocks.

    Raises:
        UnreadableError: There is no file that can be read.
    """
    if isinstance(source, bytes):
        yield io.BytesIO(source), None
        return
    path = Path(_as_path(source))
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise UnreadableError(_not_a_file(path))
        # What was a file may be a pipe by now; opened like this, it does not wait for a writer.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        file = os.fdopen(os.open(path, flags), "rb")
    except OSError as error:
        raise UnreadableError(why_closed(error)) from error
    except ValueError as error:
        raise UnreadableError("that is no name a file can have; check the path") from error
    with file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise UnreadableError(_not_a_file(path))
        yield file, os.fsencode(path.name).decode("utf-8", "replace")


def examine(stream: BinaryIO, limit_px: int) -> tuple[Kind, Contents]:
    """The kind of file in the stream, and what its container says; decodes no pixel.

    Raises:
        UnreadableError: It is empty, of another kind, damaged or too large.
    """
    length = stream.seek(0, os.SEEK_END)
    if length == 0:
        raise UnreadableError(f"it is empty; {WHAT_IS_READ}")
    if length > _LIMIT_BYTES:
        raise UnreadableError(
            f"the file is {length / 1e9:.1f} GB long and at most {_LIMIT_BYTES / 1e9:.1f} are "
            "read; scale the picture down first"
        )
    stream.seek(0)
    kind = sniff(stream.read(HEAD_BYTES))
    walk = _WALKS.get(kind)
    return kind, walk(stream, length, limit_px) if walk else Contents()


def _from_stream(stream: BinaryIO, name: str | None, limit_px: int) -> Picture:
    kind, contents = examine(stream, limit_px)
    decoded = decode(kind, stream, contents, limit_px)
    return _picture(decoded, name=name, sha256=_sha256(stream))


def _sha256(stream: BinaryIO) -> str:
    digest = hashlib.sha256()
    stream.seek(0)
    while block := stream.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


def _from_pillow(image: Image.Image, limit_px: int) -> Picture:
    check_size(Size(*image.size), limit_px)
    try:
        image.load()
    except Exception as error:  # the plugins raise almost anything on damaged bytes
        raise UnreadableError(f"it is damaged ({error}); export it anew") from error
    notices = (at_8_bits(16),) if image.mode.startswith("I;16") else ()
    decoded = Decoded(image, image.info.get("icc_profile"), image.info.get("exif"), notices)
    return _picture(decoded)


def _from_array(array: NDArray[np.uint8], limit_px: int) -> Picture:
    if array.dtype != np.uint8:
        raise UnreadableError(
            f"its numbers are {array.dtype} and only uint8 from 0 to 255 is read; "
            "scale it to that range first"
        )
    if array.ndim not in {2, 3} or (array.ndim == 3 and array.shape[2] not in {3, 4}):
        raise UnreadableError(
            f"its shape is {list(array.shape)} and only [H, W], [H, W, 3] and [H, W, 4] are read"
        )
    check_size(Size(array.shape[1], array.shape[0]), limit_px)
    rgb = np.repeat(array[..., None], 3, axis=2) if array.ndim == 2 else array[..., :3]
    alpha = array[..., 3] if array.ndim == 3 and array.shape[2] == 4 else None
    return _frozen(rgb, alpha, notices=())


def _picture(decoded: Decoded, *, name: str | None = None, sha256: str = "") -> Picture:
    """The decoded picture in sRGB, upright, with the notices of every step."""
    rgb, alpha, ignored = to_srgb(
        decoded.image, decoded.icc, full_scale=decoded.full_scale, inverted=decoded.inverted
    )
    turn = exif.orientation(decoded.exif) if decoded.exif else 1
    notices = [*decoded.notices, *ignored]
    if turn is None:
        notices.append(BAD_EXIF)
    return _frozen(
        _upright(rgb, turn or 1),
        None if alpha is None else _upright(alpha, turn or 1),
        name=name,
        sha256=sha256,
        notices=tuple(notices),
    )


def _frozen(
    rgb: Bytes,
    alpha: Bytes | None,
    *,
    name: str | None = None,
    sha256: str = "",
    notices: tuple[Notice, ...],
) -> Picture:
    rgb = np.array(rgb, order="C")
    rgb.flags.writeable = False
    if alpha is not None:
        alpha = np.array(alpha, order="C")
        alpha.flags.writeable = False
        if not alpha.any():
            notices += (
                Notice(
                    "transparent",
                    "every pixel of the picture is transparent; it is painted as plain white",
                ),
            )
    return Picture(rgb, alpha, name, sha256 or _pixels_sha256(rgb, alpha), notices)


def _pixels_sha256(rgb: Bytes, alpha: Bytes | None) -> str:
    digest = hashlib.sha256(str(rgb.shape).encode())
    digest.update(rgb.data)
    if alpha is not None:
        digest.update(alpha.data)
    return digest.hexdigest()


def _upright(pixels: Bytes, orientation: int) -> Bytes:
    """The pixels as they were seen (CIPA DC-008, tag 0x0112)."""
    if orientation in {5, 6, 7, 8}:
        pixels = pixels.swapaxes(0, 1)
    if orientation in {2, 3, 6, 7}:
        pixels = pixels[:, ::-1]
    if orientation in {3, 4, 7, 8}:
        pixels = pixels[::-1]
    return pixels


def _as_path(source: object) -> str:
    if not isinstance(source, str | os.PathLike):
        raise UnreadableError(
            f"it is {type(source).__name__}, and a picture is given as a path, bytes, a Pillow "
            "image or an array"
        )
    path = os.fsdecode(cast("str | os.PathLike[str]", source))
    if path.startswith(("http://", "https://", "data:", "file:")):
        raise UnreadableError("it is an address and only files are read; download it first")
    return path


def _not_a_file(path: Path) -> str:
    if path.is_dir():
        return "it is a folder; name a picture in it"
    return "it is a pipe or a device; name a file"


def why_closed(error: OSError) -> str:
    """Why a file could not be opened or read."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file; check the path"
    if isinstance(error, PermissionError):
        return "you may not open it; change its permissions"
    return f"{error.strerror or error}; check the path"


def shown(source: Source) -> str:
    """What was given, in a form that any terminal can print."""
    if isinstance(source, np.ndarray):
        return "the array"
    if isinstance(source, Image.Image):
        return "the Pillow image"
    if isinstance(source, bytes):
        return "the picture given as bytes"
    text = repr(source if isinstance(source, str) else str(source))
    return text if len(text) <= 200 else f"{text[:80]}…{text[-100:]}"
