"""The core loop: any number of pictures, each as if it were alone."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.closed_form import Gaussian, converse
from underpaint.denoiser import Guidance, Prompt, Row, to_x0
from underpaint.errors import Cancelled
from underpaint.guidance import guided
from underpaint.img2img import Begun, Job, Repainted, Stepped, repaint
from underpaint.levels import FlowSchedule, Level, Prediction
from underpaint.noise import Noise
from underpaint.plan import make_plan
from underpaint.request import SAMPLER_NAMES, SamplerName
from underpaint.samplers import choose

SHAPE = (3, 6, 4)
FLOW = FlowSchedule(3.0)
KERNEL = torch.randn((3, 3, 3, 3), generator=torch.Generator().manual_seed(5)) / 6


class Network:
    """A small convolution over one batch, which remembers who was in each call."""

    prediction: Prediction = "flow"

    def __init__(self) -> None:
        self.calls: list[list[Row]] = []

    def __call__(self, rows: Sequence[Row]) -> list[Tensor]:
        self.calls.append(list(rows))
        x = torch.stack([row.x for row in rows])
        words = torch.tensor([float(len(str(row.prompt))) for row in rows]).reshape(-1, 1, 1, 1)
        outputs = torch.tanh(torch.nn.functional.conv2d(x, KERNEL, padding=1) + words / 10)
        return [
            to_x0("flow", row.x, row.level, out) for row, out in zip(rows, outputs, strict=True)
        ]


def job(
    seed: int,
    *,
    strength: float = 0.7,
    steps: int = 4,
    sampler: SamplerName = "dpmpp_2m",
    shape: tuple[int, ...] = SHAPE,
    prompt: str = "boat",
    **guided_by: Any,
) -> Job:
    latents = torch.rand(shape, generator=torch.Generator().manual_seed(1000 + seed)) * 2 - 1
    return Job(
        latents,
        make_plan(FLOW, strength=strength, steps=steps, sampler=sampler),
        choose(sampler, evaluations=steps),
        seed,
        Prompt(prompt),
        **guided_by,
    )


def results(events: Iterator[Begun | Stepped | Repainted]) -> dict[int, Repainted]:
    return {event.index: event for event in events if isinstance(event, Repainted)}


VARIED = [
    job(1, strength=0.9, steps=6, sampler="euler"),
    job(2, strength=0.3, steps=2, sampler="lcm", prompt="a harbour at night"),
    job(3, strength=1.0, steps=5, sampler="heun"),
    job(4, strength=0.5, steps=3, sampler="dpmpp_2m_sde"),
    job(5, strength=0.8, steps=1, sampler="unipc"),
    job(6, strength=0.8, steps=7, sampler="euler_ancestral", prompt="snow"),
]


# --- one picture ----------------------------------------------------------------------------------


def test_a_picture_starts_from_its_own_latents_and_its_seeds_first_noise():
    one = job(7, strength=0.6)
    network = Network()
    list(repaint([one], network))
    (row,) = network.calls[0]
    start = one.plan.start
    assert torch.equal(row.x, start.alpha * one.latents + start.sigma * Noise(7, SHAPE)())
    assert row.level == one.plan.levels[0] == FLOW.level(0.6)


def test_at_strength_one_the_source_leaves_no_trace():
    one, other = job(7, strength=1.0), job(7, strength=1.0)
    other.latents.mul_(-3).add_(1)
    a, b = (results(repaint([it], Network()))[0].latents for it in (one, other))
    assert torch.equal(a, b)


def test_at_strength_zero_the_latents_come_back_and_the_network_is_not_asked():
    one = job(7, strength=0.0)
    network = Network()
    begun, event = repaint([one], network)
    assert isinstance(begun, Begun)
    assert isinstance(event, Repainted)
    assert event.latents is one.latents
    assert (event.evaluations, network.calls) == (0, [])


@pytest.mark.parametrize("name", SAMPLER_NAMES)
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_what_runs_is_what_was_asked_for(name: SamplerName, steps: int):
    network = Network()
    events = list(repaint([job(3, sampler=name, steps=steps)], network))
    assert len(network.calls) == steps
    assert [type(event) for event in events] == [Begun] + [Stepped] * steps + [Repainted]
    last = events[-1]
    assert isinstance(last, Repainted)
    assert last.evaluations == steps


@pytest.mark.parametrize("name", SAMPLER_NAMES)
def test_the_loop_adds_nothing_to_the_samplers_conversation(name: SamplerName):
    one = job(9, sampler=name, steps=5)
    noise = Noise(9, SHAPE)
    x = one.plan.start.alpha * one.latents + one.plan.start.sigma * noise()

    def denoise(x: Tensor, level: Level) -> Tensor:
        return Network()([Row(x, level, one.prompt)])[0]

    _, expected = converse(one.sampler, x, one.plan.levels, denoise, noise)
    assert torch.equal(results(repaint([one], Network()))[0].latents, expected)


def test_every_step_shows_its_level_and_estimate():
    one = job(9, sampler="euler", steps=3)
    steps = [event for event in repaint([one], Network()) if isinstance(event, Stepped)]
    assert [step.level for step in steps] == list(one.plan.levels[:-1])
    result = results(repaint([one], Network()))[0].latents
    assert torch.equal(steps[-1].x0, result)


def test_a_known_gaussian_source_is_repainted_as_the_closed_form_says():
    # an exact network and many Heun steps: z + noise travels the ODE to mean + std * quantile
    gaussian = Gaussian(mean=0.2, std=0.6)

    class Exact:
        prediction: Prediction = "flow"

        def __call__(self, rows: Sequence[Row]) -> list[Tensor]:
            return [gaussian.estimate(row.x, row.level) for row in rows]

    one = job(9, sampler="heun", steps=201, strength=0.6)
    start = one.plan.start
    x = start.alpha * one.latents + start.sigma * Noise(9, SHAPE)()
    expected = gaussian.carried(x, start, Level(1.0, 0.0))
    found = results(repaint([one], Exact()))[0].latents
    # second order over 101 intervals: 1e-4; the last one is Euler's over a hundredth of t
    assert torch.allclose(found, expected, atol=2e-3)


# --- many pictures --------------------------------------------------------------------------------


def test_a_picture_alone_is_byte_equal_to_the_same_among_others():
    together = results(repaint(VARIED, Network(), rows_per_call=1))
    for index, one in enumerate(VARIED):
        alone = results(repaint([one], Network()))[0]
        assert torch.equal(alone.latents, together[index].latents)
        assert together[index].evaluations == alone.evaluations == one.plan.evaluations


@pytest.mark.parametrize("rows_per_call", [2, 3, 16])
def test_sharing_calls_changes_results_only_by_rounding(rows_per_call: int):
    alone = results(repaint(VARIED, Network(), rows_per_call=1))
    together = results(repaint(VARIED, Network(), rows_per_call=rows_per_call))
    assert together.keys() == alone.keys() == set(range(len(VARIED)))
    for index, one in alone.items():
        # the promise for shared calls: 1e-4 in float32
        assert torch.allclose(together[index].latents, one.latents, atol=1e-4)
        assert together[index].evaluations == one.evaluations


def test_rows_of_one_call_stand_at_their_own_levels():
    network = Network()
    list(repaint(VARIED, network, rows_per_call=6))
    first = [row.level for row in network.calls[0]]
    assert first == [one.plan.levels[0] for one in VARIED]
    assert len(set(first)) == 5
    assert [row.prompt for row in network.calls[0]] == [one.prompt for one in VARIED]


def test_a_finished_picture_makes_room_for_the_next_in_mid_run():
    jobs = [job(1, steps=5), job(2, steps=2), job(3, steps=2), job(4, steps=1)]
    network = Network()
    events = list(repaint(jobs, network, rows_per_call=2))
    assert [len(call) for call in network.calls] == [2, 2, 2, 2, 2]
    assert [event.index for event in events if isinstance(event, Repainted)] == [1, 2, 0, 3]


def test_jobs_are_taken_only_as_room_comes_free():
    taken: list[int] = []

    def arriving() -> Iterator[Job]:
        for seed in range(4):
            taken.append(seed)
            yield job(seed, steps=2)

    events = repaint(arriving(), Network(), rows_per_call=2)
    assert [len(taken) for event in events if isinstance(event, Repainted)] == [2, 2, 4, 4]


def test_only_pictures_of_one_shape_share_a_call():
    wide, tall = (3, 4, 8), (3, 8, 4)
    jobs = [job(i, shape=shape, steps=2) for i, shape in enumerate([wide, tall, wide, tall, wide])]
    network = Network()
    found = results(repaint(jobs, network, rows_per_call=5))
    assert all(len({row.x.shape for row in call}) == 1 for call in network.calls)
    assert [len(call) for call in network.calls] == [3, 3, 2, 2]
    assert all(one.latents.shape == jobs[index].latents.shape for index, one in found.items())
    assert len(found) == 5


def test_pictures_that_need_no_step_pass_between_the_others():
    jobs = [job(1, steps=2), job(2, strength=0.0), job(3, steps=1), job(4, strength=0.0)]
    found = results(repaint(jobs, Network()))
    assert {index: one.evaluations for index, one in found.items()} == {0: 2, 1: 0, 2: 1, 3: 0}


def test_no_jobs_are_no_work():
    assert list(repaint([], Network())) == []


def test_each_row_carries_its_own_guidance_to_the_network():
    strong: dict[str, Any] = {"negative": Prompt("blur"), "guidance": Guidance(5.0)}
    jobs = [job(1, steps=2, **strong), job(2, steps=2), job(3, steps=2, **strong)]
    network = Network()
    list(repaint(jobs, guided(network), rows_per_call=3))
    assert [len(call) for call in network.calls] == [5, 5]
    alone = [results(repaint([one], guided(Network())))[0].latents for one in jobs]
    together = results(repaint(jobs, guided(Network()), rows_per_call=1))
    assert all(torch.equal(alone[i], together[i].latents) for i in range(3))


def test_a_guided_pair_counts_as_one_evaluation():
    one = job(1, steps=3, negative=Prompt("blur"), guidance=Guidance(5.0))
    network = Network()
    assert results(repaint([one], guided(network)))[0].evaluations == 3
    assert [len(call) for call in network.calls] == [2, 2, 2]


# --- stopping -------------------------------------------------------------------------------------


def after(calls: int, network: Network) -> Callable[[], bool]:
    return lambda: len(network.calls) >= calls


@pytest.mark.parametrize("calls", [0, 1, 3])
def test_a_cancelled_run_stops_before_the_next_network_call(calls: int):
    network = Network()
    with pytest.raises(Cancelled, match="cancelled between two steps"):
        list(repaint([job(1, steps=4)], network, cancelled=after(calls, network)))
    assert len(network.calls) == calls


def test_what_was_finished_before_the_cancelling_has_been_handed_over():
    network = Network()
    jobs = [job(1, steps=2), job(2, steps=4)]
    handed: list[Begun | Stepped | Repainted] = []
    with pytest.raises(Cancelled):
        handed.extend(repaint(jobs, network, cancelled=after(3, network)))
    assert [event.index for event in handed if isinstance(event, Repainted)] == [0]


def test_a_run_that_finished_is_not_cancelled_after_the_fact():
    network = Network()
    found = results(repaint([job(1, steps=2)], network, cancelled=after(2, network)))
    assert found[0].evaluations == 2
