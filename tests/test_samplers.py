"""What every sampler owes: counts, ends, pure noise, and the right share of fresh noise.

The Gaussian checks need no random numbers. On a Gaussian every sampler is linear in its start, its
estimates and its draws, so ``x`` may be a vector of coefficients: mean and variance are then exact,
and held to float64.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.closed_form import Coefficients, Gaussian, converse, mean, variance
from tests.test_levels import SCHEDULES
from underpaint.levels import PICTURE, FlowSchedule, Level, Schedule
from underpaint.plan import intervals, make_plan
from underpaint.request import SAMPLER_NAMES, SamplerName
from underpaint.samplers import SAMPLERS, Sampler, choose

GAUSSIAN = Gaussian(mean=0.3, std=0.7)
DETERMINISTIC: tuple[SamplerName, ...] = ("euler", "heun", "dpmpp_2m", "unipc", "ddim")
STOCHASTIC: tuple[SamplerName, ...] = ("dpmpp_2m_sde", "euler_ancestral", "lcm")
EVERY = pytest.mark.parametrize("name", SAMPLER_NAMES)
PURE = pytest.mark.parametrize("schedule", ["flow", "flow-3", "zero-snr"])
EXACT = 1e-12  # float64, some hundred operations, figures near 1

falling = st.lists(st.floats(0.02, 1), min_size=1, max_size=9, unique_by=lambda t: round(t, 2)).map(
    lambda times: sorted(times, reverse=True)
)


def levels_of(schedule: Schedule, times: Sequence[float]) -> list[Level]:
    return [*(schedule.level(t) for t in times), PICTURE]


def draws(seed: int, shape: tuple[int, ...], dtype: torch.dtype) -> Callable[[], Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return lambda: torch.randn(shape, generator=generator, dtype=dtype)


# --- the table ------------------------------------------------------------------------------------


def test_every_name_that_a_request_allows_has_a_sampler():
    assert set(SAMPLERS) == set(SAMPLER_NAMES)


def test_eta_reaches_ddim_alone():
    for name in SAMPLER_NAMES:
        results: list[Tensor] = []
        for eta in (0.0, 1.0):
            noise = draws(1, (3,), torch.float64)
            levels = levels_of(FlowSchedule(), [0.8, 0.5, 0.2])
            sampler = choose(name, evaluations=3, eta=eta)
            results.append(converse(sampler, noise(), levels, GAUSSIAN.estimate, noise)[1])
        assert torch.equal(*results) == (name != "ddim")


# --- counts and ends ------------------------------------------------------------------------------


@EVERY
@given(st.integers(1, 40), st.floats(0.01, 1), st.sampled_from(list(SCHEDULES.values())))
@settings(max_examples=25)
def test_a_sampler_asks_exactly_as_often_as_it_was_given_evaluations(
    name: SamplerName, evaluations: int, t: float, schedule: Schedule
):
    plan = make_plan(schedule, strength=t, steps=evaluations, sampler=name)
    noise = draws(1, (2,), torch.float32)
    sampler = choose(name, evaluations=evaluations)
    queries, result = converse(sampler, noise(), plan.levels, GAUSSIAN.estimate, noise)
    assert len(queries) == evaluations == plan.evaluations
    assert {query.level for query in queries} == set(plan.levels[:-1])
    assert result.isfinite().all()


def heun_asks(evaluations: int) -> str:
    """One letter an interval: H asks at its far end too, E does not."""
    times = np.linspace(0.9, 0.1, intervals("heun", evaluations))
    levels = levels_of(FlowSchedule(), times.tolist())
    sampler = choose("heun", evaluations=evaluations)
    queries, _ = converse(sampler, torch.ones(1), levels, GAUSSIAN.estimate)
    assert len(queries) == evaluations
    asked = [query.level for query in queries]
    # every interval asks at its near end, the first level is the far end of none
    return "".join("H" if asked.count(far) == 2 else "E" for far in levels[1:])


@pytest.mark.parametrize(
    ("evaluations", "kinds"),
    [(1, "E"), (2, "EE"), (3, "HE"), (4, "HEE"), (5, "HHE"), (6, "HHEE"), (9, "HHHHE")],
)
def test_heun_spends_odd_and_even_evaluations_as_designed(evaluations: int, kinds: str):
    assert heun_asks(evaluations) == kinds


def test_heun_without_a_count_takes_only_its_last_interval_as_euler():
    levels = levels_of(FlowSchedule(), [0.9, 0.6, 0.3])
    queries, _ = converse(SAMPLERS["heun"], torch.ones(1), levels, GAUSSIAN.estimate)
    assert len(queries) == 5


@EVERY
def test_the_step_to_zero_returns_the_last_estimate(name: SamplerName):
    last: list[Tensor] = []

    def denoise(x: Tensor, level: Level) -> Tensor:
        last[:] = [torch.tanh(x) + level.sigma]
        return last[0]

    noise = draws(4, (7,), torch.float32)
    levels = levels_of(FlowSchedule(), [0.9, 0.5, 0.1])
    _, result = converse(choose(name, evaluations=3), noise(), levels, denoise, noise)
    assert torch.equal(result, last[0])


@EVERY
def test_a_sampler_keeps_float32_and_leaves_its_input_alone(name: SamplerName):
    noise = draws(4, (7,), torch.float32)
    x = noise()
    before = x.clone()
    levels = levels_of(FlowSchedule(), [0.9, 0.5, 0.1])
    queries, result = converse(choose(name, evaluations=4), x, levels, GAUSSIAN.estimate, noise)
    assert {result.dtype, *(query.x.dtype for query in queries)} == {torch.float32}
    assert torch.equal(x, before)


@pytest.mark.parametrize("name", DETERMINISTIC)
@given(falling)
@settings(max_examples=20)
def test_where_the_picture_is_known_every_deterministic_path_is_a_straight_line(
    name: SamplerName, times: list[float]
):
    # constant x0: the ODE's solution is alpha x0 + sigma z, and no method has an error
    picture = torch.tensor([0.4, -0.8], dtype=torch.float64)
    z = torch.tensor([1.3, -0.2], dtype=torch.float64)
    for schedule in (SCHEDULES["sd"], SCHEDULES["zero-snr"], SCHEDULES["flow-3"]):
        levels = levels_of(schedule, times)
        x = levels[0].alpha * picture + levels[0].sigma * z
        queries, result = converse(
            choose(name, evaluations=3), x, levels, lambda _x, _level: picture
        )
        for query in queries:
            at = query.level
            assert torch.allclose(query.x, at.alpha * picture + at.sigma * z, atol=EXACT)
        assert torch.equal(result, picture)


# --- from pure noise ------------------------------------------------------------------------------


@EVERY
@PURE
@pytest.mark.parametrize("evaluations", [1, 2, 3, 4, 12])
def test_from_pure_noise_to_the_picture_everything_is_finite(
    name: SamplerName, schedule: str, evaluations: int
):
    plan = make_plan(SCHEDULES[schedule], strength=1.0, steps=evaluations, sampler=name)
    assert plan.levels[0].alpha == 0
    noise = draws(2, (64,), torch.float32)
    sampler = choose(name, evaluations=evaluations, eta=0.5)
    queries, result = converse(sampler, noise(), plan.levels, GAUSSIAN.estimate, noise)
    assert len(queries) == evaluations
    assert all(query.x.isfinite().all() for query in queries)
    assert result.isfinite().all()


@pytest.mark.parametrize("name", DETERMINISTIC)
@PURE
def test_the_first_step_from_pure_noise_is_eulers(name: SamplerName, schedule: str):
    # at alpha = 0 the estimate is the mean, so the next x is alpha mean + sigma z
    levels = levels_of(SCHEDULES[schedule], [1.0, 0.7, 0.4, 0.1])
    z = torch.tensor([0.5, -1.0], dtype=torch.float64)
    queries, _ = converse(choose(name, evaluations=7), z, levels, GAUSSIAN.estimate)
    nxt = levels[1]
    assert queries[1].level == nxt
    assert torch.allclose(queries[1].x, nxt.alpha * GAUSSIAN.mean + nxt.sigma * z, atol=EXACT)


@pytest.mark.parametrize("name", ["dpmpp_2m", "dpmpp_2m_sde", "unipc"])
@PURE
def test_after_a_step_from_pure_noise_a_multistep_sampler_starts_afresh(
    name: SamplerName, schedule: str
):
    # nothing is extrapolated from, or corrected with, an estimate at alpha = 0
    levels = levels_of(SCHEDULES[schedule], [1.0, 0.8, 0.55, 0.35, 0.1])
    sampler = choose(name, evaluations=5)
    noise = draws(3, (5,), torch.float64)
    whole, end = converse(sampler, noise(), levels, GAUSSIAN.estimate, noise)
    noise = draws(3, (5,), torch.float64)
    for _ in range(2):  # the start's, and the first step's where a sampler draws one
        noise()
    later, later_end = converse(sampler, whole[1].x, levels[1:], GAUSSIAN.estimate, noise)
    for one, other in zip(whole[1:], later, strict=True):
        assert torch.allclose(one.x, other.x, rtol=0, atol=EXACT)
    assert torch.allclose(end, later_end, rtol=0, atol=EXACT)


def test_from_pure_noise_to_zero_many_euler_steps_reach_the_closed_form():
    # the whole ODE maps z to mean + std z; Euler's error over t falls as 1/N
    z = torch.tensor([-1.0, 0.2, 1.5], dtype=torch.float64)
    exact = GAUSSIAN.mean + GAUSSIAN.std * z
    errors: list[float] = []
    for count in (50, 100, 200):
        levels = levels_of(FlowSchedule(), np.linspace(1, 0, count, endpoint=False).tolist())
        _, found = converse(choose("euler", evaluations=count), z, levels, GAUSSIAN.estimate)
        errors.append(float((found - exact).abs().max()))
    assert errors[0] / errors[1] == pytest.approx(2, abs=0.1)
    assert errors[1] / errors[2] == pytest.approx(2, abs=0.1)
    assert errors[2] < 0.01


@pytest.mark.parametrize("name", ["heun", "dpmpp_2m", "unipc"])
def test_higher_orders_come_nearer_than_euler_from_pure_noise_to_zero(name: SamplerName):
    z = torch.tensor([-1.0, 0.2, 1.5], dtype=torch.float64)
    exact = GAUSSIAN.mean + GAUSSIAN.std * z
    errors: dict[str, float] = {}
    for one in ("euler", name):
        plan = make_plan(FlowSchedule(), strength=1.0, steps=21, sampler=one)
        sampler = choose(one, evaluations=21)
        _, found = converse(sampler, z, plan.levels, GAUSSIAN.estimate)
        errors[one] = float((found - exact).abs().max())
    assert errors[name] < errors["euler"] / 2


# --- fresh noise, exactly -------------------------------------------------------------------------


def noisy(name: SamplerName) -> list[Sampler]:
    etas = (0.3, 1.0) if name == "ddim" else (0.0,)
    return [choose(name, evaluations=9, eta=eta) for eta in etas]


@pytest.mark.parametrize("name", [*STOCHASTIC, "ddim"])
@given(falling, st.sampled_from(["sd", "zero-snr", "flow", "flow-3"]))
@settings(max_examples=30)
def test_where_the_picture_is_known_every_level_has_its_own_noise(
    name: SamplerName, times: list[float], schedule: str
):
    # std 0: whatever is taken away and drawn anew, x stays alpha mean + sigma (a unit normal)
    known = Gaussian(mean=0.3, std=0.0)
    levels = levels_of(SCHEDULES[schedule], times)
    for sampler in noisy(name):
        space = Coefficients(len(levels))
        x = space.start(known, levels[0])
        queries, result = converse(sampler, x, levels, space.estimate(known), space.draw)
        for query in queries:
            assert mean(query.x) == pytest.approx(query.level.alpha * known.mean, abs=EXACT)
            assert variance(query.x) == pytest.approx(query.level.sigma**2, abs=EXACT)
        assert (mean(result), variance(result)) == (0.3, 0.0)


@pytest.mark.parametrize("name", [*STOCHASTIC, "ddim"])
@given(falling, st.sampled_from(["sd", "zero-snr", "flow-3"]))
@settings(max_examples=30)
def test_the_mean_of_a_gaussian_is_kept_exactly(
    name: SamplerName, times: list[float], schedule: str
):
    levels = levels_of(SCHEDULES[schedule], times)
    for sampler in noisy(name):
        space = Coefficients(len(levels))
        x = space.start(GAUSSIAN, levels[0])
        _, result = converse(sampler, x, levels, space.estimate(GAUSSIAN), space.draw)
        assert mean(result) == pytest.approx(GAUSSIAN.mean, abs=EXACT)


def ddpm_posterior(x0: Tensor, x: Tensor, cur: Level, nxt: Level) -> tuple[Tensor, float]:
    """Mean and variance of ``x_nxt`` given ``x0`` and ``x_cur``, by conditioning a Gaussian.

    Given x0, ``x_cur = r x_nxt + (noise that brings its variance to sigma_cur²)``, r the alphas'
    ratio; nothing here is taken from a sampler's formula.
    """
    r = cur.alpha / nxt.alpha
    gain = r * nxt.sigma**2 / cur.sigma**2  # cov(x_nxt, x_cur | x0) / var(x_cur | x0)
    expected = nxt.alpha * x0 + gain * (x - cur.alpha * x0)
    return expected, nxt.sigma**2 - gain * r * nxt.sigma**2


@pytest.mark.parametrize("name", ["euler_ancestral", "ddim"])
@given(falling, st.sampled_from(["sd", "zero-snr", "flow-3"]))
@settings(max_examples=30)
def test_ancestral_steps_draw_from_the_posterior_of_ddpm(
    name: SamplerName, times: list[float], schedule: str
):
    sampler = choose(name, evaluations=1, eta=1.0)
    levels = levels_of(SCHEDULES[schedule], times)
    space = Coefficients(len(levels))
    denoise = space.estimate(GAUSSIAN)
    x = space.start(GAUSSIAN, levels[0])
    queries, _ = converse(sampler, x, levels, denoise, space.draw)
    for asked, answered in pairwise(queries):
        x0 = denoise(asked.x, asked.level)
        expected, spread = ddpm_posterior(x0, asked.x, asked.level, answered.level)
        fresh = answered.x - expected
        assert variance(fresh) == pytest.approx(spread, abs=EXACT)
        assert int((fresh.abs() > 1e-9).sum()) <= 1  # one new draw and nothing else


@given(falling, st.sampled_from(["sd", "zero-snr", "flow-3"]), st.floats(0.05, 1))
@settings(max_examples=40)
def test_eta_scales_the_deviation_of_ddims_fresh_noise(
    times: list[float], schedule: str, eta: float
):
    # equation 16: sigma_t(eta) is eta times the posterior's deviation; the rest is kept noise
    levels = levels_of(SCHEDULES[schedule], times)
    space = Coefficients(len(levels))
    denoise = space.estimate(GAUSSIAN)
    x = space.start(GAUSSIAN, levels[0])
    sampler = choose("ddim", evaluations=1, eta=eta)
    queries, _ = converse(sampler, x, levels, denoise, space.draw)
    for i, (asked, answered) in enumerate(pairwise(queries)):
        _, spread = ddpm_posterior(x, x, asked.level, answered.level)
        newest = float(answered.x[2 + i])
        assert newest == pytest.approx(eta * math.sqrt(spread), abs=EXACT)


def test_nothing_is_drawn_for_the_step_to_zero():
    for name in (*STOCHASTIC, "ddim"):
        for sampler in noisy(name):
            space = Coefficients(3)
            levels = levels_of(FlowSchedule(), [0.9, 0.6, 0.3])
            x = space.start(GAUSSIAN, levels[0])
            converse(sampler, x, levels, space.estimate(GAUSSIAN), space.draw)
            assert space.drawn == 3  # the start's and one at .6 and at .3


@given(falling, st.sampled_from(["sd", "zero-snr", "flow-3"]))
def test_lcm_is_exact_in_any_number_of_steps_when_told_the_end_of_the_path(
    times: list[float], schedule: str
):
    # what a distilled network learns: not E[x0|x] but where the ODE ends, mean + std * quantile
    levels = levels_of(SCHEDULES[schedule], times)
    space = Coefficients(len(levels))
    constant = torch.eye(len(levels) + 2, dtype=torch.float64)[0] * GAUSSIAN.mean

    def consistency(x: Tensor, level: Level) -> Tensor:
        return constant + GAUSSIAN.std / GAUSSIAN.spread(level) * (x - level.alpha * constant)

    x = space.start(GAUSSIAN, levels[0])
    queries, result = converse(choose("lcm", evaluations=1), x, levels, consistency, space.draw)
    for query in queries:
        assert variance(query.x) == pytest.approx(GAUSSIAN.spread(query.level) ** 2, abs=EXACT)
    assert mean(result) == pytest.approx(GAUSSIAN.mean, abs=EXACT)
    assert variance(result) == pytest.approx(GAUSSIAN.std**2, abs=EXACT)


def test_lcm_told_the_expectation_loses_the_known_share_of_variance_in_one_step():
    # var(E[x0|x]) = std² · (alpha² std²) / (alpha² std² + sigma²), the law of total variance
    level = FlowSchedule().level(0.6)
    space = Coefficients(1)
    x = space.start(GAUSSIAN, level)
    sampler = choose("lcm", evaluations=1)
    _, result = converse(sampler, x, [level, PICTURE], space.estimate(GAUSSIAN), space.draw)
    share = (level.alpha * GAUSSIAN.std / GAUSSIAN.spread(level)) ** 2
    assert variance(result) == pytest.approx(GAUSSIAN.std**2 * share, abs=EXACT)
