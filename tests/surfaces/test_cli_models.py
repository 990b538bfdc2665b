"""``underpaint models inspect``: what a checkpoint on disk is, without loading it."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.surfaces.conftest import Run
from tests.tiny_families import make_tiny_flux, make_tiny_sd3, make_tiny_xl
from underpaint.models.catalog import SHIPPED


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
