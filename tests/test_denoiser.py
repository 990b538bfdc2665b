"""Predictions and estimates: each is the other read backwards, in any scaling of x."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from underpaint.denoiser import Guidance, Prompt, Row, from_x0, to_x0
from underpaint.levels import PICTURE, FlowSchedule, Level, Prediction

PREDICTIONS: tuple[Prediction, ...] = ("eps", "v", "x0", "flow")
X0 = torch.tensor([0.3, -0.9, 1.4], dtype=torch.float64)
EPS = torch.tensor([-1.2, 0.1, 0.6], dtype=torch.float64)
ROUNDING = 1e-12  # float64; levels are kept away from 0, which multiplies errors by at most 100

levels = st.builds(Level, st.floats(0.01, 3), st.floats(0.01, 3))
predictions = st.sampled_from(PREDICTIONS)


def noised(level: Level) -> Tensor:
    return level.alpha * X0 + level.sigma * EPS


@given(predictions, levels)
def test_an_estimate_becomes_an_output_and_again_the_estimate(prediction: Prediction, at: Level):
    x = noised(at)
    output = from_x0(prediction, x, at, X0)
    assert torch.allclose(to_x0(prediction, x, at, output), X0, atol=ROUNDING)


@given(predictions, levels)
def test_an_output_becomes_an_estimate_and_again_the_output(prediction: Prediction, at: Level):
    x = noised(at)
    estimate = to_x0(prediction, x, at, EPS)
    # the way back divides by sigma what the way there divided by alpha: 1e-16 · 100 · 300
    assert torch.allclose(from_x0(prediction, x, at, estimate), EPS, atol=1e-10)


@given(levels)
def test_a_perfect_noise_prediction_names_the_noise(at: Level):
    assert torch.allclose(from_x0("eps", noised(at), at, X0), EPS, atol=1e-11)


@given(st.floats(0, math.pi / 2))
def test_a_perfect_v_prediction_is_alpha_eps_minus_sigma_x0(angle: float):
    # Salimans & Ho 2022, appendix D, where alpha² + sigma² = 1; also at pure noise
    at = Level(math.cos(angle), math.sin(angle))
    v = at.alpha * EPS - at.sigma * X0
    assert torch.allclose(to_x0("v", noised(at), at, v), X0, atol=ROUNDING)


@given(st.floats(0, 1))
def test_a_perfect_flow_prediction_is_eps_minus_x0(t: float):
    at = FlowSchedule(3.0).level(t)
    assert torch.allclose(to_x0("flow", noised(at), at, EPS - X0), X0, atol=ROUNDING)


@given(levels)
def test_a_network_that_predicts_the_picture_is_taken_at_its_word(at: Level):
    assert to_x0("x0", noised(at), at, EPS) is EPS
    assert from_x0("x0", noised(at), at, EPS) is EPS


@given(predictions, levels, st.floats(0.1, 10))
def test_scaling_x_and_its_level_together_changes_no_estimate(
    prediction: Prediction, at: Level, by: float
):
    scaled = Level(at.alpha * by, at.sigma * by)
    whole = to_x0(prediction, noised(at), at, EPS)
    assert torch.allclose(to_x0(prediction, noised(scaled), scaled, EPS), whole, atol=1e-11)
    back = from_x0(prediction, noised(at), at, X0)
    assert torch.allclose(from_x0(prediction, noised(scaled), scaled, X0), back, atol=1e-11)


@pytest.mark.parametrize("prediction", ["v", "flow", "x0"])
def test_pure_noise_has_an_estimate_in_every_prediction_but_eps(prediction: Prediction):
    at = Level(0.0, 1.0)
    assert to_x0(prediction, EPS, at, X0).isfinite().all()
    assert torch.allclose(
        to_x0(prediction, EPS, at, from_x0(prediction, EPS, at, X0)), X0, atol=ROUNDING
    )


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_at_no_noise_the_estimate_is_x_itself(prediction: Prediction):
    if prediction != "x0":
        assert torch.equal(to_x0(prediction, X0, PICTURE, EPS), X0)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_float32_stays_float32(prediction: Prediction):
    x, at = X0.float(), Level(0.6, 0.8)
    assert to_x0(prediction, x, at, x).dtype == torch.float32
    assert from_x0(prediction, x, at, x).dtype == torch.float32


# --- guidance as a row carries it -----------------------------------------------------------------


def test_a_scale_of_one_needs_no_second_half_anywhere():
    assert not Guidance().acts_at(Level(0.6, 0.8))
    assert Guidance(0.0).acts_at(Level(0.6, 0.8))
    assert Guidance(7.5).acts_at(Level(0.6, 0.8))


def test_by_default_guidance_acts_from_pure_noise_to_the_picture():
    assert Guidance(5.0).acts_at(Level(0.0, 1.0))
    assert Guidance(5.0).acts_at(PICTURE)


def test_an_interval_holds_its_ends_and_nothing_beyond():
    flow = FlowSchedule()
    guidance = Guidance(5.0, low=flow.level(0.25), high=flow.level(0.75))
    acting = {t: guidance.acts_at(flow.level(t)) for t in (0.2, 0.25, 0.5, 0.75, 0.8)}
    assert acting == {0.2: False, 0.25: True, 0.5: True, 0.75: True, 0.8: False}


def test_the_end_of_an_interval_holds_a_level_that_was_rounded_on_its_way():
    flow = FlowSchedule()
    rounded = flow.level(0.4 * (1 - 1 / 4))  # 0.30000000000000004
    assert Guidance(5.0, high=flow.level(0.3)).acts_at(rounded)
    assert Guidance(5.0, low=rounded).acts_at(flow.level(0.3))
    assert not Guidance(5.0, high=flow.level(0.2999)).acts_at(rounded)


def test_rows_are_not_guided_unless_told():
    row = Row(X0, PICTURE, Prompt("a boat"))
    assert (row.negative, row.guidance) == (None, Guidance(scale=1.0, rescale=0.0))
