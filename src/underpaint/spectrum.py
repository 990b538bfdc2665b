"""Latents by octave of size: measured, and weighted with what survives."""

import math
from functools import partial

import torch
from torch import Tensor

from underpaint.levels import Level
from underpaint.survival import LEARNED, Octave, Recovery, Spectrum


def spectrum(latents: Tensor, *, cell_px: float, recovery: Recovery = LEARNED) -> Spectrum:
    """The energy of latents ``[C, h, w]`` in every octave of size, the largest shapes first.

    The latents are taken apart into cosines (DCT-II, orthonormal), which see no step where the left
    edge would meet the right one. Cosine (i, j) has the frequency ``|(i / 2h, j / 2w)|`` in cycles
    a cell; the finest octave is 1/4 and everything above, the next 1/8 to 1/4, and so on. The mean
    colour belongs to none. Unit white noise has the energy 1 in each cosine and channel.

    Args:
        latents: Of unit variance by the model's own scaling.
        cell_px: How many pixels of the picture one cell of the latents stands for.
        recovery: How well the model recovers them.
    """
    energies = _cosines(latents).square().sum(0)
    octave_of = _octave_of(*latents.shape[-2:])
    octaves: list[Octave] = []
    for number in _numbers(octave_of):
        inside = octave_of == number
        signal, count = float(energies[inside].double().sum()), int(inside.sum())
        shape = _shape_cells(number, max(latents.shape[-2:]))
        octaves.append(Octave(cell_px * shape, signal, float(count * len(latents))))
    return Spectrum(tuple(octaves), cell_px, recovery)


def surviving(latents: Tensor, found: Spectrum, level: Level) -> Tensor:
    """The latents ``[C, h, w]`` as a model can still make them out at ``level``, without the noise.

    Every cosine is weighted with the share of its octave that survives (Wiener's filter, where beta
    and p are 1); the mean colour with that of its own energy. ``found`` is their spectrum.
    """
    height, width = latents.shape[-2:]
    cosines = _cosines(latents)
    share = partial(found.recovery.share, noise_ratio=level.noise_ratio)
    octave_of = _octave_of(height, width)
    gains = torch.full((height, width), share(float(cosines[:, 0, 0].square().mean())))
    for number, octave in zip(_numbers(octave_of), found.octaves, strict=False):
        gains[octave_of == number] = share(octave.energy)
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
    frequencies = _frequencies(height, width).clamp(min=1e-9)
    numbers = torch.ceil(-torch.log2(4 * frequencies)).clamp(min=0)
    numbers[0, 0] = -1
    return numbers.long()


def _numbers(octave_of: Tensor) -> list[int]:
    """The octaves that hold a cosine, the largest shapes first; narrow latents lack some."""
    return [number for number in range(int(octave_of.max()), -1, -1) if (octave_of == number).any()]


def _shape_cells(number: int, longest: int) -> float:
    """Half the wavelength in the middle of an octave: of 1 to 2 cells, of 2 to 4, and so on."""
    return math.sqrt(2**number * min(2 ** (number + 1), longest))
