"""``underpaint models``: which there are, and what a checkpoint on disk is, without loading it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.surfaces.conftest import Run, process
from tests.surfaces.hub_server import COMMIT
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


def listing(cache: Path, *options: str) -> str:
    """What ``underpaint models`` prints with that cache of a hub, and no hub."""
    environment = {**os.environ, "HF_HUB_CACHE": str(cache), "HF_ENDPOINT": "http://127.0.0.1:9"}
    done = process("models", *options, cwd=cache, env=environment)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode()


def listed(cache: Path) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in map(json.loads, listing(cache, "--json").splitlines())}


def in_cache(cache: Path, repo: str) -> Path:
    """Where huggingface_hub puts the one revision of that model."""
    place = cache / f"models--{repo.replace('/', '--')}"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text(COMMIT)
    (place / "blobs").mkdir()
    return place / "snapshots" / COMMIT


def test_the_list_tells_what_is_here_and_what_the_hub_has(tmp_path: Path) -> None:
    gesso, *rest = listed(tmp_path).values()
    assert (gesso["name"], gesso["on_disk"], gesso["complete"]) == ("gesso", True, True)
    assert (gesso["licence"], gesso["licence_source"]) == ("apache-2.0", "card")
    assert 30_000_000 < gesso["bytes"] < 48_000_000
    assert {one["family"] for one in rest} == set(FAMILIES)
    assert not any(one["on_disk"] for one in rest)
    by_name = {one["name"]: one for one in rest}
    turbo = by_name["stabilityai/sdxl-turbo"]
    assert (turbo["steps"], turbo["guidance_scale"], turbo["distilled"]) == (4, 1.0, "turbo")
    dev = by_name["black-forest-labs/FLUX.1-dev"]
    assert (dev["licence"], dev["gated"]) == ("flux-1-dev-non-commercial-license", True)
    assert not by_name["Qwen/Qwen-Image"]["gated"]


def test_the_list_fits_a_terminal_and_names_every_model_family_and_licence(tmp_path: Path) -> None:
    shown = listing(tmp_path)
    lines = shown.splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[lines.index("") + 1].startswith("the hub has, among others")
    for one in listed(tmp_path).values():
        assert one["name"] in shown
        assert f" {one['family']}\n" in shown
        assert one["licence"].removesuffix("-license") in shown
    assert "black-forest-labs/FLUX.1-dev*" in shown


def test_a_model_in_the_cache_is_listed_as_its_name_would_find_it(tmp_path: Path) -> None:
    make_tiny_xl(in_cache(tmp_path, "stabilityai/sdxl-turbo"))
    models = listed(tmp_path)
    assert "stabilityai/sdxl-turbo" not in models  # it is here
    turbo = models[f"stabilityai/sdxl-turbo@{COMMIT}"]
    assert (turbo["distilled"], turbo["steps"], turbo["guidance_scale"]) == ("turbo", 4, 1.0)
    assert (turbo["licence"], turbo["licence_source"]) == ("sai-nc-community", "hub")
    assert (turbo["on_disk"], turbo["complete"]) == (True, True)


def test_listing_models_loads_no_networks(tmp_path: Path) -> None:
    make_tiny_xl(in_cache(tmp_path, "someone/else"))
    program = (
        "import sys; from underpaint.cli import application; application.run(['models', '--json']);"
        "sys.exit([name for name in ('torch', 'diffusers', 'transformers') if name in sys.modules] or 0)"
    )
    environment = {**os.environ, "HF_HUB_CACHE": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "someone/else" in done.stdout


@pytest.mark.parametrize(
    ("files", "licence", "source"),
    [
        ({"README.md": "---\nlicense: mit\n---\n# A model"}, "mit", "card"),
        ({"README.md": "\ufeff---\r\nlicense: 'mit'\r\n---\r\n"}, "mit", "card"),
        ({"README.md": "---\nlicense: other\nlicense_name: my-own\n---\n"}, "my-own", "card"),
        ({"README.md": "---\nlicense: mit\n---\n", "LICENSE.md": "..."}, "mit", "card"),
        ({"README.md": "---\nlicense: other\n---\n", "LICENSE.md": "..."}, "LICENSE.md", "file"),
        ({"LICENCE.txt": "..."}, "LICENCE.txt", "file"),
        ({"README.md": "# license: mit\n"}, "openrail++", "usual"),
        ({"README.md": "---\ntags: [a]\n---\nlicense: mit\n"}, "openrail++", "usual"),
        ({}, "openrail++", "usual"),
    ],
)
def test_a_folders_licence_is_its_cards_else_a_files_else_its_familys(
    run: Run, tmp_path: Path, files: dict[str, str], licence: str, source: str
) -> None:
    folder = make_tiny_xl(tmp_path / "xl")
    for name, content in files.items():
        (folder / name).write_bytes(content.encode())
    facts = run("models", "inspect", folder, "--json").json
    assert (facts["licence"], facts["licence_source"]) == (licence, source)


def test_a_licence_that_is_only_usual_is_marked_for_people(run: Run, tmp_path: Path) -> None:
    folder = make_tiny_flux(tmp_path / "flux")
    assert "usually flux-1-dev-non-commercial-license" in run("models", "inspect", folder).out
    (folder / "LICENSE").write_text("...")
    assert "see LICENSE" in run("models", "inspect", folder).out


def test_what_weights_say_of_their_licence_counts_more_than_a_file_beside_them(
    run: Run, tmp_path: Path
) -> None:
    folder = make_tiny_xl(tmp_path / "xl")
    (weights,) = (folder / "unet").glob("*.safetensors")
    save_file(load_file(weights), weights, {"modelspec.license": "CC0", "format": "pt"})
    (folder / "LICENSE").write_text("...")
    facts = run("models", "inspect", folder, "--json").json
    assert (facts["licence"], facts["licence_source"]) == ("CC0", "metadata")
