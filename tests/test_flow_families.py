"""What the families of rectified-flow transformers share, and what is each one's own, beside pixels."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import soft_picture
from tests.tiny_families import (
    make_tiny_chroma,
    make_tiny_flux,
    make_tiny_qwen_image,
    make_tiny_sd3,
    make_tiny_z_image,
)
from underpaint import Engine, Request
from underpaint.denoiser import Row
from underpaint.errors import ModelError, RequestError
from underpaint.models import catalog
from underpaint.models.embedded import Embedded
from underpaint.models.headers import PRECISIONS, read_header
from underpaint.models.memory import BLOCKS, needs_of

MAKERS: dict[str, Callable[[Path], Path]] = {
    "flux": make_tiny_flux,
    "chroma": make_tiny_chroma,
    "z-image": make_tiny_z_image,
    "qwen-image": make_tiny_qwen_image,
}
NEW = ["chroma", "z-image", "qwen-image"]
EVERY, THE_NEW = pytest.mark.parametrize("family", MAKERS), pytest.mark.parametrize("family", NEW)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("families")
    return {name: make(place / name) for name, make in MAKERS.items()}


def opened(folder: Path, precision: str = "float32") -> Engine:
    return Engine(folder, device="cpu", precision=precision)


def rows_of(engine: Engine, *prompts: str, t: float = 0.6) -> list[Row]:
    draw = torch.Generator().manual_seed(3)
    level = engine.checkpoint.schedule.level(t)
    return [
        Row(torch.randn(16, 12, 16, generator=draw), level, engine.model.words.encode(text)[0])
        for text in prompts
    ]


@EVERY
def test_rows_of_one_call_whose_prompts_differ_in_length_are_answered_as_if_alone(
    folders: dict[str, Path], family: str
) -> None:
    engine = opened(folders[family])
    rows = rows_of(engine, "oil", "oil painting, dramatic side light", "ink")
    together = engine.model.denoiser(rows)
    for row, answer in zip(rows, together, strict=True):
        # float32, rows added in another order
        torch.testing.assert_close(answer, engine.model.denoiser([row])[0], rtol=1e-4, atol=1e-5)


@EVERY
def test_half_precision_does_not_round_what_the_network_is_told_as_its_time(
    folders: dict[str, Path], family: str
) -> None:
    engine = opened(folders[family], "bfloat16")
    (row,) = rows_of(engine, "oil", t=0.3337)
    network: Any = engine.model.denoiser.network  # type: ignore[attr-defined]
    embedding = network.t_embedder if family == "z-image" else network.time_text_embed
    seen: list[torch.Tensor] = []
    embedding.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    (answer,) = engine.model.denoiser([row])
    assert answer.isfinite().all()
    sigma = row.level.sigma
    told = {"z-image": 1000 * (1 - sigma), "qwen-image": sigma}.get(family, 1000 * sigma)
    assert seen[0].dtype == torch.float32
    assert seen[0].item() == pytest.approx(told, rel=1e-6)  # bf16 is off by .4 %
    exact = opened(folders[family]).model.denoiser([row])[0]
    # in bf16 the weights are off by .4 % each, and what is computed from them by a little more
    torch.testing.assert_close(answer, exact, rtol=0.1, atol=0.05)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_sd3_stored_in_float32_computes_in_what_was_asked_for(
    tmp_path: Path, precision: Any
) -> None:
    folder = make_tiny_sd3(tmp_path / "sd3")
    engine = opened(folder, precision)
    network: Any = engine.model.denoiser.network  # type: ignore[attr-defined]
    assert {one.dtype for one in network.parameters()} == {getattr(torch, precision)}
    (answer,) = engine.model.denoiser(rows_of(engine, "oil", t=0.5))
    assert answer.isfinite().all()


def test_what_t5_reads_on_is_not_said_to_be_left_out(tmp_path: Path) -> None:
    words = " ".join(["a red house and a tree by the sea"] * 4)
    with_t5 = opened(make_tiny_sd3(tmp_path / "with")).model.words
    without = opened(make_tiny_sd3(tmp_path / "without", long_reader=False)).model.words
    assert with_t5.encode(words)[1] == ()
    assert [one.code for one in without.encode(words)[1]] == ["prompt-truncated"]
    assert [one.code for one in with_t5.encode("house " * 300)[1]] == ["prompt-truncated"]


def test_a_t5_vocabulary_that_nothing_here_reads_names_what_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_tiny_chroma(tmp_path / "chroma")
    (folder / "tokenizer" / "tokenizer.json").unlink()
    (folder / "tokenizer" / "spiece.model").write_bytes(b"words")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ModelError, match="pip install sentencepiece protobuf"):
        _ = opened(folder).model.words


@THE_NEW
def test_clip_skip_is_refused_in_one_sentence(folders: dict[str, Path], family: str) -> None:
    request = Request(source=soft_picture(64, 48), prompt="oil", clip_skip=1, steps=1)
    with pytest.raises(RequestError, match="clip_skip is for models that read CLIP's hidden"):
        opened(folders[family]).render(request)


# Letters that are handed on; a template's end is 13 tokens, and gives way before any word does.
@pytest.mark.parametrize(
    ("family", "room", "tokens"),
    [("chroma", 510, 512), ("z-image", 512 - 6, 512), ("qwen-image", 1058 - 149, 1024)],
)
def test_what_is_too_long_of_a_prompt_is_left_out_and_said(
    folders: dict[str, Path], family: str, room: int, tokens: int
) -> None:
    words = opened(folders[family]).model.words
    prompt, said = words.encode("a" * room)
    assert said == ()
    assert embedded(prompt).hidden.shape[1] == tokens
    prompt, (notice,) = words.encode("a" * room + "bcd")
    assert notice.code == "prompt-truncated"
    assert "left out: 'bcd'" in notice.message
    begun = family == "chroma"  # T5 counts where a word begins
    assert f"reads {room + begun} tokens" in notice.message
    assert embedded(prompt).hidden.shape[1] == tokens


def embedded(prompt: Any) -> Embedded:
    return prompt


def test_chroma_hands_on_one_pad_after_the_words(folders: dict[str, Path]) -> None:
    words = opened(folders["chroma"]).model.words
    assert embedded(words.encode("ab")[0]).hidden.shape[1] == 5  # ▁ a b </s> <pad>
    assert embedded(words.encode("a" * 510)[0]).hidden.shape[1] == 512  # no room for one


def test_a_checkpoint_of_each_family_is_told_apart(folders: dict[str, Path]) -> None:
    found = {name: catalog.find(folders[name]) for name in NEW}
    assert [one.family.name for one in found.values()] == NEW
    assert [one.multiple_px for one in found.values()] == [8, 8, 8]
    assert [one.distilled for one in found.values()] == ["none"] * 3
    assert not any(one.embeds_guidance for one in found.values())
    scales = [one.defaults.guidance_scale for one in found.values()]
    assert scales == [5.0, 6.0, 4.0]
    assert len({one.latents for one in found.values()}) == 2  # Chroma and Z-Image share FLUX's
    assert len(found["qwen-image"].latents) == 33


@pytest.mark.parametrize("make", [make_tiny_sd3, make_tiny_z_image])
def test_a_picture_longer_than_the_network_knows_places_for_is_rendered_smaller(
    make: Callable[[Path], Path], tmp_path: Path
) -> None:
    engine = opened(make(tmp_path / "model"))
    longest = engine.checkpoint.longest_px
    assert longest is not None
    banner = soft_picture(longest * 2, 16)
    asked = {"source": banner, "prompt": "oil", "steps": 1}
    result = engine.render(Request(**asked))
    assert result.image.size == banner.size
    assert "work-size" in [notice.code for notice in result.notices]
    for work in ("native", f"{longest + 16}x32"):
        with pytest.raises(RequestError, match=f"knows places up to {longest} px"):
            engine.render(Request(work_size=work, **asked))


def test_z_image_turbo_takes_its_eight_steps(tmp_path: Path) -> None:
    found = catalog.find(make_tiny_z_image(tmp_path / "Z-Image-Turbo"))
    assert (found.distilled, found.defaults.steps_over_all) == ("turbo", 8)
    assert found.defaults.guidance_scale == 1.0
    engine = Engine(found.folder, device="cpu", precision="float32")
    source = soft_picture(64, 48)
    codes = {
        strength: [
            one.code
            for one in engine.render(
                Request(source=source, prompt="oil", strength=strength, steps=steps, seed=1)
            ).recipe.plan.notices
        ]
        for strength, steps in ((0.625, 5), (0.6, 5))
    }
    assert "off-trained-times" not in codes[0.625]
    assert "off-trained-times" in codes[0.6]


def test_a_language_model_needs_the_memory_that_it_is_stored_in(folders: dict[str, Path]) -> None:
    folder = folders["qwen-image"]
    needs = needs_of(catalog.find(folder), number_bytes=4, tile_px=1280)
    header = read_header(folder / "text_encoder" / "model.safetensors")
    stored = sum(
        math.prod(shape) * PRECISIONS[header.precisions[name]] // 8
        for name, shape in header.shapes.items()
    )
    assert needs.words == stored + 4 * header.parameters // BLOCKS  # one of them in float32


@THE_NEW
def test_what_a_language_model_is_stored_in_is_what_it_computes_in(
    folders: dict[str, Path], family: str
) -> None:
    hidden = embedded(opened(folders[family], "bfloat16").model.words.encode("oil")[0]).hidden
    assert hidden.dtype == torch.float32
