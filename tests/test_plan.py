"""Strength is the exact start and steps is what runs: at every strength, on every model."""

import math

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from tests.test_levels import SCHEDULES, SPACINGS, STABLE_DIFFUSION
from underpaint.levels import PICTURE, FlowSchedule, Level, Schedule, Spacing, ladder, read_schedule
from underpaint.plan import Plan, default_steps, intervals, make_plan
from underpaint.request import SAMPLER_NAMES, SamplerName

SD = SCHEDULES["sd"]
FLOW = FlowSchedule()
ZERO_SNR_EPS = read_schedule(STABLE_DIFFUSION | {"rescale_betas_zero_snr": True})

schedules = st.sampled_from([*SCHEDULES.values(), ZERO_SNR_EPS])
strengths = st.floats(1e-6, 1)
samplers = st.sampled_from(SAMPLER_NAMES)


def codes(plan: Plan) -> list[str]:
    return [notice.code for notice in plan.notices]


# --- steps are what runs --------------------------------------------------------------------------


@given(schedules, strengths, st.integers(1, 1000), samplers, st.sampled_from(SPACINGS))
def test_the_evaluations_are_the_steps_asked_for(
    schedule: Schedule, strength: float, steps: int, sampler: SamplerName, spacing: Spacing
):
    plan = make_plan(schedule, strength=strength, steps=steps, sampler=sampler, spacing=spacing)
    assert plan.evaluations == steps
    assert len(plan.levels) == intervals(sampler, steps) + 1


@given(schedules, strengths, st.integers(1, 60), st.sampled_from(SPACINGS))
def test_the_levels_are_the_ladder_and_then_the_picture(
    schedule: Schedule, strength: float, steps: int, spacing: Spacing
):
    assume(schedule is not ZERO_SNR_EPS)
    plan = make_plan(schedule, strength=strength, steps=steps, spacing=spacing)
    assert plan.levels[-1] == PICTURE
    assert list(plan.levels[:-1]) == ladder(schedule, strength, steps, spacing)


def test_the_float_trap_of_other_systems_runs_all_its_steps():
    # floored elsewhere: 28 of 50 at .58, and 1 of 4 at .3
    assert int(50 * 0.58) == 28
    assert make_plan(SD, strength=0.58, steps=50).evaluations == 50
    assert make_plan(SD, strength=0.3, steps=4).evaluations == 4


@pytest.mark.parametrize(
    ("strength", "steps"),
    [(0.01, 4), (0.2, 4), (0.22, 4), (0.23, 5), (0.5, 10), (0.6, 12), (0.75, 15), (1.0, 20)],
)
def test_steps_left_out_are_twenty_over_the_whole_of_time_and_at_least_four(
    strength: float, steps: int
):
    assert default_steps(strength) == steps


@pytest.mark.parametrize(
    ("evaluations", "expected"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (20, 11), (21, 11)]
)
def test_heun_pays_two_evaluations_for_every_interval_but_the_last(evaluations: int, expected: int):
    assert intervals("heun", evaluations) == expected
    assert intervals("euler", evaluations) == evaluations


# --- strength is the start ------------------------------------------------------------------------


@given(schedules, st.floats(1e-6, 0.999))
def test_the_start_is_the_schedules_level_at_the_strength_exactly(
    schedule: Schedule, strength: float
):
    plan = make_plan(schedule, strength=strength, steps=3)
    assert plan.start == plan.levels[0] == schedule.level(strength)


@given(schedules, st.floats(1e-6, 1), st.floats(1e-6, 1), st.integers(1, 30))
@example(ZERO_SNR_EPS, 0.99999, 0.999, 1)
@example(ZERO_SNR_EPS, 0.99999, 1.0, 1)
def test_more_strength_is_strictly_more_noise(schedule: Schedule, a: float, b: float, steps: int):
    assume(abs(a - b) > 1e-9)
    low, high = (make_plan(schedule, strength=s, steps=steps) for s in sorted((a, b)))
    # this one cannot use its last level, and says so beyond the one before, and nowhere else
    clamped = "start-clamped" in codes(high)
    assert clamped == (schedule is ZERO_SNR_EPS and max(a, b) > 0.999)
    if not clamped:
        assert low.start.angle < high.start.angle
    assert low.start.angle <= high.start.angle


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_neighbouring_strengths_that_others_snap_together_differ(schedule: Schedule):
    # InvokeAI #252: .834 to .843 gave one picture
    a, b = (make_plan(schedule, strength=s, steps=12) for s in (0.834, 0.835))
    assert a.start != b.start
    assert all(x != y for x, y in zip(a.levels[:-1], b.levels[:-1], strict=True))


@given(schedules, st.floats(1e-6, 0.999), samplers, st.sampled_from(SPACINGS), st.integers(1, 50))
def test_neither_steps_nor_sampler_nor_spacing_moves_the_start(
    schedule: Schedule, strength: float, sampler: SamplerName, spacing: Spacing, steps: int
):
    plan = make_plan(schedule, strength=strength, steps=steps, sampler=sampler, spacing=spacing)
    assert plan.start == make_plan(schedule, strength=strength, steps=1).start


@given(schedules, st.one_of(st.none(), st.integers(1, 1000)))
def test_at_strength_zero_nothing_runs(schedule: Schedule, steps: int | None):
    assert make_plan(schedule, strength=0.0, steps=steps) == Plan(PICTURE, (), 0)


@given(schedules, st.floats(0, 1e-10, exclude_min=True))
def test_noise_too_faint_for_float32_is_no_noise(schedule: Schedule, strength: float):
    plan = make_plan(schedule, strength=strength, steps=5)
    assert (plan.start, plan.levels, plan.evaluations) == (PICTURE, (), 0)
    assert codes(plan) == ["nothing-runs"]


def test_the_faintest_noise_that_runs_is_half_a_step_of_float32():
    assert make_plan(FLOW, strength=2.0**-24, steps=5).evaluations == 5
    assert make_plan(FLOW, strength=math.nextafter(2.0**-24, 0), steps=5).evaluations == 0


@pytest.mark.parametrize("name", SCHEDULES)
def test_at_strength_one_the_start_is_pure_noise_though_the_network_is_told_its_last_level(
    name: str,
):
    schedule = SCHEDULES[name]
    plan = make_plan(schedule, strength=1.0, steps=7)
    assert plan.levels[0] == schedule.level(1.0)
    assert plan.start == Level(0.0, schedule.level(1.0).sigma)


def test_just_below_strength_one_the_source_is_in_the_start():
    plan = make_plan(SD, strength=math.nextafter(1.0, 0.0), steps=7)
    assert plan.start == plan.levels[0]
    assert plan.start.alpha > 0.068


# --- notices --------------------------------------------------------------------------------------


def test_an_ordinary_plan_says_nothing():
    assert make_plan(SD, strength=0.6, steps=12, prompt="an oil painting").notices == ()


def test_the_source_is_said_to_be_lost_below_two_percent_of_its_signal():
    # flow: (1 - t)² / ((1 - t)² + t²) = .02 at t = 7/8
    assert codes(make_plan(FLOW, strength=0.876, steps=12)) == ["source-lost"]
    assert codes(make_plan(FLOW, strength=0.874, steps=12)) == []


def test_at_strength_one_the_source_is_said_to_be_lost_with_its_figure():
    (notice,) = make_plan(SD, strength=1.0, steps=12).notices
    assert notice.code == "source-lost"
    assert "at strength 1 the start holds 0.0%" in notice.message
    assert "lower the strength" in notice.message


@pytest.mark.parametrize(
    ("strength", "words", "expected"),
    [
        (0.29, 13, ["prompt-weak"]),
        (0.29, 12, []),
        (0.3, 13, []),
        (0.3, 40, []),
        (0.0, 40, []),
    ],
)
def test_a_long_prompt_at_a_low_strength_is_said_to_be_weak(
    strength: float, words: int, expected: list[str]
):
    assert codes(make_plan(SD, strength=strength, steps=4, prompt="word " * words)) == expected


def test_levels_below_the_first_trained_one_are_counted():
    # strength .6 over 1000 steps: levels at t = .0006 and below .001 are one
    (notice,) = make_plan(SD, strength=0.6, steps=1000).notices
    assert notice.code == "time-clamped"
    assert notice.message.startswith("1 of 1000 levels lie below")
    (notice,) = make_plan(SD, strength=0.004, steps=8).notices
    assert notice.message.startswith("1 of 8 levels lie below")


def test_levels_down_to_the_first_trained_one_need_no_word():
    assert codes(make_plan(SD, strength=1.0, steps=1000)) == ["source-lost"]
    assert codes(make_plan(SD, strength=0.6, steps=600)) == []
    assert codes(make_plan(SD, strength=0.6, steps=20, spacing="karras")) == []


def test_flows_are_trained_down_to_zero():
    assert codes(make_plan(FLOW, strength=0.004, steps=50)) == []


def test_a_noise_predicting_network_is_not_started_where_it_says_nothing():
    plan = make_plan(ZERO_SNR_EPS, strength=1.0, steps=6)
    assert codes(plan) == ["start-clamped", "source-lost"]
    assert plan.levels[0] == ZERO_SNR_EPS.level(0.999)
    assert plan.levels[0].alpha > 0
    assert plan.start == Level(0.0, plan.levels[0].sigma)
    assert plan.evaluations == 6
    assert "t = 0.9990" in plan.notices[0].message


def test_nor_between_its_last_usable_level_and_the_end():
    plan = make_plan(ZERO_SNR_EPS, strength=0.9995, steps=6)
    assert codes(plan) == ["start-clamped", "source-lost"]
    assert plan.start == plan.levels[0] == ZERO_SNR_EPS.level(0.999)
    assert codes(make_plan(ZERO_SNR_EPS, strength=0.998, steps=6)) == ["source-lost"]


def test_other_predictions_start_in_pure_noise_without_a_word_about_it():
    assert codes(make_plan(SCHEDULES["zero-snr"], strength=1.0, steps=12)) == ["source-lost"]
    assert codes(make_plan(ZERO_SNR_EPS, strength=0.6, steps=12)) == []
