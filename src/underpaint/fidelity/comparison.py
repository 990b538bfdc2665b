"""The measures of a pair of pictures, at fixed resolutions."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from underpaint import pixels
from underpaint.errors import PictureError
from underpaint.fidelity.colours import delta_e_2000, lab, palette_distance
from underpaint.fidelity.edges import edge_f1
from underpaint.fidelity.structure import luminance, ms_ssim
from underpaint.geometry import Size
from underpaint.pixels import Picture, Source

STRUCTURE_SIDE_PX = 512  # the longer side; what is finer hardly weighs in structure
DETAIL_SIDE_PX = 256  # for edges and colour: outlines a person would draw, colours seen at a glance
DIGITS = 4
SHAPE_TOLERANCE = 0.02  # others round sides to multiples of 8, which bends a shape by so much


@dataclass(frozen=True, slots=True)
class Comparison:
    """How far a result strayed from its source, each figure rounded to four digits.

    Attributes:
        structure: Multi-scale SSIM of luminance, 1 (equal) to .001: composition, shapes and texture;
            the longer side at most 512 px. Above .8 a viewer calls it the same picture; a different
            picture of the same kind has .1 to .3.
        edges: F1 score of outlines, 1 (the same) to 0; the longer side at most 256 px.
        delta_e: Mean CIEDE2000 of pixels in the same place, 0 (equal), about 2 (seen when pointed
            to), 10 (seen at a glance), 100 (black against white); the longer side at most 256 px.
        palette: Distance of the palettes wherever their colours lie, 0 to 100 (black against white; up to
            about 250 between pure colours) in units of ΔE 1976; the longer side at most 256 px. Small beside a large ``delta_e`` says that
            colours moved about; large says that they changed.
    """

    structure: float
    edges: float
    delta_e: float
    palette: float


def compare(source: Source | Picture, result: Source | Picture) -> Comparison:
    """How far ``result`` strayed from ``source``; both are anything that a render reads.

    They must have one shape, to 2 %; where their sizes differ, the smaller one's is taken.
    Transparent parts are seen on white.

    Raises:
        PictureError: one of them cannot be read, or their shapes differ.
    """
    return compare_images(*(pixels.read(one).to_pil() for one in (source, result)))


def compare_images(source: Image.Image, result: Image.Image) -> Comparison:
    """The same for two upright sRGB images, ``RGB`` or ``RGBA``."""
    pair = at_one_size(source, result, longest_px=STRUCTURE_SIDE_PX)
    small = at_one_size(*pair, longest_px=DETAIL_SIDE_PX)
    colours = [lab(np.asarray(one)) for one in small]
    figures = (
        ms_ssim(*map(luminance, pair)),
        edge_f1(*map(luminance, small)),
        float(delta_e_2000(*colours).mean()),
        palette_distance(*colours),
    )
    return Comparison(*(round(figure, DIGITS) for figure in figures))


def at_one_size(
    source: Image.Image, result: Image.Image, *, longest_px: int
) -> tuple[Image.Image, Image.Image]:
    """Both as ``RGB`` on white at the smaller one's size, its longer side at most ``longest_px``.

    Raises:
        PictureError: their shapes differ.
    """
    ours, theirs = Size(*source.size), Size(*result.size)
    smaller = min(ours, theirs, key=lambda size: size.area)
    one, other = ours.width * theirs.height, theirs.width * ours.height
    rounding = smaller.width + smaller.height  # each side may be a pixel off
    if abs(one - other) > max(SHAPE_TOLERANCE * max(one, other), rounding):
        raise PictureError(
            f"the pictures are {ours} and {theirs}, and only pictures of one shape can be compared; "
            "crop one of them to the other's"
        )
    scale = min(1.0, longest_px / max(smaller))
    size = Size(*(max(1, round(side * scale)) for side in smaller))
    return _on_white(source, size), _on_white(result, size)


def _on_white(image: Image.Image, size: Size) -> Image.Image:
    if image.mode == "RGBA":
        ground = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(ground, image)
    image = image.convert("RGB")
    return image if image.size == size else image.resize(size, Image.Resampling.BILINEAR)
