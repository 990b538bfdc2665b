"""How different two colours look, so that a network can learn from it: CIEDE2000 without its turn of the blues.

Sharma, Wu and Dalal 2005, "The CIEDE2000 color-difference formula"; near grey and in the dark a step of a channel is seen
several times as well as elsewhere.
"""

from __future__ import annotations

import torch
from torch import Tensor

TO_XYZ = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041))  # fmt: skip
WHITE = (0.95047, 1.0, 1.08883)  # D65
LEAST_DIFFERENCE = 0.05  # where the root's slope would have no end


def lab(pixels: Tensor) -> Tensor:
    """CIELAB `[n, 3, h, w]` of sRGB, -1...1, cut there."""
    rgb = pixels.float().add(1).div(2).clamp(0, 1)
    linear = torch.where(
        rgb <= 0.04045, rgb / 12.92, ((rgb.clamp_min(0.04045) + 0.055) / 1.055) ** 2.4
    )
    ratios = torch.einsum("ij,njhw->nihw", linear.new_tensor(TO_XYZ), linear)
    ratios = ratios / linear.new_tensor(WHITE)[:, None, None]
    edge = (6 / 29) ** 3
    roots = torch.where(
        ratios > edge, ratios.clamp_min(edge) ** (1 / 3), ratios * (29 / 6) ** 2 / 3 + 4 / 29
    )
    x, y, z = roots.unbind(1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], 1)


def difference(made: Tensor, wanted: Tensor) -> Tensor:
    """CIEDE2000 `[n, h, w]` of two pictures, -1...1, without the turn and the waves of hue; slopes are those of `made`."""
    ours, theirs = lab(made), lab(wanted)
    with torch.no_grad():
        chroma = theirs[:, 1:].norm(dim=1)
        near_grey = 0.5 * (1 - (chroma**7 / (chroma**7 + 25.0**7)).sqrt())
        lightness = (theirs[:, 0] - 50).square()
        scale_l = 1 + 0.015 * lightness / (20 + lightness).sqrt()
        stretched = chroma_and_hue(theirs, near_grey)[0]
        scale_c, scale_h = 1 + 0.045 * stretched, 1 + 0.015 * stretched
    apart_l = (ours[:, 0] - theirs[:, 0]) / scale_l
    (our_chroma, our_ab), (their_chroma, their_ab) = (
        chroma_and_hue(one, near_grey) for one in (ours, theirs)
    )
    apart_c = our_chroma - their_chroma
    squared_hue = ((our_ab - their_ab).square().sum(1) - apart_c.square()).clamp_min(0)
    squares = apart_l.square() + (apart_c / scale_c).square() + squared_hue / scale_h**2
    return (squares + LEAST_DIFFERENCE**2).sqrt() - LEAST_DIFFERENCE


def chroma_and_hue(colours: Tensor, near_grey: Tensor) -> tuple[Tensor, Tensor]:
    """Chroma `[n, h, w]` and `a', b` `[n, 2, h, w]`, with a stretched near grey."""
    plane = torch.stack([colours[:, 1] * (1 + near_grey), colours[:, 2]], 1)
    return (plane.square().sum(1) + 1e-6).sqrt(), plane
