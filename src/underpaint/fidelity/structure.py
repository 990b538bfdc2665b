"""Multi-scale structural similarity of two luminances."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.floating[Any]]

# Wang, Simoncelli & Bovik 2003, "Multi-scale structural similarity for image quality assessment",
# section 3.2: the weights of five scales, the finest first.
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
WINDOW_PX = 11  # Wang et al. 2004, "Image quality assessment", section III-B: 11 taps, sigma 1.5
WINDOW_SIGMA_PX = 1.5
LEAST = 0.001
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2  # section III-B: K1 = .01, K2 = .03, L = 255


def luminance(image: Image.Image) -> NDArray[np.float32]:
    """The luma ``[H, W]`` of an ``RGB`` image, 0…255: ITU-R BT.601, in whole numbers."""
    return np.asarray(image.convert("L"), dtype=np.float32)


def ms_ssim(a: Floats, b: Floats) -> float:
    """The multi-scale SSIM of two luminances ``[H, W]`` of one size, 0…255.

    1 is equal, .001 unrelated at every scale or inverted. Five scales, fewer where the shorter side
    is below 176 px (the window must fit), their weights brought to a sum of 1. A departure from the
    paper: no scale counts for less than .001, because two unrelated textures agree by a little more
    or less than nothing, and by chance the finest scale would make the whole product 0.
    """
    a, b = _at_least_a_window(a), _at_least_a_window(b)
    scales = _scales_that_fit(min(a.shape))
    weights = np.array(SCALE_WEIGHTS[:scales]) / sum(SCALE_WEIGHTS[:scales])
    similarity = 1.0
    for scale, weight in enumerate(weights, start=1):
        lightness, contrast = _terms(a, b)
        # Wang et al. 2003, equation 7: lightness counts at the coarsest scale alone.
        seen = contrast if scale < scales else lightness * contrast
        similarity *= max(float(seen.mean()), LEAST) ** float(weight)
        if scale < scales:
            a, b = _halved(a), _halved(b)
    return similarity


def ssim_map(a: Floats, b: Floats) -> Floats:
    """The SSIM around each pixel, ``[H, W]``, −1…1, of two luminances ``[H, W]``, 0…255.

    One scale (Wang et al. 2004, equation 13); edges are mirrored.
    """
    rim = WINDOW_PX // 2
    lightness, contrast = _terms(*(np.pad(one, rim, mode="symmetric") for one in (a, b)))
    return lightness * contrast


def _scales_that_fit(side_px: int) -> int:
    return max(1, sum(side_px >> scale >= WINDOW_PX for scale in range(len(SCALE_WEIGHTS))))


def _at_least_a_window(x: Floats) -> Floats:
    missing = [max(0, WINDOW_PX - side) for side in x.shape]
    return np.pad(x, [(0, one) for one in missing], mode="symmetric") if any(missing) else x


def _terms(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """The lightness term, and the product of the contrast and structure terms, at each window."""
    mean_a, mean_b = _windowed(a), _windowed(b)
    products, squares = mean_a * mean_b, mean_a**2 + mean_b**2
    lightness = (2 * products + C1) / (squares + C1)
    covariance = _windowed(a * b) - products
    variances = _windowed(a**2 + b**2) - squares
    return lightness, (2 * covariance + C2) / (variances + C2)


def _taps() -> list[float]:
    offsets = np.arange(WINDOW_PX) - WINDOW_PX // 2
    gaussian = np.exp(-(offsets**2) / (2 * WINDOW_SIGMA_PX**2))
    return (gaussian / gaussian.sum()).tolist()


TAPS = _taps()


def _windowed(x: Floats) -> Floats:
    """The Gaussian mean of every whole window, ``[H − 10, W − 10]``."""
    return _along_rows(_along_rows(x).T).T


def _along_rows(x: Floats) -> Floats:
    last, middle = WINDOW_PX - 1, WINDOW_PX // 2
    length = len(x) - last
    total = TAPS[middle] * x[middle : middle + length]
    for i in range(middle):
        pair = x[i : i + length] + x[last - i : last - i + length]
        pair *= TAPS[i]
        total += pair
    return total


def _halved(x: Floats) -> Floats:
    """The mean of every 2×2 pixels; an odd last row or column is left out."""
    even = x[: len(x) // 2 * 2, : x.shape[1] // 2 * 2]
    return (even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / 4
