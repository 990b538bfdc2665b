"""The counts of other tools, their floating point included."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.test_levels import SCHEDULES
from underpaint.errors import RequestError
from underpaint.levels import FlowSchedule
from underpaint.peers import PEERS, Peer, copied_steps

SD, FLOW = SCHEDULES["sd"], FlowSchedule()


def count(peer: Peer, steps: int, strength: float, *, flow: bool = False, sampler: str = "euler"):
    schedule = FLOW if flow else SD
    found, _ = copied_steps(
        peer, steps=steps, strength=strength, sampler=sampler, schedule=schedule
    )
    return found


def test_the_same_knob_runs_as_many_as_each_tool_says() -> None:
    # strength .3 and 4 steps: 1, 2, 2 and 4 evaluations
    assert count("diffusers", 4, 0.3) == 1
    assert count("diffusers", 4, 0.3, flow=True) == 2
    assert count("a1111", 4, 0.3) == 2
    assert count("comfyui", 4, 0.3) == 4
    # strength .9 and 20 steps: 18, 19, 20
    assert count("diffusers", 20, 0.9) == 18
    assert count("a1111", 20, 0.9) == 19
    assert count("comfyui", 20, 0.9) == 20


def test_the_float_traps_are_copied() -> None:
    assert 50 * 0.58 < 29
    assert count("diffusers", 50, 0.58) == 28
    assert count("diffusers", 50, 0.58, flow=True) == 29
    assert count("a1111", 50, 0.58) == 29
    assert count("a1111", 50, 0.58, sampler="unipc") == 28
    assert count("a1111", 50, 0.58, sampler="ddim") == 27


def test_full_strength_runs_them_all() -> None:
    for flow in (False, True):
        assert count("diffusers", 20, 1.0, flow=flow) == 20
    assert count("a1111", 20, 1.0) == 20  # .999 of 20 is 19, and one more
    assert count("a1111", 20, 1.0, sampler="unipc") == 19
    assert count("comfyui", 20, 1.0) == 20


def test_diffusers_runs_all_steps_of_a_consistency_model_or_none() -> None:
    asked = {"steps": 4, "sampler": "lcm", "schedule": SD, "consistency": True}
    assert copied_steps("diffusers", strength=0.2, **asked)[0] == 4
    assert copied_steps("a1111", strength=0.5, **asked)[0] == 3
    with pytest.raises(RequestError, match="no evaluation at all"):
        copied_steps("diffusers", strength=0.07, **asked)


def test_heun_asks_the_network_twice_for_every_step_but_the_last() -> None:
    assert count("comfyui", 20, 0.5, sampler="heun") == 39
    assert count("diffusers", 20, 0.5, sampler="heun") == 19


@pytest.mark.parametrize(("peer", "sampler"), [("diffusers", "euler"), ("a1111", "ddim")])
def test_where_a_tool_would_run_nothing_it_is_refused(peer: Peer, sampler: str) -> None:
    with pytest.raises(RequestError, match=f"{peer} makes no evaluation at all of 4 steps at str"):
        count(peer, 4, 0.2, sampler=sampler)


@given(st.sampled_from(PEERS), st.integers(1, 1000), st.floats(0.001, 1), st.booleans())
def test_no_tool_runs_more_than_was_asked_for(
    peer: Peer, steps: int, strength: float, flow: bool
) -> None:
    try:
        assert 1 <= count(peer, steps, strength, flow=flow) <= steps
    except RequestError:
        assert steps * strength < 1


def test_the_notice_says_that_the_start_is_not_copied() -> None:
    _, notice = copied_steps("diffusers", steps=50, strength=0.58, sampler="ddim", schedule=SD)
    assert notice.code == "steps-copied"
    assert "28 evaluations run, as diffusers makes of 50 steps" in notice.message
    assert "not the start" in notice.message
