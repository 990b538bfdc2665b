"""Levels and schedules: what must hold for every table, every flow and every ladder."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from underpaint.errors import ModelError
from underpaint.levels import (
    PICTURE,
    FlowSchedule,
    Level,
    Schedule,
    Spacing,
    TableSchedule,
    ladder,
    read_schedule,
)

STABLE_DIFFUSION = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
SCHEDULES: dict[str, Schedule] = {
    "sd": read_schedule(STABLE_DIFFUSION),
    "linear": read_schedule({"beta_schedule": "linear", "beta_start": 1e-4, "beta_end": 0.02}),
    "cosine": read_schedule({"beta_schedule": "squaredcos_cap_v2"}),
    "zero-snr": read_schedule(
        STABLE_DIFFUSION | {"rescale_betas_zero_snr": True, "prediction_type": "v_prediction"}
    ),
    "short": read_schedule({"beta_schedule": "squaredcos_cap_v2", "num_train_timesteps": 20}),
    "flow": FlowSchedule(),
    "flow-3": FlowSchedule(3.0),
    "flow-half": FlowSchedule(0.5),
}
TABLES = [name for name, one in SCHEDULES.items() if isinstance(one, TableSchedule)]
FLOWS = [name for name, one in SCHEDULES.items() if isinstance(one, FlowSchedule)]
SPACINGS: tuple[Spacing, ...] = ("model", "karras", "log_snr")

schedules = st.sampled_from(list(SCHEDULES.values()))
times = st.floats(0, 1)
started = st.floats(1e-6, 1)


# --- one level ------------------------------------------------------------------------------------


@given(st.floats(0.01, 1), st.floats(0.01, 1), st.floats(0.01, 100))
def test_angle_share_and_ratio_do_not_depend_on_scaling(alpha: float, sigma: float, by: float):
    level, scaled = Level(alpha, sigma), Level(alpha * by, sigma * by)
    # one division or root in float64 on either side: a few units in the last place
    assert level.angle == pytest.approx(scaled.angle, rel=1e-14)
    assert level.signal_share == pytest.approx(scaled.signal_share, rel=1e-13)
    assert level.noise_ratio == pytest.approx(scaled.noise_ratio, rel=1e-14)
    assert level.log_noise_ratio == pytest.approx(scaled.log_noise_ratio, abs=1e-13)


def test_the_figures_of_a_level_are_those_of_their_definitions():
    level = Level(0.6, 0.8)
    assert level.angle == math.atan2(0.8, 0.6)
    assert level.noise_ratio == pytest.approx(4 / 3, rel=1e-15)
    assert level.log_noise_ratio == pytest.approx(math.log(4 / 3), rel=1e-15)
    assert level.signal_share == pytest.approx(0.36, rel=1e-15)


def test_the_ends_have_finite_angles_and_infinite_ratios():
    noise = Level(0.0, 0.9)
    assert (PICTURE.angle, noise.angle) == (0.0, math.pi / 2)
    assert (PICTURE.noise_ratio, noise.noise_ratio) == (0.0, math.inf)
    assert (PICTURE.log_noise_ratio, noise.log_noise_ratio) == (-math.inf, math.inf)
    assert (PICTURE.signal_share, noise.signal_share) == (1.0, 0.0)


# --- schedules ------------------------------------------------------------------------------------


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_time_zero_is_the_picture_itself(schedule: Schedule):
    assert schedule.level(0.0) == Level(1.0, 0.0)


@given(schedules, times, times)
def test_the_angle_grows_strictly_with_time(schedule: Schedule, a: float, b: float):
    assume(abs(a - b) > 1e-9)
    low, high = sorted((a, b))
    assert schedule.level(low).angle < schedule.level(high).angle


@given(schedules, times)
def test_time_to_level_and_back_is_the_same_time(schedule: Schedule, t: float):
    # the steepest table has d angle / dt of about .03 near its end: 1e-16 / .03, with a margin
    assert schedule.t(schedule.level(t)) == pytest.approx(t, abs=1e-12)


@given(schedules, times, st.floats(0.01, 100))
def test_a_level_stands_at_the_same_time_in_any_scaling(schedule: Schedule, t: float, by: float):
    level = schedule.level(t)
    scaled = Level(level.alpha * by, level.sigma * by)
    assert schedule.t(scaled) == pytest.approx(t, abs=1e-12)
    assert schedule.time(scaled) == pytest.approx(schedule.time(level), abs=1e-9)


@given(schedules, st.floats(0, 1e6))
def test_a_noise_ratio_to_level_and_back_is_the_same_ratio(schedule: Schedule, ratio: float):
    # near pure noise alpha = cos(angle) or 1 - sigma is a difference: relative error 1e-16 * ratio
    found = schedule.at_noise_ratio(ratio).noise_ratio
    assert found == pytest.approx(ratio, rel=1e-15 * max(ratio, 10), abs=1e-300)


@given(st.sampled_from(TABLES), times)
def test_tables_preserve_variance(name: str, t: float):
    level = SCHEDULES[name].level(t)
    assert math.hypot(level.alpha, level.sigma) == pytest.approx(1, rel=1e-15)


@given(st.sampled_from(FLOWS), times)
def test_flows_mix_picture_and_noise_to_one(name: str, t: float):
    level = SCHEDULES[name].level(t)
    assert level.alpha + level.sigma == pytest.approx(1, rel=1e-15)


@given(st.sampled_from(TABLES), times)
def test_a_table_network_is_told_the_fractional_index_and_never_less_than_zero(name: str, t: float):
    schedule = SCHEDULES[name]
    told = schedule.time(schedule.level(t))
    assert told == pytest.approx(max(t * schedule.entries - 1, 0), abs=1e-9)
    assert 0 <= told <= schedule.entries - 1


@given(st.sampled_from(FLOWS), times)
def test_a_flow_network_is_told_a_thousand_times_sigma(name: str, t: float):
    schedule = SCHEDULES[name]
    level = schedule.level(t)
    assert schedule.time(level) == pytest.approx(1000 * level.sigma, rel=1e-14)


@pytest.mark.parametrize("name", TABLES)
def test_every_entry_of_a_table_stands_at_its_own_index(name: str):
    schedule = SCHEDULES[name]
    for i in range(schedule.entries):
        level = schedule.level((i + 1) / schedule.entries)
        assert schedule.time(level) == pytest.approx(i, abs=1e-9)


def test_between_entries_the_angle_is_interpolated_linearly():
    schedule = SCHEDULES["sd"]
    lower, upper = schedule.level(500 / 1000), schedule.level(501 / 1000)
    between = schedule.level(500.25 / 1000)
    assert between.angle == pytest.approx(0.75 * lower.angle + 0.25 * upper.angle, rel=1e-13)


def test_below_the_first_entry_the_angle_falls_linearly_to_zero():
    schedule = SCHEDULES["sd"]
    assert schedule.level(0.0005).angle == pytest.approx(schedule.level(0.001).angle / 2, rel=1e-13)


def test_a_zero_terminal_snr_table_ends_in_exactly_pure_noise():
    assert SCHEDULES["zero-snr"].level(1.0) == Level(0.0, 1.0)


def test_a_usual_table_ends_with_half_a_percent_of_picture():
    # SD 1.5: the known leak of sqrt(alphas_cumprod[-1]) = .0682 (Lin et al. 2023, table 1)
    last = SCHEDULES["sd"].level(1.0)
    assert last.alpha == pytest.approx(0.068265, abs=1e-6)
    assert last.signal_share == pytest.approx(0.00466, abs=1e-5)


def test_shift_bends_time_towards_noise():
    # equation 23 of SD3 at t = 1/2: 3/2 / (1 + 2/2) = 3/4, the published midpoint
    assert SCHEDULES["flow-3"].level(0.5) == Level(0.25, 0.75)
    assert FlowSchedule(3.0).t(Level(0.25, 0.75)) == pytest.approx(0.5, rel=1e-15)


# --- reading --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "prediction"),
    [(None, "eps"), ("epsilon", "eps"), ("v_prediction", "v"), ("sample", "x0")],
)
def test_the_prediction_type_is_read(kind: str | None, prediction: str):
    assert read_schedule({"prediction_type": kind}).prediction == prediction


@pytest.mark.parametrize(
    "config",
    [
        {"_class_name": "FlowMatchEulerDiscreteScheduler"},
        {"_class_name": "UniPCMultistepScheduler", "prediction_type": "flow_prediction"},
    ],
)
def test_flow_schedulers_are_told_by_class_or_prediction(config: dict[str, object]):
    schedule = read_schedule(config)
    assert isinstance(schedule, FlowSchedule)
    assert (schedule.prediction, schedule.shift, schedule.entries) == ("flow", 1.0, 1000)


def test_a_flow_may_have_another_number_of_entries():
    schedule = read_schedule({"_class_name": "FlowMatchX", "num_train_timesteps": 500})
    assert schedule.entries == 500
    assert schedule.time(Level(0.5, 0.5)) == 250


def test_either_name_of_a_static_shift_is_read():
    assert read_schedule({"_class_name": "FlowMatchX", "shift": 3.0}) == FlowSchedule(3.0)
    assert read_schedule(
        {"prediction_type": "flow_prediction", "flow_shift": 5.0, "shift": 3.0}
    ) == FlowSchedule(5.0)


def test_trained_betas_are_taken_as_they_are():
    schedule = read_schedule({"trained_betas": [0.1, 0.2, 0.5]})
    assert schedule.entries == 3
    assert schedule.level(1.0).alpha == pytest.approx(math.sqrt(0.9 * 0.8 * 0.5), rel=1e-14)


def test_defaults_are_those_of_ddpm():
    # diffusers writes every field; a config without them means Ho et al. 2020
    assert np.array_equal(read_schedule({}).angles, SCHEDULES["linear"].angles)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"prediction_type": "score"}, "prediction_type is 'score'; known are epsilon"),
        ({"beta_schedule": "sigmoid"}, "beta_schedule is 'sigmoid'; known are linear"),
        ({"_class_name": "FlowMatchX", "use_dynamic_shifting": True}, "pass image_tokens"),
    ],
)
def test_what_is_not_known_is_refused_by_name(config: dict[str, object], words: str):
    with pytest.raises(ModelError, match=words):
        read_schedule(config)


# --- ladders --------------------------------------------------------------------------------------


@given(schedules, started, st.integers(1, 60), st.sampled_from(SPACINGS))
def test_a_ladder_falls_strictly_from_exactly_its_start(
    schedule: Schedule, t: float, count: int, spacing: Spacing
):
    levels = ladder(schedule, t, count, spacing)
    assert len(levels) == count
    assert levels[0] == schedule.level(t)
    angles = [level.angle for level in levels]
    assert all(upper > lower for upper, lower in pairwise(angles))
    assert angles[-1] > 0


@given(schedules, started, st.integers(1, 60))
def test_the_models_own_ladder_is_uniform_in_time(schedule: Schedule, t: float, count: int):
    found = [schedule.t(level) for level in ladder(schedule, t, count, "model")]
    assert found == pytest.approx([t * (count - i) / count for i in range(count)], abs=1e-12)


@given(schedules, st.floats(0.1, 0.99), st.integers(3, 60))
def test_the_log_snr_ladder_is_uniform_in_log_snr(schedule: Schedule, t: float, count: int):
    assume(schedule.level(t).noise_ratio < 80)
    logs = [level.log_noise_ratio for level in ladder(schedule, t, count, "log_snr")]
    # alpha near pure noise is a difference: 80 * 1e-16, over steps of at least .02
    assert np.diff(logs) == pytest.approx(np.full(count - 1, logs[1] - logs[0]), rel=1e-9)


@given(schedules, st.floats(0.1, 0.99), st.integers(3, 60))
def test_the_karras_ladder_is_uniform_in_the_seventh_root(schedule: Schedule, t: float, count: int):
    assume(schedule.level(t).noise_ratio < 80)
    roots = [level.noise_ratio ** (1 / 7) for level in ladder(schedule, t, count, "karras")]
    assert np.diff(roots) == pytest.approx(np.full(count - 1, roots[1] - roots[0]), rel=1e-9)


@pytest.mark.parametrize("spacing", ["karras", "log_snr"])
@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_a_long_run_ends_at_the_first_trained_level(schedule: Schedule, spacing: Spacing):
    last = ladder(schedule, 0.9, 12, spacing)[-1]
    first_trained = schedule.level(1 / schedule.entries)
    assert last.noise_ratio == pytest.approx(first_trained.noise_ratio, rel=1e-12)


@pytest.mark.parametrize("spacing", ["karras", "log_snr"])
def test_a_short_run_ends_at_a_quarter_of_its_noise(spacing: Spacing):
    schedule = SCHEDULES["sd"]
    levels = ladder(schedule, 0.002, 5, spacing)
    assert levels[-1].noise_ratio == pytest.approx(levels[0].noise_ratio / 4, rel=1e-12)


@pytest.mark.parametrize("spacing", ["karras", "log_snr"])
@pytest.mark.parametrize("name", ["flow", "flow-3", "zero-snr"])
def test_after_pure_noise_a_ladder_goes_on_from_the_cap(name: str, spacing: Spacing):
    first, second, *_ = ladder(SCHEDULES[name], 1.0, 1000, spacing)
    assert first == Level(0.0, 1.0)
    # one of 999 steps below 80: at most 1.2 % of it
    assert 78 < second.noise_ratio < 80


@pytest.mark.parametrize("spacing", SPACINGS)
def test_a_ladder_of_one_is_the_start_alone(spacing: Spacing):
    assert ladder(SCHEDULES["flow"], 0.4, 1, spacing) == [Level(0.6, 0.4)]


@given(st.floats(0.03, 1), st.integers(2, 60), st.sampled_from([0.02, 0.2]))
def test_a_terminal_level_moves_the_last_step_and_not_the_start(
    start_t: float, count: int, terminal: float
):
    plain, stretched = (
        ladder(FlowSchedule(2.0, terminal=one), start_t, count, "model") for one in (0.0, terminal)
    )
    assert stretched[0] == plain[0]
    if stretched[0].sigma <= terminal:
        assert stretched == plain
        return
    assert stretched[-1].sigma == pytest.approx(terminal, rel=1e-9)
    assert all(one.sigma > two.sigma for one, two in pairwise(stretched))
    assert all(level.alpha + level.sigma == pytest.approx(1) for level in stretched)


@pytest.mark.parametrize("terminal", [-0.1, 1.0, math.inf, math.nan])
def test_a_terminal_level_outside_the_flow_is_refused(terminal: float):
    with pytest.raises(ModelError, match="shift_terminal must lie in 0 to 1"):
        read_schedule({"_class_name": "FlowMatchX", "shift_terminal": terminal})
