"""Where the outlines of two pictures lie, and how many of them agree."""

import numpy as np
from numpy.typing import NDArray

from underpaint.fidelity.structure import Floats

Mask = NDArray[np.bool_]
Places = NDArray[np.intp]  # into a flattened picture

BLUR_SIGMA_PX = 1.5
# Of the Sobel gradient, [1 2 1] across, of a luminance of 0…1: scikit-image's defaults. At this
# blur an outline counts from about a tenth of the range from black to white.
WEAK, STRONG = 0.1, 0.2
TOLERANCE_PX = 2  # Martin et al. 2004 allow .0075 of the diagonal: 2.7 px of 256×256


def edge_f1(a: Floats, b: Floats) -> float:
    """The share of outlines that two luminances ``[H, W]``, 0…255, have in common, 0…1.

    Outlines are :func:`edges`. One counts as found where the other picture has one within 2 px,
    diagonals included. The F1 score is the harmonic mean of the share of a's that b has and of b's
    that a has; 1 where neither has any, 0 where only one has. Symmetric. Follows Martin, Fowlkes &
    Malik 2004, "Learning to detect natural image boundaries", without their one-to-one matching.
    """
    in_a, in_b = edges(a), edges(b)
    if not (in_a.any() and in_b.any()):
        return float(in_a.any() == in_b.any())
    kept = float((in_a & _grown(in_b, TOLERANCE_PX)).sum() / in_a.sum())
    founded = float((in_b & _grown(in_a, TOLERANCE_PX)).sum() / in_b.sum())
    return 2 * kept * founded / (kept + founded) if kept + founded else 0.0


def edges(luminance: Floats) -> Mask:
    """The outlines ``[H, W]`` of a luminance ``[H, W]``, 0…255, by Canny's detector.

    A Gaussian of sigma 1.5 px, Sobel's gradient, ridges one pixel wide, and of these everything of
    at least .2 and what of at least .1 hangs together with it. Source: Canny 1986, "A computational
    approach to edge detection". Pixels at the picture's own rim are never outlines.
    """
    across, down = _sobel(_blurred(luminance / 255))
    steepness = np.sqrt(across * across + down * down)
    inner = np.zeros(steepness.shape, dtype=np.bool_)
    inner[1:-1, 1:-1] = steepness[1:-1, 1:-1] >= WEAK
    within = _ridges(steepness, across, down, np.flatnonzero(inner))
    return _connected(within & (steepness >= STRONG), within)


def _blurred(x: Floats) -> Floats:
    reach = round(4 * BLUR_SIGMA_PX)  # what lies beyond weighs less than 1e-4
    taps = np.exp(-(np.arange(reach + 1) ** 2) / (2 * BLUR_SIGMA_PX**2))
    middle, *others = (taps / (2 * taps.sum() - taps[0])).tolist()
    for _ in range(2):
        wide = np.pad(x, ((reach, reach), (0, 0)), mode="symmetric")
        total = middle * x
        for i, tap in enumerate(others, start=1):
            total += tap * (wide[reach - i : len(wide) - reach - i] + wide[reach + i :][: len(x)])
        x = total.T
    return x


def _sobel(x: Floats) -> tuple[Floats, Floats]:
    """The gradient to the right and downwards, unnormalised: 8 times the slope."""
    wide = np.pad(x, 1, mode="symmetric")
    smooth = wide[:-2] + 2 * wide[1:-1] + wide[2:]
    steps = wide[2:] - wide[:-2]
    return smooth[:, 2:] - smooth[:, :-2], steps[:, :-2] + 2 * steps[:, 1:-1] + steps[:, 2:]


def _ridges(steepness: Floats, across: Floats, down: Floats, inner: Places) -> Mask:
    """Which of the places are at least as steep as one pixel before and behind, along the gradient.

    Between pixels the steepness is interpolated on the line through the two nearest neighbours.
    """
    width = steepness.shape[1]
    flat, x, y = steepness.ravel(), across.ravel()[inner], down.ravel()[inner]
    lies, falls = np.abs(x) >= np.abs(y), x * y >= 0
    straight = np.where(lies, 1, width)
    diagonal = (width - 1 + 2 * falls) * (1 - 2 * (lies & ~falls))
    slant = np.minimum(np.abs(x), np.abs(y)) / np.maximum(np.abs(x), np.abs(y))
    highest = np.ones(len(inner), dtype=np.bool_)
    for sign in (1, -1):
        along = (1 - slant) * flat[inner + sign * straight] + slant * flat[inner + sign * diagonal]
        highest &= flat[inner] >= along
    ridge = np.zeros(flat.shape, dtype=np.bool_)
    ridge[inner[highest]] = True
    return ridge.reshape(steepness.shape)


def _connected(seeds: Mask, within: Mask) -> Mask:
    """The parts of ``within``, which leaves the rim free, that hang together with a seed."""
    width = within.shape[1]
    around = np.array([-width - 1, -width, -width + 1, -1, 1, width - 1, width, width + 1])
    left = within.ravel() & ~seeds.ravel()
    front = np.flatnonzero(seeds)
    while len(front):
        neighbours = (front[:, None] + around).ravel()
        front = np.unique(neighbours[left[neighbours]])
        left[front] = False
    return within & ~left.reshape(within.shape)


def _grown(mask: Mask, reach: int) -> Mask:
    """The mask and everything up to ``reach`` pixels from it, diagonals included."""
    for _ in range(2):
        wide = mask.copy()
        for step in range(1, reach + 1):
            wide[step:] |= mask[:-step]
            wide[:-step] |= mask[step:]
        mask = wide.T
    return mask
