"""The engine: what it promises about bytes, counts and events, on a checkpoint of random weights."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.conftest import soft_picture
from underpaint import (
    Cancelled,
    Engine,
    Finished,
    InputError,
    ModelError,
    OutputError,
    PictureError,
    Planned,
    Recipe,
    Request,
    RequestError,
    Result,
    Step,
    UnderpaintError,
    render,
)
from underpaint.pixels import read_metadata
from underpaint.request import SAMPLER_NAMES

STRENGTHS = (0.02, 0.1, 0.3, 0.58, 0.834, 0.9, 1.0)
STEPS = (1, 2, 4, 12, 20, 50)


@pytest.fixture(scope="module")
def engine(tiny: Path) -> Engine:
    return Engine(tiny, device="cpu", precision="float32")


@contextmanager
def counted(engine: Engine) -> Iterator[list[int]]:
    """The batch size of every call of the network, counted by a hook on the network itself."""
    calls: list[int] = []
    hook = engine.model.denoiser.network.register_forward_hook(
        lambda _module, inputs, _output: calls.append(len(inputs[0]))
    )
    try:
        yield calls
    finally:
        hook.remove()


@contextmanager
def decoded(engine: Engine) -> Iterator[list[np.ndarray]]:
    """The latents that the autoencoder is given, in the order of the finished pictures."""
    given: list[np.ndarray] = []
    decoder = engine.model.codec.network.decoder
    hook = decoder.register_forward_pre_hook(
        lambda _module, inputs: given.append(inputs[0].float().numpy().copy())
    )
    try:
        yield given
    finally:
        hook.remove()


def pixels_of(result: Result) -> np.ndarray:
    return np.asarray(result.image)


# --- strength and steps ---------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("sampler", SAMPLER_NAMES)
def test_the_network_runs_as_often_as_was_asked_at_any_strength(
    engine: Engine, sampler: str
) -> None:
    source = soft_picture(16, 16)
    for strength in STRENGTHS:
        for steps in STEPS:
            request = Request(
                source=source,
                prompt="x",
                strength=strength,
                steps=steps,
                sampler=sampler,
                seed=1,
                guidance_scale=1.0,
            )
            with counted(engine) as calls:
                *_, last = engine.stream([request])
            assert isinstance(last, Finished)
            assert len(calls) == steps == last.evaluations, (strength, steps)
            assert np.isfinite(pixels_of(last.result)).all()


def test_a_guided_pair_is_one_call_of_two_rows(engine: Engine, scene: Path) -> None:
    with counted(engine) as calls:
        engine.render(Request(source=scene, prompt="x", seed=1, steps=3, guidance_scale=4.0))
    assert calls == [2, 2, 2]


def test_guidance_costs_its_second_half_only_inside_its_interval(
    engine: Engine, scene: Path
) -> None:
    request = Request(
        source=scene, prompt="x", seed=1, steps=4, strength=0.8, guidance_interval=(0.3, 0.7)
    )
    with counted(engine) as calls:
        engine.render(request)  # t = .8, .6, .4, .2
    assert calls == [1, 2, 2, 1]


def test_neighbouring_strengths_give_different_pictures(engine: Engine, scene: Path) -> None:
    one, other = (
        engine.render(Request(source=scene, prompt="x", strength=strength, steps=4, seed=1))
        for strength in (0.834, 0.835)
    )
    assert one.recipe.plan.start != other.recipe.plan.start
    assert (pixels_of(one) != pixels_of(other)).any()


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_strength_zero_returns_the_sources_own_pixels_and_runs_nothing(
    engine: Engine, mode: str, tmp_path: Path
) -> None:
    values = np.random.default_rng(0).integers(0, 256, (37, 53, len(mode)), dtype=np.uint8)
    source = tmp_path / "source.png"
    Image.fromarray(values, mode).save(source)
    with counted(engine) as calls:
        result = engine.render(Request(source=source, prompt="anything", strength=0))
    saved = result.save(tmp_path / "result.png")
    assert calls == []
    assert result.recipe.plan.evaluations == 0
    assert (np.asarray(Image.open(saved)) == values).all()


def test_strength_zero_loads_no_network(tiny: Path, scene: Path) -> None:
    engine = Engine(tiny)
    engine.render(Request(source=scene, prompt="x", strength=0))
    assert "model" not in vars(engine)


# --- sizes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(513, 407), (1, 1), (64, 2000), (7, 513)])
def test_any_size_in_gives_the_same_size_out(engine: Engine, size: tuple[int, int]) -> None:
    result = engine.render(Request(source=soft_picture(*size), prompt="x", steps=1, seed=1))
    assert result.image.size == size
    assert result.recipe.size == size
    codes = [notice.code for notice in result.notices]
    assert ("work-size" in codes) == (size[0] * size[1] > 4096)  # the checkpoint's comfortable area


def test_another_size_is_what_was_asked_for(engine: Engine, scene: Path) -> None:
    request = Request(source=scene, prompt="x", steps=1, seed=1, size="40x72", fit="contain")
    assert engine.render(request).image.size == (40, 72)


def test_what_a_size_of_another_shape_cuts_off_is_said(engine: Engine) -> None:
    def said(**asked: Any) -> list[str]:
        source = soft_picture(64, 32)
        made = engine.render(Request(source=source, prompt="", strength=0, seed=1, **asked))
        return [one.message for one in made.notices if one.code == "cropped"]

    (sentence,) = said(size="40x40")
    assert "shows 50% of the width" in sentence
    assert said(size="40x40", fit="contain") == said(size="32x16") == said() == []


def test_a_working_size_never_changes_the_shape(engine: Engine, scene: Path) -> None:
    request = Request(source=scene, prompt="x", steps=1, seed=1, work_size="32x32")
    assert engine.render(request).recipe.working_size == (32, 24)


# --- one picture and its neighbours ---------------------------------------------------------------


def company(source: object) -> list[Request]:
    """Four requests that differ in everything but the picture's shape; the second is the one."""
    return [
        Request(source=source, prompt="first", strength=0.3, steps=5, seed=1, guidance_scale=1.0),
        Request(source=source, prompt="the one", strength=0.7, steps=6, seed=2, guidance_scale=5.0),
        Request(source=source, prompt="third", strength=1.0, steps=3, seed=3, sampler="heun"),
        Request(source=source, prompt="fourth", strength=0.5, seed=4, sampler="euler_ancestral"),
    ]


def rendered(engine: Engine, requests: list[Request]) -> list[Result]:
    done = [event for event in engine.stream(requests) if isinstance(event, Finished)]
    return [event.result for event in sorted(done, key=lambda event: event.index)]


def test_a_picture_is_byte_equal_alone_and_among_others(tiny: Path, scene: Path) -> None:
    requests = company(scene)
    alone = Engine(tiny, device="cpu").render(requests[1])
    among = rendered(Engine(tiny, device="cpu"), requests)[1]
    assert alone.encode(".png") == among.encode(".png")


def test_rows_that_share_a_call_agree_to_a_ten_thousandth(tiny: Path, scene: Path) -> None:
    # Another batch size lets the BLAS add in another order; float32 keeps 7 digits, a run of
    # a dozen evaluations loses two or three of them.
    requests = company(scene)
    finals: list[list[np.ndarray]] = []
    for rows in (1, 4):
        engine = Engine(tiny, device="cpu", precision="float32", rows_per_call=rows)
        with decoded(engine) as latents:
            order = [e.index for e in engine.stream(requests) if isinstance(e, Finished)]
        finals.append([latents[order.index(i)] for i in range(4)])
    for alone, shared in zip(*finals, strict=True):
        assert np.abs(alone - shared).max() <= 1e-4 * np.abs(alone).max()


def test_calls_that_memory_has_no_room_for_are_halved(
    tiny: Path, scene: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = Request(source=scene, prompt="oil", steps=2, seed=1, count=5, guidance_scale=3.0)

    def painted(engine: Engine) -> list[Any]:
        events = engine.stream(request)
        return [pixels_of(one.result) for one in events if isinstance(one, Finished)]

    wanted = painted(Engine(tiny, device="cpu", precision="float32"))
    engine = Engine(tiny, device="cpu", precision="float32", rows_per_call=5)
    asked: list[int] = []
    network: Any = engine.model.denoiser.network  # pyright: ignore[reportAttributeAccessIssue]
    forward = network.forward

    def small(x: Any, *given: Any, **named: Any) -> Any:
        asked.append(len(x))
        if len(x) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return forward(x, *given, **named)

    monkeypatch.setattr(network, "forward", small)
    made = painted(engine)
    assert asked == [10, 4, 4, 2, 4, 4, 2]  # and it is not tried again
    for one, other in zip(made, wanted, strict=True):
        assert abs(one.astype(int) - other).max() <= 1

    def broken(*_: Any, **__: Any) -> Any:
        raise ValueError("odd")

    monkeypatch.setattr(network, "forward", broken)
    with pytest.raises(ValueError, match="odd"):  # which fewer pictures would not mend
        painted(engine)


def test_shared_calls_hold_the_rows_of_several_pictures(tiny: Path, scene: Path) -> None:
    engine = Engine(tiny, device="cpu", rows_per_call=4)
    requests = [Request(source=scene, prompt=str(i), seed=i, steps=2) for i in range(4)]
    with counted(engine) as calls:
        rendered(engine, requests)
    assert calls == [8, 8]


def test_a_variation_lies_between_two_seeds_and_is_recorded(engine: Engine, scene: Path) -> None:
    def made(**noise: Any) -> Result:
        return engine.render(Request(source=scene, prompt="x", steps=2, strength=0.9, **noise))

    one, other = made(seed=1), made(seed=2)
    near = made(seed=1, variation=0.1, variation_seed=2)
    assert difference(near, one) < difference(near, other)
    assert near.image.tobytes() != one.image.tobytes()
    whole = made(seed=1, variation=1.0, variation_seed=2, sampler="euler_ancestral")
    expected = made(seed=2, sampler="euler_ancestral")
    assert whole.image.tobytes() == expected.image.tobytes()
    drawn = made(seed=1, variation=0.1).recipe.request
    assert drawn.variation_seed is not None
    assert made(seed=1, variation=0.1).recipe.request.variation_seed != drawn.variation_seed


def difference(one: Result, other: Result) -> float:
    a, b = (np.asarray(made.image, dtype=np.float32) for made in (one, other))
    return float(np.abs(a - b).mean())


def test_a_count_is_the_same_as_its_seeds_one_by_one(engine: Engine, scene: Path) -> None:
    many = rendered(engine, [Request(source=scene, prompt="x", seed=5, count=3, steps=2)])
    ones = [engine.render(Request(source=scene, prompt="x", seed=s, steps=2)) for s in (5, 6, 7)]
    assert [r.encode(".png") for r in many] == [r.encode(".png") for r in ones]


def test_rendering_leaves_the_callers_arithmetic_alone(engine: Engine, scene: Path) -> None:
    engine.render(Request(source=scene, prompt="x", steps=1, seed=1))
    assert sys.float_info.min / 2 > 0  # the network's denormals are flushed, nobody else's


# --- events ---------------------------------------------------------------------------------------


def test_the_events_of_a_picture_come_in_order(engine: Engine, scene: Path) -> None:
    events = list(engine.stream([Request(source=scene, prompt="x", steps=3, seed=1)] * 2))
    kinds = [type(event).__name__ for event in events]
    assert kinds == ["Planned", "Step", "Step", "Step", "Finished"] * 2
    steps = [event for event in events if isinstance(event, Step)]
    assert [(s.index, s.evaluation, s.evaluations) for s in steps[2:4]] == [(0, 3, 3), (1, 1, 3)]
    assert steps[0].preview().size == (16, 12)  # the latents' own size
    planned = events[0]
    assert isinstance(planned, Planned)
    assert planned.request.guidance_scale == 3.0


def test_cancelling_ends_the_run_before_the_next_step(engine: Engine, scene: Path) -> None:
    with counted(engine) as calls, pytest.raises(Cancelled):
        engine.render(
            Request(source=scene, prompt="x", steps=50), cancelled=lambda: len(calls) >= 3
        )
    assert len(calls) == 3


def test_a_seed_that_was_left_out_is_drawn_recorded_and_enough(engine: Engine, scene: Path) -> None:
    first, second = (engine.render(Request(source=scene, prompt="x", steps=1)) for _ in range(2))
    seed = first.recipe.request.seed
    assert seed is not None
    assert 0 <= seed < 2**32
    assert seed != second.recipe.request.seed
    again = engine.render(Request(source=scene, prompt="x", steps=1, seed=seed))
    assert again.encode(".png") == first.encode(".png")


def test_a_long_prompt_is_cut_with_a_notice_that_says_what_was_left_out(
    engine: Engine, scene: Path
) -> None:
    request = Request(source=scene, prompt="abcdefghijklmnopqrstuvwxyz", steps=1, seed=1)
    (notice,) = engine.render(request).notices
    assert notice.code == "prompt-truncated"
    assert "'wxyz'" in notice.message


@pytest.mark.parametrize("prompt", ["", "שלום עולם", "👩\u200d🎨 🏳️\u200d🌈", "\n\t ", "e\u0301"])
def test_any_words_are_painted(engine: Engine, scene: Path, prompt: str) -> None:
    result = engine.render(Request(source=scene, prompt=prompt, steps=1, seed=1))
    assert result.recipe.request.prompt == prompt


# --- results --------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".jpeg", ".webp", ".avif"])
def test_a_saved_picture_carries_its_recipe(
    engine: Engine, scene: Path, suffix: str, tmp_path: Path
) -> None:
    result = engine.render(Request(source=scene, prompt='a "b", c: ]]>', steps=1, seed=1))
    saved = result.save(tmp_path / f"result{suffix}")
    packet, infotext = read_metadata(saved)
    assert packet is not None
    assert Recipe.from_xmp(packet) == result.recipe.__class__.from_json(result.recipe.to_json())
    assert infotext == result.recipe.to_infotext()
    bare = result.save(tmp_path / f"bare{suffix}", metadata=False)
    assert read_metadata(bare) == (None, None)


def test_saving_never_replaces_a_file_unasked(engine: Engine, scene: Path, tmp_path: Path) -> None:
    result = engine.render(Request(source=scene, prompt="x", strength=0))
    place = tmp_path / "result.png"
    place.write_bytes(b"mine")
    with pytest.raises(OutputError, match="exists"):
        result.save(place)
    assert place.read_bytes() == b"mine"
    result.save(place, overwrite=True)
    assert Image.open(place).size == (64, 48)


def test_a_result_shows_itself_in_a_notebook(engine: Engine, scene: Path) -> None:
    result = engine.render(Request(source=scene, prompt="x", strength=0))
    assert result._repr_png_().startswith(b"\x89PNG")


@pytest.mark.parametrize("kind", ["path", "str", "bytes", "pil", "array"])
def test_a_source_may_come_in_any_form(engine: Engine, scene: Path, kind: str) -> None:
    forms = {
        "path": scene,
        "str": str(scene),
        "bytes": scene.read_bytes(),
        "pil": Image.open(scene),
        "array": np.asarray(Image.open(scene)),
    }
    plain, other = (
        engine.render(Request(source=source, prompt="x", steps=1, seed=1))
        for source in (scene, forms[kind])
    )
    assert (pixels_of(plain) == pixels_of(other)).all()


# --- refusals -------------------------------------------------------------------------------------


def test_what_cannot_be_used_is_refused_in_a_sentence(tiny: Path, scene: Path) -> None:
    with pytest.raises(ModelError, match="no model is called 'nothing'"):
        Engine("nothing")
    with pytest.raises(RequestError, match="the device 'warp' is not available"):
        Engine(tiny, device="warp")
    with pytest.raises(RequestError, match="precision must be one of auto, float32"):
        Engine(tiny, precision="float8")
    engine = Engine(tiny)
    with pytest.raises(RequestError, match="count 2"):
        engine.render(Request(source=scene, prompt="x", count=2))
    with pytest.raises(RequestError, match="holds the model 'tiny'"):
        engine.render(Request(source=scene, prompt="x", model="gesso"))
    with pytest.raises(PictureError, match="no such file"):
        engine.render(Request(source="nowhere.png", prompt="x"))


@pytest.mark.parametrize("damage", ["missing", "short"])
def test_a_damaged_tokenizer_is_refused_by_its_name(
    tiny: Path, scene: Path, tmp_path: Path, damage: str
) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(tiny, folder)
    if damage == "missing":
        shutil.rmtree(folder / "tokenizer")
    else:
        vocabulary = folder / "tokenizer" / "vocab.json"
        vocabulary.write_bytes(vocabulary.read_bytes()[:100])
        (folder / "tokenizer" / "tokenizer.json").unlink(missing_ok=True)
    with pytest.raises(ModelError, match=r"tokenizer.*; fetch it anew"):
        Engine(folder).render(Request(source=scene, prompt="x", steps=1))


@pytest.mark.parametrize("damage", ["missing", "short", "other network", "not safetensors"])
def test_a_damaged_checkpoint_is_refused_by_name(
    tiny: Path, scene: Path, tmp_path: Path, damage: str
) -> None:
    folder = tmp_path / "broken"
    folder.mkdir()
    for part in tiny.iterdir():
        (folder / part.name).symlink_to(part)
    (folder / "unet").unlink()
    (folder / "unet").mkdir()
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    (folder / "unet" / "config.json").write_bytes((tiny / "unet" / "config.json").read_bytes())
    match damage:
        case "missing":
            pass
        case "short":
            weights.write_bytes((tiny / "unet" / weights.name).read_bytes()[:1000])
        case "other network":
            weights.write_bytes((tiny / "vae" / weights.name).read_bytes())
        case _:
            weights.write_bytes(b"\x80\x04pickle" * 100)
    with pytest.raises(ModelError, match="the model broken cannot be opened"):
        Engine(folder).render(Request(source=scene, prompt="x", steps=1))


def test_render_is_one_call(tiny: Path, scene: Path) -> None:
    result = render(scene, "x", strength=0.5, steps=2, seed=3, model=tiny)
    assert result.recipe.request.strength == 0.5
    assert result.recipe.model.name == "tiny"


def test_the_hook_sees_every_result_first_and_may_refuse_it(tiny: Path, scene: Path) -> None:
    seen: list[Result] = []

    def refuse(result: Result) -> Result:
        seen.append(result)
        raise UnderpaintError("not in this house")

    engine = Engine(tiny, after=refuse)
    with pytest.raises(UnderpaintError, match="not in this house"):
        engine.render(Request(source=scene, prompt="", strength=0.5, steps=1))
    assert len(seen) == 1


def test_the_hook_may_replace_a_result(tiny: Path, scene: Path) -> None:
    black = Image.new("RGB", (8, 8))
    engine = Engine(tiny, after=lambda result: replace(result, image=black))
    result = engine.render(Request(source=scene, prompt="", strength=0.5, steps=1))
    assert result.image is black


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rows_per_call": 0}, "rows_per_call must be a whole number of at least 1, got 0"),
        ({"rows_per_call": "2"}, "rows_per_call must be a whole number of at least 1, got '2'"),
        ({"threads": 0}, "threads must be a whole number of at least 1, got 0"),
        ({"threads": "2"}, "threads must be a whole number of at least 1, got '2'"),
        ({"device": None}, "the device None is not available"),
        ({"prediction": "x"}, "prediction must be one of eps, v, got 'x'"),
        ({"distilled": "x"}, "distilled must be one of none, turbo, lcm, .*, got 'x'"),
        ({"parts": ["vae"]}, "parts must hold a place for each role"),
        ({"model": 3}, "a model is a name, a folder or a file, got int"),
    ],
)
def test_what_is_no_way_to_open_an_engine_is_refused(
    tiny: Path, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        Engine(**{"model": tiny, **options})


def test_a_stream_takes_one_request_or_several_and_nothing_else(
    engine: Engine, scene: Path
) -> None:
    two = Request(source=scene, prompt="oil", steps=1, seed=1, count=2)
    alone, listed = (
        [
            event.result.image.tobytes()
            for event in engine.stream(asked)
            if isinstance(event, Finished)
        ]
        for asked in (two, [two])
    )
    assert alone == listed
    assert len(alone) == 2
    for wrong in ({"prompt": "oil"}, [{"prompt": "oil"}]):
        with pytest.raises(RequestError, match="renders a Request, got"):
            list(engine.stream(wrong))  # pyright: ignore[reportArgumentType]
    with pytest.raises(RequestError, match="renders a Request, got dict"):
        engine.render({"prompt": "oil"})  # pyright: ignore[reportArgumentType]


def test_a_result_tells_what_a_format_cannot_hold(engine: Engine) -> None:
    clear = Image.new("RGBA", (32, 24), (200, 90, 40, 128))
    result = engine.render(Request(source=clear, prompt="oil", strength=0.2, steps=1))
    assert [notice.code for notice in result.lost_in(".jpg")] == ["flattened"]
    assert result.lost_in(".png") == ()


def test_the_plan_is_told_before_the_network_is_asked(engine: Engine, scene: Path) -> None:
    request = Request(source=scene, prompt="", strength=0.5, steps=2, seed=1)
    with counted(engine) as calls:
        first = next(iter(engine.stream([request])))
        assert isinstance(first, Planned)
        assert calls == []


@pytest.mark.parametrize("size", [(1, 1), (70, 5), (4, 4), (30, 1)])
def test_the_smallest_pictures_have_a_preview(engine: Engine, size: tuple[int, int]) -> None:
    request = Request(source=soft_picture(*size), prompt="", strength=0.5, steps=1, seed=1)
    (step,) = (event for event in engine.stream([request]) if isinstance(event, Step))
    assert min(step.preview().size) >= 1


def test_a_preview_shows_the_picture_without_its_margins(engine: Engine) -> None:
    wide = soft_picture(160, 24)  # padded to the model's minimum of height
    request = Request(source=wide, prompt="", strength=0.5, steps=1, seed=1)
    (step,) = (event for event in engine.stream([request]) if isinstance(event, Step))
    width, height = step.preview().size
    assert width / height == pytest.approx(160 / 24, rel=0.2)  # whole cells of the latents
