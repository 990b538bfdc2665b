"""Guidance: the published formula on the network's own output, paid for only where it acts."""

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from underpaint.denoiser import Guidance, Prompt, Row, from_x0, to_x0
from underpaint.guidance import guided
from underpaint.levels import FlowSchedule, Level, Prediction

SHAPE = (2, 5, 4)
FLOW = FlowSchedule(3.0)
VP = [Level(math.cos(angle), math.sin(angle)) for angle in (0.2, 0.8, 1.5)]
LEVELS: dict[Prediction, list[Level]] = {
    "eps": VP,
    "v": VP,
    "x0": VP,
    "flow": [FLOW.level(t) for t in (0.1, 0.5, 1.0)],
}
WORDS = Prompt("a boat")
NOT = Prompt("blur")
ROUNDING = 2e-5  # float32; an eps-estimate near pure noise divides by alpha = .07, guidance times 7
PREDICTIONS = pytest.mark.parametrize("prediction", list(LEVELS))


def raw_output(x: Tensor, prompt: object) -> Tensor:
    """What a network says: nonlinear in x, other words another answer."""
    shift = {"a boat": 0.4, "blur": -0.7}[str(prompt)]
    return torch.tanh(1.3 * x + shift) + 0.2 * x


class Network:
    """A denoiser around ``raw_output`` that remembers the rows of every call."""

    def __init__(self, prediction: Prediction) -> None:
        self.prediction: Prediction = prediction
        self.calls: list[list[Row]] = []

    def __call__(self, rows: Sequence[Row]) -> list[Tensor]:
        self.calls.append(list(rows))
        return [
            to_x0(self.prediction, row.x, row.level, raw_output(row.x, row.prompt)) for row in rows
        ]


def picture(seed: int) -> Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))


def row(level: Level, guidance: Guidance, *, seed: int = 0) -> Row:
    return Row(picture(seed), level, WORDS, NOT, guidance)


@PREDICTIONS
@pytest.mark.parametrize("scale", [0.0, 0.5, 2.0, 7.5])
def test_the_guided_estimate_is_the_guided_output(prediction: Prediction, scale: float):
    # Ho & Salimans, as every pipeline has it: negative + scale * (prompt - negative), on the output
    for level in LEVELS[prediction]:
        one = row(level, Guidance(scale))
        (found,) = guided(Network(prediction))([one])
        negative, positive = raw_output(one.x, NOT), raw_output(one.x, WORDS)
        output = negative + scale * (positive - negative)
        expected = to_x0(prediction, one.x, level, output)
        assert torch.allclose(found, expected, atol=ROUNDING * max(scale, 1), rtol=1e-5)


def test_both_halves_of_every_row_go_into_one_call():
    network = Network("eps")
    rows = [row(level, Guidance(3.0), seed=i) for i, level in enumerate(VP)]
    guided(network)(rows)
    (call,) = network.calls
    assert [asked.prompt for asked in call] == [WORDS] * 3 + [NOT] * 3
    assert [asked.level for asked in call] == VP * 2
    for i in range(3):
        assert torch.equal(call[i].x, call[3 + i].x)


def test_a_scale_of_one_costs_no_second_half_and_changes_nothing():
    network = Network("v")
    one = row(VP[1], Guidance(1.0, rescale=0.7))
    (found,) = guided(network)([one])
    assert [len(call) for call in network.calls] == [1]
    assert torch.equal(found, to_x0("v", one.x, one.level, raw_output(one.x, WORDS)))


def test_without_a_negative_there_is_no_second_half():
    network = Network("v")
    guided(network)([Row(picture(0), VP[1], WORDS, None, Guidance(5.0))])
    assert [len(call) for call in network.calls] == [1]


def test_outside_its_interval_a_row_is_not_guided():
    guidance = Guidance(5.0, low=FLOW.level(0.25), high=FLOW.level(0.75))
    counted: dict[float, int] = {}
    for t in (0.1, 0.25, 0.5, 0.75, 0.9):
        network = Network("flow")
        one = row(FLOW.level(t), guidance)
        (found,) = guided(network)([one])
        counted[t] = len(network.calls[0])
        alone = to_x0("flow", one.x, one.level, raw_output(one.x, WORDS))
        assert torch.equal(found, alone) == (counted[t] == 1)
    assert counted == {0.1: 1, 0.25: 2, 0.5: 2, 0.75: 2, 0.9: 1}


@PREDICTIONS
@pytest.mark.parametrize("phi", [0.3, 0.7, 1.0])
def test_rescaled_guidance_is_that_of_diffusers_on_the_networks_output(
    prediction: Prediction, phi: float
):
    from diffusers.pipelines.stable_diffusion import pipeline_stable_diffusion

    pipeline: Any = pipeline_stable_diffusion

    for level in LEVELS[prediction]:
        one = row(level, Guidance(7.5, rescale=phi))
        (found,) = guided(Network(prediction))([one])
        negative, positive = raw_output(one.x, NOT)[None], raw_output(one.x, WORDS)[None]
        steered = negative + 7.5 * (positive - negative)
        output = pipeline.rescale_noise_cfg(steered, positive, guidance_rescale=phi)[0]
        expected = to_x0(prediction, one.x, level, output)
        assert torch.allclose(found, expected, atol=ROUNDING * 7.5, rtol=1e-5)


@PREDICTIONS
def test_full_rescaling_restores_the_contrast_of_the_output(prediction: Prediction):
    for level in LEVELS[prediction]:
        one = row(level, Guidance(7.5, rescale=1.0))
        (found,) = guided(Network(prediction))([one])
        output = from_x0(prediction, one.x, level, found)
        wanted = raw_output(one.x, WORDS).std()
        # float32, and at the faintest level the way back divides by sigma = .2
        assert float(output.std()) == pytest.approx(float(wanted), rel=1e-4)


def test_rows_of_one_call_keep_their_own_guidance():
    guidances = [
        Guidance(1.0),
        Guidance(7.5),
        Guidance(3.0, rescale=0.5),
        Guidance(3.0, low=VP[2], high=VP[2]),
        Guidance(0.0),
    ]
    rows = [row(VP[i % 2], one, seed=i) for i, one in enumerate(guidances)]
    network = Network("v")
    together = guided(network)(rows)
    assert [len(call) for call in network.calls] == [5 + 3]
    for one, found in zip(rows, together, strict=True):
        (alone,) = guided(Network("v"))([one])
        assert torch.equal(found, alone)


def test_the_same_row_twice_is_answered_twice():
    one = row(VP[0], Guidance(4.0))
    first, second = guided(Network("eps"))([one, one])
    assert torch.equal(first, second)


def test_guidance_passes_the_prediction_on():
    assert guided(Network("flow")).prediction == "flow"


@pytest.mark.parametrize("scale", [0.5, 4.0])
def test_guidance_turns_patches_of_the_output_and_leaves_their_length_alone(scale: float):
    def tokens(output: Tensor) -> Tensor:  # as Qwen-Image packs them: 2x2 cells of every channel
        padded = output.reshape(SHAPE[0], 3, 2, 2, 2)
        return padded.permute(1, 3, 0, 2, 4).reshape(6, -1)

    level = FLOW.level(0.6)
    guidance = Guidance(scale, patch=2)
    x = torch.randn(SHAPE[0], 6, 4, generator=torch.Generator().manual_seed(1))
    (x0,) = guided(Network("flow"))([Row(x, level, WORDS, NOT, guidance)])
    found = tokens(from_x0("flow", x, level, x0))
    positive, negative = (tokens(raw_output(x, words)) for words in (WORDS, NOT))
    plain = negative + scale * (positive - negative)
    expected = plain * (positive.norm(dim=1) / plain.norm(dim=1))[:, None]
    torch.testing.assert_close(found, expected, rtol=ROUNDING, atol=ROUNDING)


def test_a_guided_output_of_zeros_stays_zero():
    class Silent(Network):
        def __call__(self, rows: Sequence[Row]) -> list[Tensor]:
            return [one.x for one in rows]

    x = torch.zeros(2, 4, 4)
    rows = [Row(x, FLOW.level(0.5), WORDS, NOT, Guidance(3.0, patch=2))]
    (x0,) = guided(Silent("flow"))(rows)
    assert torch.equal(x0, x)
