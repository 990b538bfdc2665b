"""``underpaint render`` and ``plan``: what they write, where, and what they say about it."""

import contextlib
import gc
import hashlib
import io
import json
import os
import pty
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

import underpaint
from tests.conftest import soft_picture
from tests.surfaces.conftest import Run, command_line, process
from underpaint.cli.options import Wish
from underpaint.pixels import read_metadata
from underpaint.request import Request

pytestmark = pytest.mark.usefixtures("folder")

KEYS = {
    "output", "source", "width", "height", "seed", "strength", "steps", "evaluations", "start", "model",
    "sampler", "guidance_scale", "notices", "seconds",
}  # fmt: skip


def test_json_is_one_object_a_picture_and_nothing_else(
    run: Run, folder: Path, scene: Path, tiny: Path
) -> None:
    done = run(
        "render", scene, "oil", "-m", tiny, "-n", "3", "-s", "0.5", "--seed", "7", "--count", "2",
        "-o", "out.png", "--json",
    )  # fmt: skip
    assert (done.code, done.err) == (0, "")
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert [line["output"] for line in lines] == ["out-1.png", "out-2.png"]
    assert [line["seed"] for line in lines] == [7, 8]
    first = lines[0]
    assert set(first) >= KEYS
    assert (first["width"], first["height"]) == (64, 48)
    assert (first["steps"], first["evaluations"], first["strength"]) == (3, 3, 0.5)
    assert (first["model"], first["sampler"], first["guidance_scale"]) == ("tiny", "dpmpp_2m", 3.0)
    assert first["start"] == pytest.approx({"alpha": 0.527, "sigma": 0.850}, abs=1e-3)
    assert first["source"] == str(scene)
    assert 0 < first["seconds"] < 60
    assert {path.name for path in folder.iterdir()} == {"out-1.png", "out-2.png"}


def test_a_person_reads_one_line_a_picture_and_notes_beside_it(
    run: Run, scene: Path, tiny: Path
) -> None:
    done = run(
        "render", scene, "oil", "-m", tiny, "-s", "1", "-n", "1", "--seed", "3", "-o", "a.png"
    )
    assert re.fullmatch(r"a\.png: 64x48, strength 1, 1 steps, seed 3, tiny, \d+\.\d s\n", done.out)
    assert re.fullmatch(r"note: at strength 1 .* \[source-lost\]\n", done.err)
    quiet = run("render", scene, "oil", "-m", tiny, "-s", "1", "-n", "1", "-o", "b.png", "--quiet")
    assert (quiet.code, quiet.out, quiet.err) == (0, "", "")


def test_the_name_is_the_sources_stem_and_the_seed(
    run: Run, folder: Path, scene: Path, tiny: Path
) -> None:
    common = ("render", scene, "oil", "-m", tiny, "-n", "1", "-q")
    (folder / "results").mkdir()
    assert run(*common, "--seed", "12").code == 0
    assert run(*common, "--seed", "12", "-o", "results").code == 0
    assert run(*common, "--seed", "12", "-o", "results/", "--count", "2").code == 0
    assert run(*common, "--seed", "5", "-o", "PHOTO.JPG").code == 0
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert found == {
        "scene-12.png", "results/scene-12.png", "results/scene-12-1.png", "results/scene-12-2.png",
        "PHOTO.JPG",
    }  # fmt: skip
    assert Image.open("PHOTO.JPG").format == "JPEG"


def test_a_seed_that_was_left_out_is_in_the_name_the_line_and_the_recipe(
    run: Run, scene: Path, tiny: Path
) -> None:
    facts = run("render", scene, "oil", "-m", tiny, "-n", "1", "--json").json
    assert facts["output"] == f"scene-{facts['seed']}.png"
    recipe = run("inspect", facts["output"], "--json").json["recipe"]
    assert recipe["request"]["seed"] == facts["seed"] < 2**32


def test_an_existing_file_is_replaced_only_on_demand(run: Run, scene: Path, tiny: Path) -> None:
    common = ("render", scene, "oil", "-m", tiny, "-n", "1", "-o", "a.png", "-q")
    assert run(*common).code == 0
    before = Path("a.png").read_bytes()
    assert run(*common).code == 2
    assert Path("a.png").read_bytes() == before
    assert run(*common, "--overwrite").code == 0
    assert Path("a.png").read_bytes() != before  # another seed


def test_no_metadata_means_none(run: Run, scene: Path, tiny: Path) -> None:
    run("render", scene, "oil", "-m", tiny, "-n", "1", "-o", "a.png", "--no-metadata")
    assert read_metadata("a.png") == (None, None)


def test_strength_zero_writes_the_sources_own_pixels(run: Run, scene: Path, tiny: Path) -> None:
    facts = run("render", scene, "oil", "-m", tiny, "-s", "0", "-o", "a.png", "--json").json
    assert (facts["evaluations"], facts["start"]) == (0, {"alpha": 1.0, "sigma": 0.0})
    assert (np.asarray(Image.open("a.png")) == np.asarray(Image.open(scene))).all()


def test_what_a_jpeg_cannot_hold_is_said(run: Run, tiny: Path) -> None:
    source = soft_picture(32, 32)
    source.putalpha(128)
    source.save("glass.png")
    facts = run("render", "glass.png", "oil", "-m", tiny, "-n", "1", "-o", "a.jpg", "--json").json
    assert [notice["code"] for notice in facts["notices"]] == ["flattened"]


@pytest.mark.parametrize("size", [(513, 407), (1, 1), (64, 2000)])
def test_any_size_in_gives_the_same_size_out(run: Run, tiny: Path, size: tuple[int, int]) -> None:
    soft_picture(*size).save("in.png")
    facts = run("render", "in.png", "oil", "-m", tiny, "-n", "1", "-o", "out.png", "--json").json
    assert (facts["width"], facts["height"]) == size == Image.open("out.png").size


def test_exact_and_precision_are_recorded(run: Run, scene: Path, tiny: Path) -> None:
    run(
        "render",
        scene,
        "x",
        "-m",
        tiny,
        "-n",
        "1",
        "-o",
        "a.png",
        "--exact",
        "--precision",
        "float32",
    )
    build = run("inspect", "a.png", "--json").json["recipe"]["build"]
    assert (build["rows_per_call"], build["precision"], build["device"]) == (1, "float32", "cpu")


def test_the_interval_of_guidance_is_recorded_and_matters(
    run: Run, scene: Path, tiny: Path
) -> None:
    common = ("render", scene, "oil", "-m", tiny, "-n", "4", "--seed", "1", "-q")
    run(*common, "-o", "a.png")
    run(*common, "-o", "b.png", "--guidance-interval", "0.2:0.4")
    recipe = run("inspect", "b.png", "--json").json["recipe"]
    assert recipe["request"]["guidance_interval"] == [0.2, 0.4]
    assert (np.asarray(Image.open("a.png")) != np.asarray(Image.open("b.png"))).any()


def test_the_heap_is_frozen_once_and_not_with_each_pictures_garbage(
    run: Run, scene: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen: list[None] = []
    monkeypatch.setattr(gc, "freeze", lambda: frozen.append(None))
    for strength in ("0.5", "0"):
        run("render", scene, "x", "-m", tiny, "-s", strength, "-n", "1", "--count", "3", "-q")
        assert len(frozen) == 1
        frozen.clear()


# --- plan -----------------------------------------------------------------------------------------


def test_the_plan_is_what_render_then_does(run: Run, scene: Path, tiny: Path) -> None:
    words = (scene, "oil", "-m", tiny, "-s", "0.58", "-n", "5", "--seed", "1", "--sampler", "heun")
    planned = run("plan", *words, "--json").json
    done = run("render", *words, "-o", "a.png", "--json").json
    same = set(planned) & set(done) - {"output", "seconds"}
    assert {"start", "steps", "evaluations", "model", "sampler", "notices", "working_size"} <= same
    assert {key: planned[key] for key in same} == {key: done[key] for key in same}
    recipe = run("inspect", "a.png", "--json").json["recipe"]
    assert planned["levels"] == recipe["plan"]["levels"]
    assert planned["levels"][0] == planned["start"]


def test_the_plan_of_a_large_picture_names_its_working_size(run: Run) -> None:
    soft_picture(1000, 500).save("large.png")
    planned = run("plan", "large.png", "oil", "--json").json
    width, height = map(int, planned["working_size"].split("x"))
    assert width * height <= 512 * 512
    assert width / height == pytest.approx(2, rel=0.01)
    assert [notice["code"] for notice in planned["notices"]] == ["work-size"]
    native = run("plan", "large.png", "oil", "--work-size", "native", "--json").json
    assert (native["working_size"], native["notices"]) == ("1000x500", [])


def test_the_plan_for_a_person_names_levels_steps_and_notes(run: Run, scene: Path) -> None:
    done = run("plan", scene, "oil", "-s", "0.95", "-n", "2")
    assert "2 evaluations" in done.out
    assert "alpha 0.0500, sigma 0.9500" in done.out
    assert "[source-lost]" in done.err
    weak = run("plan", scene, " ".join(["word"] * 13), "-s", "0.2")
    assert "[prompt-weak]" in weak.err


def test_nothing_runs_at_strength_zero(run: Run, scene: Path) -> None:
    planned = run("plan", scene, "oil", "-s", "0", "--json").json
    assert (planned["steps"], planned["levels"]) == (0, [])


# --- defaults and other commands ------------------------------------------------------------------


def test_the_defaults_are_the_requests_own(run: Run) -> None:
    text = re.sub(r"[│\s]+", " ", run("render", "--help").out)
    for flag, field in [
        ("--strength", "strength"),
        ("--count", "count"),
        ("--work-size", "work_size"),
        ("--fit", "fit"),
    ]:
        default = Request.model_fields[field].default
        assert re.search(rf"{flag} .*?\[default: {default}\]", text), flag


def test_every_field_of_a_request_is_an_option_and_is_described() -> None:
    assert set(Request.model_fields) <= {field.name for field in fields(Wish)}
    script = "from underpaint.cli import application\napplication.run(['render', '--help'])"
    done = subprocess.run(
        [sys.executable, "-OO", "-c", script],  # which takes the docstrings away
        env={**os.environ, "COLUMNS": "400"},
        capture_output=True,
        text=True,
        check=True,
    )
    shown = re.sub(r"[│\s]+", "", done.stdout)
    for name in set(Request.model_fields) - {"source"}:
        words = Request.model_fields[name].description
        assert words, name
        assert re.sub(r"\s|``", "", words) in shown, name


def test_models_and_version_speak_both_ways(run: Run) -> None:
    facts = json.loads(run("models", "--json").out.splitlines()[0])
    assert (facts["name"], facts["family"]) == ("gesso", "stable-diffusion")
    assert 1_000_000 < facts["bytes"] <= 48_000_000
    assert "gesso" in run("models").out
    assert set(run("version", "--json").json) >= {"underpaint", "torch", "diffusers", "python"}
    assert "underpaint" in run("version").out


def test_inspect_shows_what_other_programs_wrote(run: Run) -> None:
    info = PngInfo()
    info.add_text(
        "parameters", "a \x1b[31mcat\nNegative prompt: dog\nSteps: 9, Sampler: Euler, Seed: 1"
    )
    soft_picture(8, 8).save("foreign.png", pnginfo=info)
    text = run("inspect", "foreign.png")
    assert text.code == 0
    assert re.search(r"prompt +a \\x1b\[31mcat\n", text.out)
    assert re.search(r"Steps +9\n", text.out)
    facts = run("inspect", "foreign.png", "--json").json
    assert facts["recipe"] is None
    assert facts["settings"]["negative_prompt"] == "dog"


def test_inspect_shows_the_recipe(run: Run, scene: Path, tiny: Path) -> None:
    run(
        "render",
        scene,
        "two\nlines",
        "-m",
        tiny,
        "-n",
        "2",
        "-s",
        "0.9",
        "--seed",
        "4",
        "-o",
        "a.png",
    )
    text = run("inspect", "a.png").out
    for line in (
        r"source +scene\.png, 64x48, SHA-256 [0-9a-f]{64}\n",
        r"prompt +two\n +lines\n",
        r"strength +0\.9: starts at alpha",
        r"steps +2\n",
        r"seed +4\n",
    ):
        assert re.search(line, text), line
    facts = run("inspect", "a.png", "--json").json
    assert facts["digital_source_type"].endswith("/compositeWithTrainedAlgorithmicMedia")
    assert facts["settings"]["Denoising strength"] == "0.9"


# --- real processes -------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_process_and_python_give_the_same_bytes_and_say_nothing_else(
    folder: Path, scene: Path
) -> None:
    """With the shipped model, through every door: a process, a pipe, and Python."""
    words = ("oil painting", "-s", "0.5", "-n", "2", "--seed", "7")
    done = process("render", scene, *words, "-o", "cli.png", cwd=folder)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.count(b"\n") == 1
    result = underpaint.render(scene, "oil painting", strength=0.5, steps=2, seed=7)
    assert result.encode(".png") == Path("cli.png").read_bytes()

    piped = process("render", "-", *words, cwd=folder, input=scene.read_bytes())
    assert (piped.returncode, piped.stderr) == (0, b"")
    one, other = Image.open(io.BytesIO(piped.stdout)), Image.open("cli.png")
    assert hashlib.sha256(one.tobytes()).digest() == hashlib.sha256(other.tobytes()).digest()
    assert [path.name for path in folder.iterdir()] == ["cli.png"]


@pytest.mark.slow
def test_progress_on_a_terminal_takes_nothing_from_standard_output(
    folder: Path, scene: Path, tiny: Path
) -> None:
    terminal, other_end = pty.openpty()
    with (folder / "out").open("wb") as out:
        child = subprocess.Popen(
            command_line("render", scene, "oil", "-m", tiny, "-n", "2", "-o", "a.png", "--json"),
            stdout=out,
            stderr=other_end,
            env={**os.environ, "TERM": "xterm"},
        )
    os.close(other_end)
    seen = b""
    with contextlib.suppress(OSError):  # what Linux says when the other end is closed
        while more := os.read(terminal, 4096):
            seen += more
    os.close(terminal)
    assert child.wait() == 0, seen.decode()
    assert b"painting" in seen
    assert json.loads((folder / "out").read_bytes())["output"] == "a.png"


def test_the_warnings_of_libraries_are_shown_on_demand_only() -> None:
    script = (
        "import warnings\nfrom underpaint.models import catalog\nfind = catalog.find\n"
        "def chatty(name):\n    warnings.warn('chatter')\n    return find(name)\n"
        "catalog.find = chatty\nfrom underpaint.cli import main\nmain()"
    )
    for debug in ("", "1"):
        done = subprocess.run(
            [sys.executable, "-c", script, "models"],
            env={**os.environ, "UNDERPAINT_DEBUG": debug},
            capture_output=True,
            check=True,
        )
        assert (b"chatter" in done.stderr) == bool(debug)


def test_a_reader_that_leaves_early_gets_no_traceback(scene: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as closed:
        done = subprocess.run(
            command_line("plan", scene, "oil"), stdout=closed, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 2
    assert done.stderr == b"error: standard output was closed before everything was written\n"
