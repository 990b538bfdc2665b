"""``underpaint models inspect``: what a checkpoint on disk is, without loading it."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.surfaces.conftest import Run
from tests.tiny_families import make_tiny_flux, make_tiny_sd3, make_tiny_xl
from underpaint.models.catalog import SHIPPED
from underpaint.models.families import FAMILIES


def test_the_shipped_model_is_told_in_full(run: Run) -> None:
    facts = run("models", "inspect", SHIPPED["gesso"], "--json").json
    assert (facts["family"], facts["prediction"], facts["layout"]) == (
        "stable-diffusion", "flow", "diffusers folder",
    )  # fmt: skip
    assert 15_000_000 < facts["parameters"] < 25_000_000
    assert (facts["missing"], facts["notices"]) == ("nothing", [])
    assert facts["precision"] == "F16, F32"


@pytest.mark.parametrize(
    ("make", "family", "missing"),
    [
        (make_tiny_xl, "stable-diffusion-xl", "nothing"),
        (lambda place: make_tiny_xl(place, refiner=True), "stable-diffusion-xl-refiner", "text_encoder, tokenizer"),
        (lambda place: make_tiny_sd3(place, long_reader=False), "stable-diffusion-3", "text_encoder_3, tokenizer_3"),
        (make_tiny_flux, "flux", "nothing"),
    ],
    ids=["xl", "refiner", "sd3", "flux"],
)  # fmt: skip
def test_a_folder_of_another_family(
    run: Run, tmp_path: Path, make: object, family: str, missing: str
) -> None:
    folder = make(tmp_path / "model")  # type: ignore[operator]
    facts = run("models", "inspect", folder, "--json").json
    assert (facts["family"], facts["missing"]) == (family, missing)
    assert family in run("models", "inspect", folder).out


def test_what_is_assumed_is_said_and_what_is_told_is_taken(run: Run, tmp_path: Path) -> None:
    folder = make_tiny_xl(tmp_path / "xl-turbo")
    said = run("models", "inspect", folder)
    assert "distilled-assumed" in said.err or "taken for a turbo" in said.err
    facts = run("models", "inspect", folder, "--distilled", "none", "--json").json
    assert (facts["distilled"], facts["notices"]) == ("none", [])


def test_what_cannot_be_rendered_with_ends_with_2_and_its_name(run: Run, tmp_path: Path) -> None:
    save_file({"lora_unet_x.lora_up.weight": torch.zeros(2, 2)}, tmp_path / "a.safetensors")
    refused = run("models", "inspect", tmp_path / "a.safetensors")
    assert (refused.code, refused.out) == (2, "")
    assert "a.safetensors is a LoRA" in refused.err


def test_the_list_tells_what_is_here_and_what_the_hub_has(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(folder))
    listed = [json.loads(line) for line in run("models", "--json").out.splitlines()]
    (gesso,) = (one for one in listed if one["on_disk"])
    assert (gesso["name"], gesso["licence"]) == ("gesso", "apache-2.0")
    assert gesso["bytes"] < 48_000_000
    rest = {one["name"]: one for one in listed if not one["on_disk"]}
    assert {one["family"] for one in rest.values()} == set(FAMILIES)
    turbo = rest["stabilityai/sdxl-turbo"]
    assert (turbo["steps"], turbo["guidance_scale"], turbo["distilled"]) == (4, 1.0, "turbo")
    assert rest["black-forest-labs/FLUX.1-dev"]["gated"]
    shown = run("models").out
    for one in listed:
        assert one["name"] in shown
        assert one["licence"] in shown
    assert max(map(len, shown.splitlines())) <= 110


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("---\nlicense: mit\n---\n# A model", "mit"),
        ("---\nlicense: other\nlicense_name: flux-1-dev\n---\n", "flux-1-dev"),
        ("# license: mit\n", None),
        ("---\ntags: [a]\n---\nlicense: mit\n", None),
    ],
)
def test_a_licence_is_what_the_models_card_says(
    run: Run, tmp_path: Path, card: str, licence: str | None
) -> None:
    folder = make_tiny_xl(tmp_path / "xl")
    (folder / "README.md").write_text(card)
    assert run("models", "inspect", folder, "--json").json["licence"] == licence
