"""Orders of convergence on a Gaussian whose probability-flow ODE is solved in closed form.

Float64, on ladders between sigma .95 and .03: neither from pure noise nor to zero, whose steps are
tested for themselves in test_samplers.py.
"""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.closed_form import Coefficients, Gaussian, converse, variance
from underpaint.levels import Level
from underpaint.request import SamplerName
from underpaint.samplers import choose

GAUSSIAN = Gaussian(mean=0.3, std=0.7)
COUNTS = (32, 48, 64, 96, 128)  # small enough for float64, large enough for the leading order
SCALINGS = ("preserving", "flow", "exploding")


def level_at(log_noise_ratio: float, scaling: str) -> Level:
    ratio = math.exp(log_noise_ratio)
    match scaling:
        case "preserving":
            return Level(1 / math.hypot(1, ratio), ratio / math.hypot(1, ratio))
        case "flow":
            return Level(1 / (1 + ratio), ratio / (1 + ratio))
        case _:
            return Level(1.0, ratio)


def ends(scaling: str) -> tuple[float, float]:
    """The log noise ratios of sigma .95 and .03."""
    if scaling == "flow":
        return math.log(0.95 / 0.05), math.log(0.03 / 0.97)
    return math.log(0.95 / (1 - 0.95**2) ** 0.5), math.log(0.03 / (1 - 0.03**2) ** 0.5)


def ladder(count: int, scaling: str, *, bend: float = 0.0) -> list[Level]:
    """``count`` intervals, uniform in log-SNR, or smoothly denser at one end."""
    high, low = ends(scaling)
    u = np.linspace(0, 1, count + 1)
    u = u + bend * u * (1 - u)
    return [level_at(float(high + (low - high) * at), scaling) for at in u]


def start(level: Level) -> Tensor:
    z = torch.tensor([-1.5, -0.4, 0.3, 1.1, 2.0], dtype=torch.float64)
    return level.alpha * GAUSSIAN.mean + GAUSSIAN.spread(level) * z


def error(name: SamplerName, levels: list[Level]) -> float:
    # heun's last interval is Euler's: one step of local order 2 leaves its order 2
    sampler = choose(name, evaluations=2 * len(levels) - 3)
    x = start(levels[0])
    _, found = converse(sampler, x, levels, GAUSSIAN.estimate)
    exact = GAUSSIAN.carried(x, levels[0], levels[-1])
    return float((found - exact).abs().max())


def order(name: SamplerName, scaling: str, *, bend: float = 0.0) -> float:
    """Minus the slope of log error over log count, fitted by least squares."""
    errors = [error(name, ladder(count, scaling, bend=bend)) for count in COUNTS]
    return -float(np.polyfit(np.log(COUNTS), np.log(errors), 1)[0])


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize(
    ("name", "expected"), [("euler", 1), ("ddim", 1), ("heun", 2), ("dpmpp_2m", 2)]
)
def test_samplers_converge_at_their_order(name: SamplerName, expected: int, scaling: str):
    # .2 is what the next order's share leaves of the slope at these counts
    assert order(name, scaling) == pytest.approx(expected, abs=0.2)


@pytest.mark.parametrize("scaling", SCALINGS)
def test_unipc_converges_at_order_three(scaling: str):
    # the corrector lifts order 2 by one (Zhao et al. 2023, theorem 3.1)
    assert order("unipc", scaling) == pytest.approx(3, abs=0.2)


# Bent the other way, the leading error of DPM++ 2M changes its sign along the ladder and cancels.
@pytest.mark.parametrize("bend", [-0.6, 0.2])
@pytest.mark.parametrize(("name", "expected"), [("dpmpp_2m", 2), ("unipc", 3)])
def test_multistep_samplers_keep_their_order_on_uneven_steps(
    name: SamplerName, expected: int, bend: float
):
    assert order(name, "flow", bend=bend) == pytest.approx(expected, abs=0.2)


def variance_error(name: SamplerName, levels: list[Level]) -> float:
    """How far the variance at the last level is from the marginal's, relatively; exact."""
    space = Coefficients(len(levels))
    sampler = choose(name, evaluations=len(levels) - 1, eta=1.0)
    x = space.start(GAUSSIAN, levels[0])
    _, found = converse(sampler, x, levels, space.estimate(GAUSSIAN), space.draw)
    return abs(variance(found) / GAUSSIAN.spread(levels[-1]) ** 2 - 1)


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize(
    ("name", "expected"), [("euler_ancestral", 1), ("ddim", 1), ("dpmpp_2m_sde", 2)]
)
def test_stochastic_samplers_reach_the_right_variance_at_their_order(
    name: SamplerName, expected: int, scaling: str
):
    # A step keeps the mean of its estimate and forgets the variance around it: a weak error of
    # first order, of second where the estimate is extrapolated.
    errors = [variance_error(name, ladder(count, scaling)) for count in COUNTS]
    slope = -float(np.polyfit(np.log(COUNTS), np.log(errors), 1)[0])
    assert slope == pytest.approx(expected, abs=0.2)
    assert errors[-1] < (0.06 if expected == 1 else 0.002)  # measured: .048 and .0009
