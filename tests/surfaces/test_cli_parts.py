"""``--part``: a model with another autoencoder, from the command line to the recipe and back."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.surfaces.conftest import Run
from tests.tiny_checkpoint import make_tiny_checkpoint
from tests.tiny_families import make_tiny_sd3
from underpaint import Engine, Request, RequestError, render
from underpaint.models import catalog
from underpaint.origins import recipe_of

WORDS = ("-s", "0.7", "-n", "2", "--seed", "5", "-q")


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """An autoencoder that is not the model's own."""
    return make_tiny_checkpoint(tmp_path / "other", seed=9) / "vae"


@pytest.fixture
def painted(run: Run, folder: Path, scene: Path, tiny: Path, other: Path) -> Path:
    part = f"vae={other}"
    assert run("render", scene, "oil", "-m", tiny, "--part", part, *WORDS, "-o", "a.png").code == 0
    return folder / "a.png"


def test_a_part_changes_the_picture_as_in_python_and_is_recorded_by_name(
    run: Run, painted: Path, scene: Path, tiny: Path, other: Path
) -> None:
    assert run("render", scene, "oil", "-m", tiny, *WORDS, "-o", "plain.png").code == 0
    plain = painted.with_name("plain.png")
    assert plain.read_bytes() != painted.read_bytes()
    own = render(
        scene, "oil", strength=0.7, steps=2, seed=5, model=tiny, parts={"vae": other}, device="cpu"
    )
    assert own.encode(".png") == painted.read_bytes()
    recipe = recipe_of(painted)
    assert recipe.request.parts == {"vae": "vae"}
    assert str(other.parent) not in recipe.to_json()
    assert recipe_of(plain).request.parts is None
    assert recipe.model.sha256 != recipe_of(plain).model.sha256


def test_replay_and_refine_ask_for_the_part_and_then_go_on_with_it(
    run: Run, painted: Path, scene: Path, tiny: Path, other: Path
) -> None:
    again = ("replay", painted, "--source", scene, "-m", tiny)
    refused = run(*again)
    assert refused.code == 2
    assert "made with 'vae' as the model's vae; say where it is with --part vae=PATH" in refused.err
    assert run(*again, "--part", f"vae={other}", "--json").json["identical"]
    near = ("refine", painted, "--source", scene, "-m", tiny, "--count", "1", "--seed", "1", "-q")
    assert "--part vae=PATH" in run(*near, "-o", "near.png").err
    assert run(*near, "--part", f"vae={other}", "-o", "near.png").code == 0
    assert recipe_of(painted.with_name("near.png")).request.parts == {"vae": "vae"}


def test_the_command_of_a_swept_cell_names_the_part(
    run: Run, folder: Path, scene: Path, tiny: Path, other: Path
) -> None:
    swept = run(
        "sweep", scene, "oil", "-m", tiny, "--part", f"vae={other}", "--strength", "0.4,0.8",
        "-n", "1", "--seed", "1", "-o", "swept", "-q",
    )  # fmt: skip
    assert swept.code == 0, swept.err
    cells: list[dict[str, Any]] = json.loads((folder / "swept/sweep.json").read_text())["cells"]
    assert all(f"--part vae={other}" in cell["command"] for cell in cells)


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("vae", "part must be PART=PLACE, such as vae=FILE, got 'vae'"),
        ("=there", "part must be PART=PLACE"),
        ("vae=nowhere", "there is no file or folder 'nowhere', which is given as the vae"),
        ("hat=nowhere", "'hat' is no part of stable-diffusion that can be given"),
    ],
)
def test_a_part_that_cannot_be_used_is_one_sentence(
    typed: str, sentence: str, run: Run, scene: Path, tiny: Path
) -> None:
    said = run("plan", scene, "-m", tiny, "--part", typed)
    assert said.code == 2
    assert sentence in said.err
    assert len(said.err.splitlines()) == 1


def test_an_autoencoder_of_other_channels_is_one_sentence(
    run: Run, scene: Path, tiny: Path, tmp_path: Path
) -> None:
    wide = make_tiny_sd3(tmp_path / "sd3") / "vae"
    said = run("plan", scene, "-m", tiny, "--part", f"vae={wide}")
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert "makes latents of 16 channels" in said.err


def test_a_part_in_whole_numbers_is_refused(
    run: Run, scene: Path, tiny: Path, tmp_path: Path
) -> None:
    file = tmp_path / "small.safetensors"
    weights = load_file(tiny / "text_encoder" / "model.safetensors")
    save_file({name: one.to(torch.int8) for name, one in weights.items()}, file)
    said = run("render", scene, "oil", "-n", "1", "-m", tiny, "--part", f"text_encoder={file}")
    assert said.code == 2
    assert "is quantised to whole numbers" in said.err


def test_a_part_that_is_given_twice_is_one_sentence(
    run: Run, scene: Path, tiny: Path, other: Path
) -> None:
    typed = ("--part", f"vae={other}", "--part", f"vae={tiny / 'vae'}")
    said = run("plan", scene, "-m", tiny, *typed)
    assert said.code == 2
    assert said.err.strip().endswith("part vae is given twice; leave one out")


@pytest.mark.usefixtures("folder")
def test_a_command_finds_its_model_once(
    run: Run, scene: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    plain = catalog.find
    monkeypatch.setattr(
        catalog, "find", lambda model, **told: asked.append(model) or plain(model, **told)
    )
    assert run("render", scene, "oil", "-m", tiny, *WORDS, "-o", "a.png").code == 0
    assert asked == [str(tiny)]


def test_inspect_counts_the_part_that_was_given(run: Run, tiny: Path, other: Path) -> None:
    plain = run("models", "inspect", tiny, "--json").json
    given = run("models", "inspect", tiny, "--part", f"vae={other}", "--json").json
    assert given["parameters"] == plain["parameters"]
    (other / "diffusion_pytorch_model.safetensors").unlink()
    assert "vae" in run("models", "inspect", tiny, "--part", f"vae={other}").err


def test_an_engine_refuses_a_request_for_parts_that_it_does_not_hold(
    scene: Path, tiny: Path, other: Path
) -> None:
    asked = Request(source=scene, prompt="oil", steps=1, parts={"vae": other})
    with pytest.raises(RequestError, match="holds the model with no part from elsewhere"):
        Engine(tiny, device="cpu").render(asked)
    holds = Engine(tiny, device="cpu", parts={"vae": other})
    with pytest.raises(
        RequestError, match=r"with vae 'vae' from elsewhere, and the request asks for"
    ):
        holds.render(asked.model_copy(update={"parts": {"vae": str(tiny / "vae")}}))
    assert holds.render(asked).recipe.request.parts == {"vae": "vae"}
    with pytest.raises(RequestError, match="parts must be paths by the part's name"):
        Request(source=scene, prompt="oil", parts={"vae": 3})
