"""A calibrated strength: exact at its ends, strictly rising, and the same on every schedule."""

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.test_levels import SCHEDULES
from underpaint.levels import PICTURE, PURE_NOISE, FlowSchedule, Level, Schedule
from underpaint.plan import make_plan, starting_point
from underpaint.survival import (
    LEAST_ENERGY,
    Octave,
    Recovery,
    Spectrum,
    calibrated_strength,
    noise_ratio_at,
    survival,
)


def spectrum(*energies: float, recovery: Recovery | None = None) -> Spectrum:
    """One of these energies per unit of noise, the largest shapes first."""
    octaves = [Octave(512 / 2**i, 3 * energy, 3.0) for i, energy in enumerate(energies)]
    return Spectrum(tuple(octaves), 8.0, recovery or Recovery())


PHOTOGRAPH = spectrum(173, 19.1, 10.7, 4.58, 1.42, 0.32)  # a 512×512 photograph's, with Gesso
spectra = st.builds(
    lambda energies, beta, p: spectrum(*energies, recovery=Recovery(beta, p)),
    st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=8),
    st.floats(0.1, 100),
    st.floats(0.3, 1.5),
)
log_ratios = st.floats(-8, 8)
schedules = st.sampled_from(list(SCHEDULES.values()))


def at(log_ratio: float) -> Level:
    return FlowSchedule().at_noise_ratio(math.exp(log_ratio))


# --- the definition -------------------------------------------------------------------------------


def test_the_share_is_the_formula_of_the_issue() -> None:
    level, recovery = Level(0.6, 0.8), Recovery(8, 0.7)
    for octave, share in zip(PHOTOGRAPH.octaves, survival(PHOTOGRAPH, level).shares, strict=True):
        q = (8 * 0.6**2 * octave.signal / (0.8**2 * octave.noise)) ** 0.7
        assert share == pytest.approx(q / (1 + q), rel=1e-12)  # the same in other words
    assert PHOTOGRAPH.recovery == recovery


def test_with_one_and_one_it_is_wieners_gain() -> None:
    seen = survival(spectrum(3.0, recovery=Recovery(1, 1)), Level(0.5, 2.0))
    assert seen.mean == pytest.approx(0.25 * 3 / (0.25 * 3 + 4))


def test_an_octave_without_energy_does_not_count() -> None:
    level = at(0.3)
    without = spectrum(5.0, LEAST_ENERGY / 2, 0.5, 0.0)
    seen = survival(without, level)
    assert seen.shares[1] is seen.shares[3] is None
    assert seen.mean == pytest.approx(survival(spectrum(5.0, 0.5), level).mean)


def test_one_flat_colour_has_nothing_to_lose() -> None:
    for flat in (Spectrum(()), spectrum(0.0, 0.0)):
        assert flat.is_flat
        assert survival(flat, at(0)).mean == 1
    assert not PHOTOGRAPH.is_flat


@given(spectra, log_ratios, st.floats(0.1, 10))
def test_only_the_ratio_of_noise_to_picture_counts(
    found: Spectrum, log_ratio: float, scale: float
) -> None:
    level = at(log_ratio)
    scaled = Level(level.alpha * scale, level.sigma * scale)  # another family's way to write it
    assert calibrated_strength(found, scaled) == pytest.approx(
        calibrated_strength(found, level), rel=1e-9
    )


# --- the scale ------------------------------------------------------------------------------------


@given(spectra)
def test_the_ends_are_exact(found: Spectrum) -> None:
    assert calibrated_strength(found, PICTURE) == 0
    assert calibrated_strength(found, PURE_NOISE) == 1
    assert noise_ratio_at(found, 0) == 0
    assert noise_ratio_at(found, 1) == math.inf


@given(spectra, log_ratios, log_ratios)
def test_more_noise_is_strictly_more_strength(found: Spectrum, a: float, b: float) -> None:
    assume(abs(a - b) > 1e-6)
    low, high = sorted((a, b))
    # within these bounds of noise and energy a share never rounds to 0 or 1
    assert calibrated_strength(found, at(low)) < calibrated_strength(found, at(high))


@given(spectra, st.floats(1e-4, 1 - 1e-4))
def test_the_level_of_a_strength_has_that_strength(found: Spectrum, strength: float) -> None:
    level = FlowSchedule().at_noise_ratio(noise_ratio_at(found, strength))
    # 1 − mean loses digits where the mean is near 1
    assert calibrated_strength(found, level) == pytest.approx(strength, abs=1e-12, rel=1e-9)


@given(spectra, st.floats(1e-4, 1 - 1e-4), st.floats(1e-4, 1 - 1e-4))
def test_more_strength_is_strictly_more_noise(found: Spectrum, a: float, b: float) -> None:
    assume(abs(a - b) > 1e-9)
    low, high = sorted((a, b))
    assert noise_ratio_at(found, low) < noise_ratio_at(found, high)


# --- in a plan ------------------------------------------------------------------------------------


@given(spectra, st.floats(0.01, 0.999), schedules, schedules)
def test_every_schedule_starts_at_the_same_noise(
    found: Spectrum, strength: float, one: Schedule, other: Schedule
) -> None:
    starts = [
        make_plan(schedule, strength=strength, steps=3, spectrum=found).start
        for schedule in (one, other)
    ]
    assume(all(start.alpha < 1 for start in starts))  # else too faint to run
    # a table's level is found again from its time, to the last few digits
    assert starts[0].noise_ratio == pytest.approx(starts[1].noise_ratio, rel=1e-6)


@given(spectra, st.floats(0.01, 0.99), st.floats(0.5, 6))
def test_the_shift_of_a_flow_moves_the_time_and_not_the_start(
    found: Spectrum, strength: float, shift: float
) -> None:
    plain, shifted = FlowSchedule(), FlowSchedule(shift=shift)
    a, b = (starting_point(one, strength, found) for one in (plain, shifted))
    assert a[0].sigma == pytest.approx(b[0].sigma, rel=1e-9)
    assume(0.01 < a[1] < 0.99)
    if shift > 1.01:
        assert b[1] < a[1]


@given(spectra, schedules)
def test_the_ends_of_a_plan_are_the_schedules_own(found: Spectrum, schedule: Schedule) -> None:
    for strength in (0, 1):
        measured = make_plan(schedule, strength=strength, steps=4, spectrum=found)
        assert measured == make_plan(schedule, strength=strength, steps=4)


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_a_start_beyond_a_table_is_exact_and_the_network_is_told_its_last_level(
    schedule: Schedule,
) -> None:
    strength = 0.999
    plan = make_plan(schedule, strength=strength, steps=4, spectrum=PHOTOGRAPH)
    assert calibrated_strength(PHOTOGRAPH, plan.start) == pytest.approx(strength, abs=1e-6)
    assert plan.levels[0].noise_ratio <= schedule.level(1.0).noise_ratio
    assert len(plan.levels) == 5


# --- in words -------------------------------------------------------------------------------------


def test_the_smallest_shapes_that_survive_lie_where_the_share_falls_through_half() -> None:
    wiener = Recovery(1, 1)
    found = spectrum(9, 3, 1 / 3, 1 / 9, recovery=wiener)  # shares .9, .75, .25 and .1 at level 1
    # in the middle of 256 and 128 in octaves
    assert survival(found, at(0)).smallest_px == pytest.approx(256 / math.sqrt(2))
    assert survival(found, at(-3)).smallest_px == 0
    assert survival(found, at(3)).smallest_px == math.inf
    only = survival(spectrum(0.0, 9, recovery=wiener), at(0))
    assert only.smallest_px == 0


@given(spectra, log_ratios)
def test_the_smallest_shapes_lie_among_the_octaves(found: Spectrum, log_ratio: float) -> None:
    smallest = survival(found, at(log_ratio)).smallest_px
    largest = found.octaves[0].shape_px
    assert smallest in {0, math.inf} or found.octaves[-1].shape_px <= smallest <= largest
