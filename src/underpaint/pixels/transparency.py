"""What a network is shown where a picture is transparent."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import avg_pool2d, interpolate

from underpaint.pixels.reading import Bytes


def composited_on_its_own_colours(pixels: Bytes) -> Bytes:
    """The picture ``[H, W, 3]`` over a smooth extension of its own visible colours.

    Pixels ``[H, W, 4]`` are laid over colours that spread from the visible ones into the hollows,
    so that a cut-out's edge meets no white or black seam and nothing hidden shows. Where nothing at
    all is visible the result is white. ``[H, W, 3]`` comes back as it is.

    Source: the pull-push pyramid of Gortler et al., "The Lumigraph" (1996), section 3.4.
    """
    if pixels.shape[2] == 3:
        return pixels
    alpha = pixels[..., 3:].astype(np.float32) / 255
    if alpha.min() == 1:
        return np.ascontiguousarray(pixels[..., :3])
    rgb = pixels[..., :3].astype(np.float32)
    spread = _spread(np.concatenate([rgb * alpha, alpha], axis=2))
    return np.rint(rgb * alpha + spread * (1 - alpha)).clip(0, 255).astype(np.uint8)


def _spread(
    premultiplied: NDArray[np.floating],
) -> NDArray[np.floating]:
    """Each pixel's colour from the finest level of a pyramid where something is visible."""
    x = torch.as_tensor(premultiplied, dtype=torch.float32).permute(2, 0, 1)[None]
    levels = [x]
    while max(levels[-1].shape[-2:]) > 1:  # pull: average what is visible
        levels.append(avg_pool2d(levels[-1], 2, ceil_mode=True))
    top = levels[-1]
    white = torch.full_like(top[:, :3], 255)
    colour = torch.where(top[:, 3:] > 0, top[:, :3] / top[:, 3:].clamp(min=1e-6), white)
    for level in reversed(levels[:-1]):  # push: fill what is hidden from the level above
        above = interpolate(colour, size=level.shape[-2:], mode="bilinear", align_corners=False)
        own = level[:, :3] / level[:, 3:].clamp(min=1e-6)
        colour = own * level[:, 3:] + above * (1 - level[:, 3:])
    return colour[0].permute(1, 2, 0).numpy()
