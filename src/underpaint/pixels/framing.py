"""A picture's way to the network's size and back."""

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from underpaint.errors import UnderpaintError
from underpaint.geometry import Box, Fit, Padding, Placement, Size, centred, fit_box, padded
from underpaint.pixels.reading import Bytes, Picture
from underpaint.pixels.transparency import composited_on_its_own_colours

# Keeps the most detail of Pillow's filters; overshoot is clipped, as every 8-bit picture's is.
_FILTER = Image.Resampling.LANCZOS


@dataclass(frozen=True, slots=True)
class Frame:
    """How a picture was brought to the network's size, so that the result can be brought back.

    Attributes:
        own: The picture's own size.
        target: The size of the result.
        fit: How the picture goes into a target of another shape.
        work: The size that is rendered, without padding.
        padded: The size of the network's tensors: ``work`` and mirrored margins.
    """

    own: Size
    target: Size
    fit: Fit
    work: Size
    padded: Size

    @property
    def margin(self) -> Padding:
        """The mirrored margins around the rendered part, in pixels of the tensor."""
        return centred(self.work, self.padded)


def frame(
    picture: Picture,
    *,
    target: Size | None = None,
    fit: Fit = "cover",
    work: Size | None = None,
    multiple: int,
    minimum: int,
) -> tuple[Tensor, Frame]:
    """The picture as the network's tensor ``[3, H, W]``, float32, −1…1, and the way back.

    The picture is fitted into ``target`` (default: its own size), resized once to ``work``
    (default: the target) and mirrored outwards to ``minimum`` and to a ``multiple``. It is never
    warped, except by ``fit="stretch"``. Transparent pixels take the colours of their visible
    neighbours: nothing hidden reaches the network.
    """
    target = target or picture.size
    work = work or target
    made = Frame(picture.size, target, fit, work, padded(work, multiple=multiple, minimum=minimum))
    placed = _scaled(fit_box(picture.size, target, fit), target, work)
    image = _cut(picture.to_pil(), placed)
    rgb = composited_on_its_own_colours(np.asarray(image))
    around = _sum(placed.padding, made.margin)
    mirrored = _mirrored(rgb, around)
    x = torch.as_tensor(mirrored).permute(2, 0, 1).to(torch.float32)
    return (x / 127.5 - 1).contiguous(), made


def unframe(x: Tensor, frame: Frame, picture: Picture) -> Image.Image:
    """The result at its target size: ``RGB``, or ``RGBA`` where the picture has an alpha channel.

    Args:
        x: ``[3, H, W]`` at ``frame.padded``, −1…1; what lies beyond is clipped.
        frame: What :func:`frame` returned with the tensor.
        picture: The source, whose alpha is carried on; margins that ``contain`` added are opaque.

    Raises:
        UnderpaintError: ``x`` is not finite, which a network in half precision may come to.
    """
    margin, (width, height) = frame.margin, frame.work
    inner = x[:, margin.top : margin.top + height, margin.left : margin.left + width]
    if not inner.isfinite().all():
        raise UnderpaintError(
            "the model's picture holds numbers that are not finite; try --precision float32"
        )
    image = to_image(inner)
    if frame.work != frame.target:
        image = image.resize(frame.target, _FILTER)
    if picture.alpha is not None:
        image.putalpha(_alpha(picture.alpha, fit_box(frame.own, frame.target, frame.fit)))
    return image


def to_image(x: Tensor) -> Image.Image:
    """The ``RGB`` picture of a tensor ``[3, H, W]``, −1…1; what lies beyond is clipped."""
    scaled = (x.detach().to("cpu", torch.float32) + 1) * 127.5
    rgb = scaled.round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0)
    return Image.fromarray(np.asarray(rgb.contiguous()))


def own_pixels(picture: Picture, target: Size | None = None, fit: Fit = "cover") -> Image.Image:
    """The picture's own pixels at ``target``; bit for bit the source's where the size is its own.

    Margins that ``contain`` adds mirror the picture and are opaque.
    """
    target = target or picture.size
    image = picture.to_pil()
    if target == picture.size:
        return image
    placed = fit_box(picture.size, target, fit)
    cut = _cut(image, placed)
    if not any(placed.padding):
        return cut
    margined = Image.fromarray(_mirrored(np.asarray(cut), placed.padding))
    if picture.alpha is not None:
        margined.putalpha(_alpha(picture.alpha, placed))
    return margined


def _scaled(placed: Placement, target: Size, work: Size) -> Placement:
    """The placement in ``target``, at the scale of ``work``."""
    if work == target:
        return placed
    across, down = work.width / target.width, work.height / target.height
    inner = Size(
        max(1, round(placed.size.width * across)), max(1, round(placed.size.height * down))
    )
    return Placement(placed.crop, inner, centred(inner, work))


def _cut(image: Image.Image, placed: Placement) -> Image.Image:
    """The cropped part at its shown size; untouched where that is the whole at its own size."""
    if placed.size == image.size and placed.crop == Box(0, 0, *image.size):
        return image
    return image.resize(placed.size, _FILTER, box=placed.crop)


def _alpha(alpha: Bytes, placed: Placement) -> Image.Image:
    cut = _cut(Image.fromarray(alpha), placed)
    left, top, right, bottom = placed.padding
    return Image.fromarray(
        np.pad(np.asarray(cut), ((top, bottom), (left, right)), constant_values=255)
    )


def _mirrored(pixels: Bytes, padding: Padding) -> Bytes:
    left, top, right, bottom = padding
    return np.pad(pixels, ((top, bottom), (left, right), (0, 0)), mode="reflect")


def _sum(one: Padding, other: Padding) -> Padding:
    return Padding(*(a + b for a, b in zip(one, other, strict=True)))
