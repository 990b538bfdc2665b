"""What may be asked for; every refusal says what was given and what is allowed."""

import json
import math
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from underpaint.errors import InputError, RequestError
from underpaint.geometry import LARGEST_AREA_PX, LONGEST_SIDE_PX, Size
from underpaint.request import MAX_PROMPT, MAX_SEED, SAMPLER_NAMES, Request


def wish(**fields: Any) -> Request:
    return Request(**({"source": "boat.png", "prompt": "oil painting"} | fields))


def refusal(**fields: Any) -> str:
    with pytest.raises(RequestError) as caught:
        wish(**fields)
    return str(caught.value)


# --- refused --------------------------------------------------------------------------------------


REFUSED: list[tuple[str, Any, str]] = [
    *(("strength", v, "[0, 1]") for v in (math.nan, math.inf, -math.inf, -0.1, 1.0001)),
    *(("strength", v, "[0, 1]") for v in ("0.5", None, True, [0.5])),
    *(("steps", v, "from 1 to 1000") for v in (0, 1001, -1, 2.0, 2.5, "3", True, math.nan)),
    *(("seed", v, "from 0 to 2**53 - 1") for v in (-1, 2**53, 2**64, "abc", 1.0, True)),
    *(("variation", v, "[0, 1]") for v in (-0.1, 1.1, math.nan, "0.5", None)),
    *(("variation_seed", v, "from 0 to 2**53 - 1") for v in (-1, 2**53, "abc", True)),
    *(("count", v, "from 1 to 1000") for v in (0, 1001, -1, None, "2")),
    *(("guidance_scale", v, "[0, 100]") for v in (-0.1, 100.1, math.nan, math.inf, "7")),
    *(("guidance_rescale", v, "[0, 1]") for v in (-0.1, 1.1, math.nan)),
    *(
        ("guidance_interval", v, "0 <= LOW < HIGH <= 1")
        for v in ((0.5, 0.5), (0.8, 0.2), (-0.1, 1), (0, 1.1), (math.nan, 1), (0, math.nan), (0,))
    ),
    *(("guidance_interval", v, "0 <= LOW < HIGH <= 1") for v in ((0, 0.5, 1), "0:1", None, 0.5)),
    *(("sampler", v, "euler, heun, dpmpp_2m") for v in ("plms", "", 3)),
    *(("spacing", v, "model, karras, log_snr") for v in ("linear", 1)),
    *(("fit", v, "cover, contain, stretch") for v in ("crop", None)),
    *(("prompt", v, "at most 32000") for v in ("x" * (MAX_PROMPT + 1), None, 5, b"boat")),
    *(("prompt", v, "no NUL") for v in ("\0", "a boat\0at sea")),
    *(("prompt", v, "no half of a surrogate") for v in ("\ud800", "boat \udfff", "\udc00 x")),
    *(("negative_prompt", v, "at most 32000") for v in ("x" * (MAX_PROMPT + 1), None)),
    ("negative_prompt", "\0", "no NUL"),
    ("negative_prompt", "\udabc", "no half of a surrogate"),
    *(("size", v, f"1 to {LONGEST_SIDE_PX} pixels") for v in ("0x0", "640x0", "1000000x1000000")),
    *(("size", v, f"1 to {LONGEST_SIDE_PX} pixels") for v in ([0, 5], Size(0, 5), (10**6, 10**6))),
    *(("size", v, "640x480") for v in ("640", "auto", "-1x5", "", 0, 10**6, 640, [640])),
    *(("size", v, "640x480") for v in ([1, 2, 3], [1.5, 2.5], (-1, 5), {"width": 3, "height": 4})),
    *(("work_size", v, "auto, native or a size") for v in ("0x0", "big", None, 512, [0, 5])),
    *(("model", v, "shipped name, a checkpoint's folder or file") for v in ("", 3, b"x")),
]


@pytest.mark.parametrize(
    ("field", "value", "allowed"), REFUSED, ids=[f"{name}-{v!r:.24}" for name, v, _ in REFUSED]
)
def test_a_refusal_names_the_field_what_is_allowed_and_what_was_given(
    field: str, value: Any, allowed: str
):
    message = refusal(**{field: value})
    assert message.startswith(field)
    assert allowed in message
    given = re.search(r", got ([^;]+)", message)
    assert given is not None
    assert "\n" not in message
    assert len(message) < 200
    assert message.isprintable()
    if isinstance(value, int | float) or (isinstance(value, str) and 0 < len(value) < 40):
        shown = str(value).encode("unicode_escape").decode().lower()
        assert shown.replace("\\\\", "\\") in given[0].lower().replace("\\\\", "\\")


def test_a_long_value_is_shown_cut():
    message = refusal(prompt="x" * (MAX_PROMPT + 1))
    assert message.endswith("...")


def test_an_unknown_field_is_named_beside_the_known_ones():
    message = refusal(strenght=0.5)
    assert message.startswith("strenght is not a parameter; known are source, prompt,")
    for name in Request.model_fields:
        assert name in message


@pytest.mark.parametrize("field", ["source", "prompt"])
def test_what_is_needed_is_missed_by_name(field: str):
    fields = {"source": "boat.png", "prompt": "oil"}
    del fields[field]
    with pytest.raises(RequestError, match=f"{field} is missing"):
        Request(**fields)


def test_a_refusal_is_an_input_error_and_a_value_error():
    with pytest.raises(InputError):
        wish(steps=0)
    with pytest.raises(ValueError, match="got 0"):
        wish(steps=0)


@pytest.mark.parametrize("sampler", [None, *(name for name in SAMPLER_NAMES if name != "ddim")])
@pytest.mark.parametrize("eta", [0.0, 0.5])
def test_eta_is_refused_without_the_sampler_that_knows_it(sampler: str | None, eta: float):
    message = refusal(eta=eta, sampler=sampler)
    assert message.startswith("eta is the noise share of the sampler ddim")
    assert f"got eta {eta} with {sampler or 'the default sampler'}" in message


def test_a_count_that_runs_past_the_last_seed_is_refused():
    assert wish(seed=MAX_SEED - 3, count=3).count == 3
    assert "seed 9007199254740989 with count 4 runs past" in refusal(seed=MAX_SEED - 3, count=4)


def test_a_variation_seed_without_a_variation_is_refused():
    assert "got variation_seed 3 with variation 0" in refusal(variation_seed=3)
    last = {"variation": 0.2, "variation_seed": MAX_SEED - 3}
    assert wish(seed=MAX_SEED - 1, count=3, **last).count == 3
    assert "variation_seed 9007199254740989 with count 4 runs past" in refusal(count=4, **last)


def test_a_count_of_variations_keeps_the_seed_and_counts_the_other_up():
    many = wish(seed=5, variation=0.2, variation_seed=8, count=3)
    assert [(one.seed, one.variation_seed) for one in many.singles] == [(5, 8), (5, 9), (5, 10)]
    plain = wish(seed=5, count=3)
    assert [(one.seed, one.variation_seed) for one in plain.singles] == [
        (5, None), (6, None), (7, None),
    ]  # fmt: skip
    assert all(one.count == 1 for one in (*many.singles, *plain.singles))


# --- accepted -------------------------------------------------------------------------------------

ACCEPTED: list[tuple[str, Any]] = [
    *(("strength", v) for v in (0, 1, 0.0, 1.0, 0.6)),
    *(("steps", v) for v in (1, 1000, None)),
    *(("seed", v) for v in (0, 2**53 - 1, None)),
    *(("variation", v) for v in (0, 1, 0.2)),
    *(("count", v) for v in (1, 1000)),
    *(("guidance_scale", v) for v in (0, 1, 100, None)),
    *(("guidance_rescale", v) for v in (0, 1, 0.7)),
    *(
        ("prompt", v)
        for v in ("", "x" * MAX_PROMPT, "קמפינג بحر", "👩‍👩‍👧‍👦 🎨", "a\nb\t", "e\u0301")
    ),
    *(("negative_prompt", v) for v in ("", "x" * MAX_PROMPT)),
    *(("size", v) for v in (Size(7, 513), Size(1, LONGEST_SIDE_PX), None)),
    *(("work_size", v) for v in ("auto", "native", Size(7, 513))),
    *(("sampler", v) for v in SAMPLER_NAMES),
    *(("spacing", v) for v in ("model", "karras", "log_snr", None)),
    *(("fit", v) for v in ("cover", "contain", "stretch")),
    *(("model", v) for v in ("gesso", "/models/sd15", None)),
]


@pytest.mark.parametrize(
    ("field", "value"), ACCEPTED, ids=[f"{name}-{v!r:.24}" for name, v in ACCEPTED]
)
def test_what_is_allowed_is_kept_as_given(field: str, value: Any):
    assert getattr(wish(**{field: value}), field) == value


@pytest.mark.parametrize("given", ["7x513", " 7 x 513 ", "7×513", [7, 513], (7, 513)])
def test_a_size_may_be_written_in_several_ways(given: Any):
    assert wish(size=given).size == wish(work_size=given).work_size == Size(7, 513)


@pytest.mark.parametrize("given", [(0, 1), [0, 1], (0.0, 1.0)])
def test_an_interval_may_be_whole_numbers_or_a_list(given: Any):
    assert wish(guidance_interval=given).guidance_interval == (0.0, 1.0)


def test_eta_is_accepted_with_ddim():
    assert wish(eta=0.5, sampler="ddim").eta == 0.5


def test_only_source_and_prompt_are_needed():
    request = Request(source="boat.png", prompt="oil")
    assert (request.strength, request.count, request.fit) == (0.6, 1, "cover")
    left_to_the_model = ("steps", "guidance_scale", "eta", "seed", "sampler", "spacing", "size")
    assert all(getattr(request, name) is None for name in left_to_the_model)


# --- a value --------------------------------------------------------------------------------------


def test_a_request_cannot_be_changed():
    request = wish()
    with pytest.raises(ValidationError, match="frozen"):
        request.strength = 0.1  # type: ignore[misc]


def test_the_source_stays_out_of_the_json_and_of_what_is_printed():
    request = wish(source=b"secret picture")
    assert "source" not in json.loads(request.model_dump_json())
    assert "secret" not in repr(request)


sizes = st.builds(Size, st.integers(1, LONGEST_SIDE_PX), st.integers(1, LONGEST_SIDE_PX)).filter(
    lambda size: size.area <= LARGEST_AREA_PX
)
unit = st.floats(0, 1)
requests = st.fixed_dictionaries(
    {
        "prompt": st.text(max_size=40).filter(lambda text: "\0" not in text),
        "strength": unit,
        "guidance_interval": st.tuples(st.floats(0, 0.4), st.floats(0.5, 1)),
    },
    optional={
        "negative_prompt": st.just("blur"),
        "steps": st.integers(1, 1000),
        "guidance_scale": st.floats(0, 100),
        "guidance_rescale": unit,
        "seed": st.integers(0, MAX_SEED - 1000),
        "count": st.integers(1, 1000),
        "spacing": st.sampled_from(["model", "karras", "log_snr"]),
        "work_size": st.one_of(st.sampled_from(["auto", "native"]), sizes),
        "size": sizes,
        "fit": st.sampled_from(["cover", "contain", "stretch"]),
        "model": st.just("gesso"),
    },
)


@given(requests)
def test_a_request_survives_json_unchanged(fields: dict[str, Any]):
    request = wish(**fields)
    again = Request(source="boat.png", **json.loads(request.model_dump_json()))
    assert again == request
    assert type(again.size) is type(request.size)
    assert type(again.work_size) is type(request.work_size)


@given(st.sampled_from(SAMPLER_NAMES), unit)
def test_sampler_and_eta_survive_json(sampler: str, eta: float):
    request = wish(sampler=sampler, eta=eta if sampler == "ddim" else None)
    assert Request(source="boat.png", **json.loads(request.model_dump_json())) == request


def test_numpys_whole_numbers_are_whole_numbers():
    wish = Request(source=None, prompt="", seed=np.int64(7), steps=np.int32(3), count=np.uint8(2))
    assert (wish.seed, wish.steps, wish.count) == (7, 3, 2)
    assert type(wish.seed) is int
    with pytest.raises(RequestError, match="steps must be a whole number"):
        Request(source=None, prompt="", steps=True)


@pytest.mark.parametrize("name", ["steps", "seed", "count"])
def test_an_array_is_no_whole_number(name: str) -> None:
    with pytest.raises(RequestError, match=name):
        Request(source=None, prompt="x", **{name: np.array([4, 8])})
