"""Latents by octave of size: measured, and weighted with what survives."""

import math

import torch
from torch import Tensor

from underpaint.levels import Level
from underpaint.survival import LEARNED, Octave, Recovery, Spectrum


def spectrum(latents: Tensor, *, cell_px: float, recovery: Recovery = LEARNED) -> Spectrum:
    """The energy of latents ``[C, h, w]`` in every octave of size, the largest shapes first.

    The latents are taken apart into cosines (DCT-II, orthonormal), which see no step where the left
    edge would meet the right one. Cosine (i, j) has the frequency ``|(i / 2h, j / 2w)|`` in cycles
    a cell; the finest octave is everything above 1/4, the next from 1/8 to 1/4, and so on. The mean
    colour belongs to none. Unit white noise has the energy 1 in each cosine and channel.

    Args:
        latents: Of unit variance by the model's own scaling.
        cell_px: How many pixels of the picture one cell of the latents stands for.
        recovery: How well the model recovers them.
    """
    energies = _cosines(latents).square().sum(0)
    octave_of = _octave_of(*latents.shape[-2:])
    octaves: list[Octave] = []
    for number in range(int(octave_of.max()), -1, -1):
        inside = octave_of == number
        count = int(inside.sum())
        if count:
            signal = float(energies[inside].double().sum())
            shape = _shape_cells(number, max(latents.shape[-2:]))
            octaves.append(Octave(cell_px * shape, signal, float(count * len(latents))))
    return Spectrum(tuple(octaves), cell_px, recovery)


def surviving(latents: Tensor, found: Spectrum, level: Level) -> Tensor:
    """The latents ``[C, h, w]`` as a model can still make them out at ``level``, without the noise.

    Every cosine is weighted with the share that its size has; the shares are those of the octaves'
    middles, and linear in the logarithm of the size between them. The mean colour survives by its
    own energy.
    """
    height, width = latents.shape[-2:]
    cosines = _cosines(latents)
    recovery, ratio = found.recovery, level.noise_ratio
    gains = torch.ones(height, width)
    if found.octaves:
        finest_first = found.octaves[::-1]
        middles = [math.log2(octave.shape_px / found.cell_px) for octave in finest_first]
        shares = [recovery.share(octave.energy, ratio) for octave in finest_first]
        half_waves = 0.5 / _frequencies(height, width).clamp(min=1e-9)
        gains = _interpolated(torch.log2(half_waves), middles, shares)
    gains[0, 0] = recovery.share(float(cosines[:, 0, 0].square().mean()), ratio)
    return _dct(height).T @ (cosines * gains) @ _dct(width)


def _cosines(latents: Tensor) -> Tensor:
    height, width = latents.shape[-2:]
    return _dct(height) @ latents.float().cpu() @ _dct(width).T


def _dct(length: int) -> Tensor:
    """The orthonormal DCT-II as a matrix ``[length, length]``, one cosine a row."""
    steps = torch.arange(length, dtype=torch.float64)
    matrix = torch.cos(math.pi / length * torch.outer(steps, steps + 0.5)) * math.sqrt(2 / length)
    matrix[0] /= math.sqrt(2)
    return matrix.float()


def _frequencies(height: int, width: int) -> Tensor:
    """Cycles a cell of every cosine, ``[h, w]``."""
    down = torch.arange(height, dtype=torch.float64)[:, None] / (2 * height)
    across = torch.arange(width, dtype=torch.float64)[None] / (2 * width)
    return torch.hypot(down, across)


def _octave_of(height: int, width: int) -> Tensor:
    """The number of every cosine's octave, ``[h, w]``: 0 the finest, −1 for the mean colour."""
    frequencies = _frequencies(height, width)
    numbers = torch.ceil(-torch.log2(4 * frequencies.clamp(min=1e-9))).clamp(min=0)
    numbers[0, 0] = -1
    return numbers.long()


def _shape_cells(number: int, longest: int) -> float:
    """Half the wavelength in the middle of an octave: of 1 to 2 cells, of 2 to 4, and so on."""
    return math.sqrt(2**number * min(2 ** (number + 1), longest))


def _interpolated(x: Tensor, places: list[float], values: list[float]) -> Tensor:
    """Piecewise linear through ``values`` at rising ``places``, level beyond the ends."""
    if len(places) == 1:
        return torch.full_like(x, values[0]).float()
    at, known = torch.tensor(places, dtype=x.dtype), torch.tensor(values, dtype=x.dtype)
    right = torch.searchsorted(at, x.contiguous()).clamp(1, len(places) - 1)
    share = ((x - at[right - 1]) / (at[right] - at[right - 1])).clamp(0, 1)
    return torch.lerp(known[right - 1], known[right], share).float()
