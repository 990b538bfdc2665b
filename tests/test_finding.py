"""The search for a strength, on curves whose answer is known, and the requests around a near-miss."""

import math
from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.conftest import soft_picture
from tests.test_recipe import recipe
from underpaint import RequestError, pixels
from underpaint.finding.search import TOLERANCE, Answer, Probe, seek
from underpaint.refining.neighbours import continued, turned, turned_notices

Curve = Callable[[float], float]


def searched(quick: Curve, full: Curve, keep: float) -> tuple[Answer, list[Probe]]:
    """The answer where quick and full renders keep what these curves say."""
    search, probes = seek(keep), []
    probe = next(search)
    while True:
        probes.append(probe)
        try:
            probe = search.send((quick if probe.quick else full)(probe.strength))
        except StopIteration as end:
            return end.value, probes


def falling(middle: float, steepness: float, most: float = 0.95, least: float = 0.1) -> Curve:
    """What measured curves look like: flat, a fall, flat."""
    return lambda s: least + (most - least) / (1 + math.exp((s - middle) * steepness))


@settings(max_examples=400)
@given(
    middle=st.floats(0.2, 0.8),
    steepness=st.floats(3, 25),
    off=st.floats(-0.05, 0.05),
    place=st.floats(0.05, 0.95),
)
@example(middle=0.75, steepness=3.0, off=-0.046875, place=0.05078125)  # below every quick render
@example(middle=0.5, steepness=24.0, off=0.046875, place=0.25)  # steep, and far off across
def test_the_strength_is_found_although_quick_renders_are_off(
    middle: float, steepness: float, off: float, place: float
) -> None:
    quick, full = falling(middle, steepness), falling(middle + off, steepness)
    keep = full(1) + place * (full(0.02) - full(1))
    answer, probes = searched(quick, full, keep)
    assert answer.reachable
    assert abs(answer.best.kept - keep) <= TOLERANCE
    assert answer.best.kept == full(answer.best.strength)
    assert sum(probe.quick for probe in probes) <= 10
    assert sum(not probe.quick for probe in probes) <= 5


@pytest.mark.parametrize("keep", [0.0, 0.05, 0.99, 1.0])
def test_what_no_strength_keeps_is_said_with_what_is_reachable(keep: float) -> None:
    curve = falling(0.5, 12)
    answer, _ = searched(curve, curve, keep)
    assert not answer.reachable
    assert answer.least == curve(1)
    assert answer.most == pytest.approx(curve(0), abs=0.02)


def test_a_source_that_nothing_changes_ends_the_search() -> None:
    answer, probes = searched(lambda _: 1.0, lambda _: 1.0, 0.5)
    assert not answer.reachable
    assert len(probes) < 15


def test_a_ragged_curve_ends_the_search_at_the_closest_it_saw() -> None:
    seen: dict[float, float] = {}

    def ragged(strength: float) -> float:
        return seen.setdefault(strength, 0.9 if len(seen) % 2 else 0.2)

    answer, probes = searched(ragged, ragged, 0.55)
    assert len(probes) < 15
    assert answer.reachable
    assert answer.best.kept in {0.2, 0.9}


def test_no_strength_is_asked_twice_in_the_same_way() -> None:
    for keep in (0.2, 0.5, 0.9):
        _, probes = searched(falling(0.4, 9), falling(0.45, 9), keep)
        assert len(set(probes)) == len(probes)
        assert all(0 < probe.strength <= 1 for probe in probes)


# --- near-misses ----------------------------------------------------------------------------------

SOURCE = pixels.read(soft_picture(64, 48))


def test_a_turned_picture_keeps_everything_but_its_noise() -> None:
    made = recipe(negative_prompt="blur", guidance_interval=(0.1, 0.9), size="128x96")
    request = turned(made, SOURCE, seed=40, count=3)
    assert (request.seed, request.variation, request.variation_seed) == (7, 0.2, 40)
    assert request.count == 3
    kept = made.request.model_dump() | {
        "variation": 0.2, "variation_seed": 40, "count": 3, "model": None,
    }  # fmt: skip
    assert request.model_dump() == kept
    assert turned(made, SOURCE, prompt="ink").prompt == "ink"


def test_a_continued_picture_starts_from_the_result() -> None:
    made = recipe(strength=0.9, steps=18, variation=0.2, variation_seed=9, size="128x96")
    request = continued(made, SOURCE, strength=0.3, seed=4)
    assert (request.strength, request.seed, request.variation) == (0.3, 4, 0)
    assert (request.steps, request.size) == (None, None)
    assert (request.prompt, request.sampler) == (made.request.prompt, made.request.sampler)
    copied = recipe(steps_like="a1111")
    assert continued(copied, SOURCE, strength=0.3).steps_like is None


def test_a_variation_of_a_variation_is_told_for_what_it_is() -> None:
    assert turned_notices(recipe()) == ()
    (notice,) = turned_notices(recipe(variation=0.2, variation_seed=9))
    assert notice.code == "variation-of-variation"


def test_a_variation_out_of_bounds_is_refused() -> None:
    with pytest.raises(RequestError, match=r"variation must lie in \[0, 1\]"):
        turned(recipe(), SOURCE, variation=1.5)
