"""Latents by octave: against scipy's transform, and at both ends of the noise."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.fft import dctn
from torch import Tensor

from underpaint.levels import PICTURE, PURE_NOISE, Level
from underpaint.spectrum import spectrum, surviving
from underpaint.survival import Recovery

sides = st.integers(1, 40)


def noise(channels: int, height: int, width: int, seed: int = 0) -> Tensor:
    return torch.randn(channels, height, width, generator=torch.Generator().manual_seed(seed))


@settings(deadline=None)  # a busy machine takes its time
@given(st.integers(1, 4), sides, sides)
def test_all_energy_but_the_mean_colours_lies_in_some_octave(
    channels: int, height: int, width: int
) -> None:
    latents = noise(channels, height, width)
    cosines = dctn(latents.double().numpy(), axes=(1, 2), norm="ortho")
    found = spectrum(latents, cell_px=8)
    expected = (cosines**2).sum() - (cosines[:, 0, 0] ** 2).sum()
    # float32 sums of up to 6400 squares
    assert sum(octave.signal for octave in found.octaves) == pytest.approx(expected, rel=1e-4)
    assert sum(octave.noise for octave in found.octaves) == channels * (height * width - 1)


def test_unit_white_noise_has_one_unit_everywhere() -> None:
    found = spectrum(noise(16, 128, 96), cell_px=8)
    for octave in found.octaves:
        # the variance of a mean of n squares is 2 / n; five deviations
        assert octave.energy == pytest.approx(1, abs=5 * math.sqrt(2 / octave.noise))


@pytest.mark.parametrize(
    ("half_waves", "shape_px"), [(1, 362), (2, 181), (3, 181), (7, 91), (20, 23), (60, 11)]
)
def test_a_wave_lies_in_the_octave_of_its_size(half_waves: int, shape_px: int) -> None:
    """Half a wave of n on 64 cells of 8 px is 512 / n px."""
    places = (torch.arange(64) + 0.5) * math.pi * half_waves / 64
    wave = torch.cos(places).expand(1, 64, 64)
    for latents in (wave, wave.transpose(1, 2)):
        found = spectrum(latents, cell_px=8)
        loudest = max(found.octaves, key=lambda octave: octave.signal)
        assert round(loudest.shape_px) == shape_px
        assert loudest.signal == pytest.approx(64 * 64 / 2, rel=1e-4)


def test_shapes_fall_by_half_from_the_largest() -> None:
    shapes = [octave.shape_px for octave in spectrum(noise(1, 64, 64), cell_px=8).octaves]
    ratios = [small / large for large, small in pairwise(shapes)]
    assert ratios == pytest.approx([0.5] * len(ratios))
    assert shapes[-1] == pytest.approx(8 * math.sqrt(2))


def test_one_cell_has_no_octave() -> None:
    assert spectrum(noise(4, 1, 1), cell_px=8).octaves == ()


@settings(deadline=None)
@given(sides, sides)
def test_without_noise_everything_survives_and_in_pure_noise_nothing(
    height: int, width: int
) -> None:
    latents = noise(2, height, width)
    found = spectrum(latents, cell_px=8)
    # float32, there and back
    assert torch.allclose(surviving(latents, found, PICTURE), latents, atol=1e-5)
    assert not surviving(latents, found, PURE_NOISE).any()


def test_what_is_large_survives_longer_than_what_is_small() -> None:
    rows = torch.arange(64)
    large = 4 * torch.cos((rows + 0.5) * math.pi * 2 / 64).expand(1, 64, 64)
    small = torch.cos((rows + 0.5) * math.pi * 48 / 64).expand(1, 64, 64)
    latents = large + small
    found = spectrum(latents, cell_px=8, recovery=Recovery(1, 1))
    seen = surviving(latents, found, Level(0.5, 0.5 * math.sqrt(found.octaves[-1].energy)))
    kept_large = float((seen * large).sum() / (large * large).sum())
    kept_small = float((seen * small).sum() / (small * small).sum())
    assert kept_small == pytest.approx(0.5, abs=0.01)  # as strong as the noise, by that level
    assert kept_large > 0.99


def test_the_gain_is_what_wieners_filter_of_the_octaves_would_give() -> None:
    """On white noise every size has energy 1, so every cosine has one and the same gain."""
    latents = noise(16, 64, 64)
    found = spectrum(latents, cell_px=8, recovery=Recovery(1, 1))
    seen = surviving(latents, found, Level(0.5, 1.0))
    without_mean = latents - latents.mean((1, 2), keepdim=True)
    kept = seen - seen.mean((1, 2), keepdim=True)
    # .25 / (.25 + 1), give or take the noise of the largest octaves
    assert float((kept * without_mean).sum() / without_mean.square().sum()) == pytest.approx(
        0.2, abs=0.005
    )


def test_half_precision_on_any_device_is_measured_in_float32() -> None:
    latents = noise(4, 16, 16)
    exact, half = (spectrum(x, cell_px=8) for x in (latents, latents.half()))
    assert [o.signal for o in half.octaves] == pytest.approx(
        [o.signal for o in exact.octaves], rel=1e-2
    )
    assert np.isfinite(surviving(latents.half(), half, Level(0.5, 0.5)).numpy()).all()
