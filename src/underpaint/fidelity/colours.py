"""How far the colours of two pictures lie apart."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

# IEC 61966-2-1: sRGB's primaries, and the white of D65 at two degrees.
_TO_XYZ = np.array(
    [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]]
)
_WHITE = np.array([0.95047, 1.0, 1.08883])
PALETTE_SAMPLES = 8192
AXES = 32


def lab(rgb: NDArray[np.uint8]) -> Floats:
    """CIELAB ``[..., 3]`` of sRGB bytes ``[..., 3]``: L 0…100, a and b about −128…128."""
    linear = _LINEAR[rgb]
    xyz = linear @ _RGB_TO_RELATIVE_XYZ
    small = xyz <= (6 / 29) ** 3
    f = np.where(small, xyz * ((29 / 6) ** 2 / 3) + 4 / 29, np.cbrt(xyz))
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def _linear_of_bytes() -> NDArray[np.float32]:
    coded = np.arange(256) / 255
    linear = np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
    return linear.astype(np.float32)


_LINEAR = _linear_of_bytes()
_RGB_TO_RELATIVE_XYZ = (_TO_XYZ / _WHITE[:, None]).T.astype(np.float32)


def delta_e_2000(a: Floats, b: Floats) -> Floats:
    """The colour difference CIEDE2000 ``[...]`` of Lab colours ``[..., 3]``.

    0 is equal, 1 just visible side by side, 100 black against white. Source: Sharma, Wu & Dalal
    2005, "The CIEDE2000 color-difference formula", equations 2 to 22, with kL = kC = kH = 1.
    """
    (l_1, a_1, b_1), (l_2, a_2, b_2) = (np.moveaxis(one, -1, 0) for one in (a, b))
    chroma = (_length(a_1, b_1) + _length(a_2, b_2)) / 2
    g = 1 + 0.5 * (1 - _saturating(chroma))
    a_1, a_2 = g * a_1, g * a_2
    c_1, c_2 = _length(a_1, b_1), _length(a_2, b_2)
    h_1, h_2 = np.arctan2(b_1, a_1), np.arctan2(b_2, a_2)
    turn = _wrapped(h_2 - h_1)
    hue = h_1 + turn / 2  # on the shorter arc; a grey has none, and nothing below asks for it then
    mean_l, mean_c = (l_1 + l_2) / 2, (c_1 + c_2) / 2
    lightness = (l_2 - l_1) / _lightness_scale(mean_l)
    chroma_step = (c_2 - c_1) / (1 + 0.045 * mean_c)
    hue_step = 2 * np.sqrt(c_1 * c_2) * np.sin(turn / 2) / (1 + 0.015 * mean_c * _hue_weight(hue))
    rotated = _rotation(hue, mean_c) * chroma_step * hue_step
    return np.sqrt(np.maximum(lightness**2 + chroma_step**2 + hue_step**2 + rotated, 0))


def _length(x: Floats, y: Floats) -> Floats:
    return np.sqrt(
        x * x + y * y
    )  # numpy's hypot guards against overflow and takes ten times as long


def _saturating(chroma: Floats) -> Floats:
    """``sqrt(C^7 / (C^7 + 25^7))``, as in equations 4 and 17."""
    x = chroma / 25
    seventh = x * (x * x) ** 2 * (x * x)
    return np.sqrt(seventh / (seventh + 1))


def _wrapped(turn: Floats) -> Floats:
    return turn - 2 * math.pi * np.round(turn / (2 * math.pi))


def _lightness_scale(mean_l: Floats) -> Floats:
    away = (mean_l - 50) ** 2
    return 1 + 0.015 * away / np.sqrt(20 + away)


def _hue_weight(hue: Floats) -> Floats:
    """Equation 15."""
    return (
        1
        - 0.17 * np.cos(hue - math.radians(30))
        + 0.24 * np.cos(2 * hue)
        + 0.32 * np.cos(3 * hue + math.radians(6))
        - 0.20 * np.cos(4 * hue - math.radians(63))
    )


def _rotation(hue: Floats, mean_c: Floats) -> Floats:
    """Equations 16, 17 and 19: the turn in the blues."""
    degrees = (hue * (180 / math.pi)) % 360
    angle = math.radians(60) * np.exp(-(((degrees - 275) / 25) ** 2))
    return -np.sin(angle) * 2 * _saturating(mean_c)


# --- the palette: which colours there are, wherever they lie -------------------------------------


def palette_distance(a: Floats, b: Floats) -> float:
    """How far the colours of ``a`` must move in Lab to become those of ``b``, wherever they lie.

    0 is the same palette, however it is arranged; moving every colour by the same step gives the
    length of that step, to 4 % (exactly, if it is one of lightness), in units of ΔE 1976. It is twice the sliced Wasserstein distance (Rabin et
    al. 2011, "Wasserstein barycenter and its application to texture mixing") of order 1: along each
    of 32 axes the projected colours are sorted and compared. Of large pictures every n-th pixel is
    taken, about 8192 or more, with an n that meets all columns.

    Args:
        a: Lab colours ``[H, W, 3]``.
        b: As many.
    """
    stride = max(1, a.shape[0] * a.shape[1] // PALETTE_SAMPLES)
    while math.gcd(stride, a.shape[1]) > 1:
        stride -= 1
    moved = [_sorted_along_axes(one.reshape(-1, 3)[::stride]) for one in (a, b)]
    # A step v projects on an axis of random direction as |v| / 2 on average.
    return 2 * float(np.abs(moved[0] - moved[1]).mean())


def _axes() -> NDArray[np.float32]:
    """32 axes spread evenly over half a sphere on a Fibonacci spiral about L, [3, 32]."""
    steps = np.arange(AXES)
    up = (steps + 0.5) / AXES
    turn = steps * math.pi * (3 - math.sqrt(5))
    out = np.sqrt(1 - up**2)
    return np.stack([up, out * np.cos(turn), out * np.sin(turn)]).astype(np.float32)


_AXES = _axes()


def _sorted_along_axes(colours: Floats) -> Floats:
    return np.sort((colours @ _AXES).T, axis=1)
