"""From any mode, depth and profile to 8-bit sRGB and alpha."""

import io
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from underpaint.errors import Notice
from underpaint.pixels.contents import LONGEST_PROFILE_BYTES, UnreadableError

_ALPHA_MODES = {"LA", "La", "PA", "RGBA", "RGBa"}
_DEEP_GREY = {"I;16", "I;16L", "I;16B", "I;16N"}
_PROFILE_SPACES = {"RGB": "RGB ", "L": "GRAY", "CMYK": "CMYK", "LAB": "Lab "}

# Relative colorimetric with black-point compensation is what browsers and editors show: colours
# that sRGB holds stay exact, and the black of paper becomes the black of the screen.
_INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC
_FLAGS = ImageCms.Flags.BLACKPOINTCOMPENSATION

BAD_PROFILE = Notice(
    "bad-profile",
    "the picture's colour profile is damaged, too long or for another kind of picture; it was "
    "ignored and the colours were read as sRGB",
)


def srgb_profile() -> bytes:
    """The ICC profile that results are tagged with; the same bytes at every call."""
    made = bytearray(_standard("sRGB").tobytes())
    made[24:36] = bytes(12)  # the moment of its making (ICC.1:2022, 7.2.8)
    return bytes(made)


def to_srgb(
    image: Image.Image, icc: bytes | None, *, full_scale: int = 65535, inverted: bool = False
) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None, tuple[Notice, ...]]:
    """The picture's colours ``[H, W, 3]`` and alpha ``[H, W]``, and what was ignored.

    Args:
        image: A decoded picture of any mode.
        icc: Its colour profile; empty bytes for one that is known to be unusable.
        full_scale: What white is in a grey picture of more than 8 bits.
        inverted: Whether such a picture counts from white to black.

    Raises:
        UnreadableError: Its numbers have no known white.
    """
    base, alpha = _split(image, full_scale=full_scale, inverted=inverted)
    notices: tuple[Notice, ...] = ()
    if icc is not None:
        converted = _by_profile(base, icc)
        base, notices = (base, (BAD_PROFILE,)) if converted is None else (converted, ())
    if base.mode == "LAB":
        base = _converted(base, _standard("LAB"))
    if base.mode != "RGB":
        base = base.convert("RGB")
    return np.array(base), None if alpha is None else np.array(alpha), notices


def _standard(space: Literal["sRGB", "LAB"]) -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(cast("Any", ImageCms).createProfile(space))


def _split(
    image: Image.Image, *, full_scale: int, inverted: bool
) -> tuple[Image.Image, Image.Image | None]:
    """The colours as ``L``, ``RGB``, ``CMYK`` or ``LAB``, and the alpha."""
    if image.mode in _DEEP_GREY:
        clear = image.info.get("transparency")
        seen = np.asarray(image) != clear if isinstance(clear, int) else None
        alpha = None if seen is None else Image.fromarray(seen.astype(np.uint8) * 255)
        return _eight_bits(image, full_scale=full_scale, inverted=inverted), alpha
    if image.mode in {"I", "F"}:
        raise UnreadableError(
            "its pixels are 32-bit numbers without a known white; export it with 8 or 16 bits"
        )
    try:
        return _split_by_mode(image)
    except (ValueError, TypeError) as error:
        raise UnreadableError(
            f"its pixels are of the mode {image.mode}, which is not read; convert it to RGB"
        ) from error


def _split_by_mode(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    if image.mode in _ALPHA_MODES or "transparency" in image.info:
        # premultiplied grey has a way there that only leads through the other
        rgba = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
        alpha = rgba.getchannel("A")
        grey = image.mode in {"LA", "La", "L", "1"}
        return (rgba.getchannel("R") if grey else rgba.convert("RGB")), alpha
    if image.mode == "1":
        return image.convert("L"), None
    if image.mode in _PROFILE_SPACES:
        return image, None
    return image.convert("RGB"), None


def _eight_bits(image: Image.Image, *, full_scale: int, inverted: bool) -> Image.Image:
    deep = np.asarray(image).astype(np.uint32).clip(0, full_scale)
    grey = ((deep * 255 + full_scale // 2) // full_scale).astype(np.uint8)
    return Image.fromarray(255 - grey if inverted else grey)


def _by_profile(base: Image.Image, icc: bytes) -> Image.Image | None:
    """The picture in sRGB, or None where the profile cannot be used for it."""
    if len(icc) > LONGEST_PROFILE_BYTES:
        return None
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        space = cast("Any", profile).profile.xcolor_space
        if base.mode == "L" and space == "RGB ":
            base = base.convert("RGB")
        if base.mode == "RGB" and space == "GRAY" and _is_grey(base):  # some decoders widen grey
            base = base.getchannel("R")
        if _PROFILE_SPACES[base.mode] != space:
            return None
        if base.mode in {"RGB", "L"} and _changes_nothing(profile, base.mode):
            return base
        return _converted(base, profile)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


def _is_grey(image: Image.Image) -> bool:
    red, green, blue = image.split()
    return red.tobytes() == green.tobytes() == blue.tobytes()


def _changes_nothing(profile: ImageCms.ImageCmsProfile, mode: str) -> bool:
    """Whether the profile is sRGB in all but name, so that no pixel need be touched.

    Makers round sRGB's curve and primaries differently; one step of 255 is that rounding.
    """
    if mode == "L":
        probe = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    else:
        steps = np.linspace(0, 255, 18).astype(np.uint8)
        grid = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(1, -1, 3)
        probe = Image.fromarray(np.ascontiguousarray(grid))
    before = np.asarray(probe.convert("RGB")).astype(int)
    after = np.asarray(_converted(probe, profile)).astype(int)
    return bool(np.abs(before - after).max() <= 1)


def _converted(image: Image.Image, profile: ImageCms.ImageCmsProfile) -> Image.Image:
    srgb = _standard("sRGB")
    transform = ImageCms.buildTransform(profile, srgb, image.mode, "RGB", _INTENT, _FLAGS)
    made = ImageCms.applyTransform(image, transform)
    if made is None:
        raise ValueError("no picture came of the conversion")
    return made
