"""``underpaint sweep``: what it writes, that its cells are single renders, and that it goes on."""

import hashlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import underpaint
from tests.surfaces.conftest import Run, command_line, process
from underpaint import Recipe
from underpaint.pixels import read_metadata

pytestmark = pytest.mark.usefixtures("folder")


def facts_in(folder: str | Path) -> dict[str, Any]:
    return json.loads((Path(folder) / "sweep.json").read_text("utf-8"))


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_a_sweep_leaves_pictures_a_sheet_facts_and_a_page(
    run: Run, folder: Path, scene: Path, tiny: Path
) -> None:
    done = run(
        "sweep", scene, "oil", "--prompt", "it's ink", "-s", "0.3,0.8", "-m", tiny, "-n", "2",
        "--seed", "7", "-o", "out",
    )  # fmt: skip
    assert (done.code, done.err) == (0, "")
    assert "4 pictures in out" in done.out
    cells = [f"strength-{s}_prompt-{p}.png" for p in (1, 2) for s in (0.3, 0.8)]
    assert {path.name for path in (folder / "out").iterdir()} == {
        *cells, "sheet.png", "sweep.json", "sweep.html",
    }  # fmt: skip
    facts = facts_in("out")
    assert facts["finished"]
    assert facts["axes"] == {"strength": [0.3, 0.8], "prompt": ["oil", "it's ink"]}
    assert [cell["file"] for cell in facts["cells"]] == cells
    for cell in facts["cells"]:
        data = (folder / "out" / cell["file"]).read_bytes()
        packet, _ = read_metadata(data)
        recipe = Recipe.from_xmp(packet or b"")
        assert recipe is not None
        assert cell["sha256"] == hashlib.sha256(data).hexdigest()
        assert cell["request"] == recipe.to_dict()["request"]
        assert cell["fidelity"] == recipe.to_dict()["fidelity"]
        assert (cell["request"]["seed"], cell["evaluations"]) == (7, 2)
    page = (folder / "out" / "sweep.html").read_text("utf-8")
    assert page.count("<figure") == 4
    assert str(folder) not in page.replace(str(scene), "")


@pytest.mark.parametrize("scale", ["schedule", "calibrated"])
def test_the_command_of_a_cell_renders_its_very_bytes(
    run: Run, folder: Path, scene: Path, tiny: Path, scale: str
) -> None:
    run(
        "sweep", scene, "an 'oil' painting", "-s", "0:1:3", "-g", "1,3", "-m", tiny, "-n", "3",
        "--strength-scale", scale, "--negative-prompt", "-blur", "--work-size", "40x40", "-o", "out",
    )  # fmt: skip
    cells = facts_in("out")["cells"]
    assert len(cells) == 6
    for cell in cells:
        name, *words = shlex.split(cell["command"])
        assert name == "underpaint"
        assert run(*words).code == 0, cell["command"]
        assert (folder / cell["file"]).read_bytes() == (folder / "out" / cell["file"]).read_bytes()


@pytest.mark.slow
def test_a_process_renders_the_very_bytes_of_a_cell_of_the_shipped_model(
    folder: Path, scene: Path
) -> None:
    words = ("-s", "0.4,0.7", "--seed", "3", "-n", "2", "-o", "out")
    done = process("sweep", scene, "oil painting", *words, cwd=folder)
    assert (done.returncode, done.stderr) == (0, b"")
    cell = facts_in("out")["cells"][1]
    single = process(*shlex.split(cell["command"])[1:], cwd=folder)
    assert single.returncode == 0, single.stderr
    assert (folder / cell["file"]).read_bytes() == (folder / "out" / cell["file"]).read_bytes()


def test_a_sweep_encodes_its_source_once_and_each_prompt_once(
    run: Run, scene: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from underpaint.models.autoencoder import Autoencoder
    from underpaint.models.stable_diffusion import Words

    calls: list[str] = []
    for part, owner in (("source", Autoencoder), ("words", Words)):

        def encode(
            self: Any, value: Any, *, part: str = part, plain: Any = owner.encode, **named: Any
        ) -> Any:
            calls.append(part)
            return plain(self, value, **named)

        monkeypatch.setattr(owner, "encode", encode)
    words = ("--prompt", "ink", "-s", "0.3,0.6,0.9", "-n", "1", "-m", tiny, "-o", "out", "-q")
    assert run("sweep", scene, "oil", *words).code == 0
    # the negative prompt is a third text
    assert (calls.count("source"), calls.count("words")) == (1, 3)


def test_json_is_one_object_a_picture_and_one_for_the_whole(
    run: Run, scene: Path, tiny: Path
) -> None:
    words = ("-s", "0.3,0.99", "-n", "1", "-m", tiny, "-o", "out", "--json")
    done = run("sweep", scene, "oil", *words)
    assert (done.code, done.err) == (0, "")
    first, second, whole = (json.loads(line) for line in done.out.splitlines())
    assert (first["values"], second["values"]) == ({"strength": 0.3}, {"strength": 0.99})
    assert first["seed"] == second["seed"]
    assert set(first["fidelity"]) >= {"structure", "edges"}
    assert (whole["pictures"], whole["found"]) == (2, 0)
    assert [notice["code"] for notice in whole["notices"]].count("source-lost") == 1
    assert "(in 1 of 2 pictures)" in whole["notices"][0]["message"]


def test_what_is_noticed_is_said_of_the_pictures_that_it_is_true_of(
    run: Run, scene: Path, tiny: Path
) -> None:
    words = ("-n", "1", "-m", tiny, "-o", "out", "-q", "--json")
    last = run("sweep", scene, "oil", "-s", "0.95:0.99:5", *words).out.splitlines()[-1]
    said = [one["message"] for one in json.loads(last)["notices"] if one["code"] == "source-lost"]
    assert [one.split()[2] for one in said[:3]] == ["0.95", "0.96", "0.97"]
    assert all("(in 1 of 5 pictures)" in one for one in said[:3])
    assert said[3:] == ["and 2 more like it, in sweep.json"]


def test_a_sweep_of_one_transparent_picture_is_a_sweep_too(
    run: Run, folder: Path, scene: Path, tiny: Path
) -> None:
    glass = Image.open(scene).convert("RGB")
    glass.putalpha(128)
    glass.save("glass.png")
    words = ("-s", "1", "-m", tiny, "-n", "1", "--variation", "0.2", "--variation-seed", "4")
    assert run("sweep", "glass.png", "", *words, "-o", "out").code == 0
    assert {path.name for path in (folder / "out").iterdir()} == {
        "picture.png", "sheet.png", "sweep.json", "sweep.html",
    }  # fmt: skip
    (cell,) = facts_in("out")["cells"]
    assert run(*shlex.split(cell["command"])[1:]).code == 0
    assert (folder / "picture.png").read_bytes() == (folder / "out" / "picture.png").read_bytes()


def test_three_axes_make_pages(run: Run, folder: Path, scene: Path, tiny: Path) -> None:
    words = ("-s", "0.3,0.6", "-g", "1,2", "--seed", "1,2,3", "-n", "1", "-m", tiny, "-o", "out")
    assert run("sweep", scene, "oil", *words, "-q").code == 0
    assert len(list((folder / "out").glob("sheet*.png"))) == 3
    assert (folder / "out" / "sweep.html").read_text("utf-8").count("<section>") == 3


# --- going on -------------------------------------------------------------------------------------


def test_what_is_done_is_skipped_and_a_sweep_can_be_extended(
    run: Run, folder: Path, scene: Path, tiny: Path
) -> None:
    common = ("sweep", scene, "oil", "-n", "1", "-m", tiny, "-o", "out")
    assert run(*common, "-s", "0.3,0.6").code == 0
    before = hashes(folder / "out")
    again = run(*common, "-s", "0.3,0.6", "--json")
    assert json.loads(again.out)["found"] == 2  # and no picture's line before it
    assert hashes(folder / "out") == before  # sheet, facts and page are the same bytes too
    more = run(*common, "-s", "0.3,0.45,0.6", "--json")
    assert json.loads(more.out.splitlines()[-1])["found"] == 2  # by the seed that was drawn then
    seeds = {cell["request"]["seed"] for cell in facts_in("out")["cells"]}
    assert len(seeds) == 1


def test_another_sweep_in_its_folder_takes_nothing_from_the_first(
    run: Run, folder: Path, scene: Path, tiny: Path
) -> None:
    common = ("-n", "1", "-m", tiny, "-o", "out", "--json")
    first = ("sweep", scene, "oil", "--prompt", "ink", "-s", "0.3,0.6", "-g", "2,3", *common)
    assert run(*first).code == 0
    before, drawn = hashes(folder / "out"), facts_in("out")["drawn_seed"]
    assert "sheet-2.png" in before
    assert run("sweep", scene, "oil", "-s", "0.3", "--seed", "1,2", *common).code == 0
    again = run(*first)
    assert (again.code, json.loads(again.out.splitlines()[-1])["found"]) == (0, 8), again.err
    assert facts_in("out")["drawn_seed"] == drawn
    assert before.items() <= hashes(folder / "out").items()


def test_a_changed_request_is_not_taken_for_done(
    run: Run, folder: Path, scene: Path, tiny: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    common = ("sweep", scene, "oil", "-s", "0.3,0.6", "-n", "1", "-m", tiny, "-o", "out")
    assert run(*common, "--seed", "1").code == 0
    before = hashes(folder / "out")
    other = tmp_path_factory.mktemp("other") / scene.name
    pixels = np.asarray(Image.open(scene)).copy()
    pixels[0, 0] ^= 1
    Image.fromarray(pixels).save(other)
    changed: list[tuple[Any, ...]] = [
        (*common, "--seed", "2"),
        (*common, "--seed", "1", "-g", "2"),
        (*common, "--seed", "1", "--negative-prompt", "blur"),
        ("sweep", other, *common[2:], "--seed", "1"),
        ("sweep", scene, "ink", *common[3:], "--seed", "1"),
    ]
    for words in changed:
        done = run(*words)
        assert done.code == 2, words
        assert "2 of the sweep's files hold other pictures, 'strength-0.3.png' first" in done.err
        assert hashes(folder / "out") == before
    assert run(*common, "--seed", "2", "--overwrite").code == 0
    assert hashes(folder / "out")["strength-0.3.png"] != before["strength-0.3.png"]


def test_a_damaged_picture_is_not_taken_for_done(
    run: Run, folder: Path, scene: Path, tiny: Path
) -> None:
    common = ("sweep", scene, "oil", "-s", "0.3,0.6", "-n", "1", "-m", tiny, "-o", "out")
    run(*common, "--seed", "1")
    good = hashes(folder / "out")
    victim = folder / "out" / "strength-0.6.png"
    victim.write_bytes(victim.read_bytes()[:-400])
    assert run(*common, "--seed", "1").code == 2
    assert run(*common, "--seed", "1", "--overwrite").code == 0
    assert hashes(folder / "out") == good


def test_files_of_another_kind_are_left_alone(
    run: Run, folder: Path, scene: Path, tiny: Path
) -> None:
    (folder / "out").mkdir()
    (folder / "out" / "sweep.html").write_text("mine")
    common = ("sweep", scene, "oil", "-s", "0.3,0.6", "-n", "1", "-m", tiny, "-q")
    done = run(*common, "-o", "out")
    assert (done.code, "is of no sweep" in done.err) == (2, True)
    assert (folder / "out" / "sweep.html").read_text() == "mine"
    for name in ("sweep.json", "sheet.png"):
        (folder / name).mkdir()
        (folder / name / name).write_text("{}")
        done = run(*common, "-o", name)
        assert (done.code, "is of no sweep" in done.err) == (2, True), name
        assert (folder / name / name).read_text() == "{}"
    (folder / "file").write_text("mine")
    assert "no folder" in run(*common, "-o", "file").err
    assert "folder is empty" in run(*common, "-o", "").err
    assert not (folder / "sweep.html").exists()
    assert run(*common, "-o", "no/where").code == 2


def test_a_sweep_never_writes_over_its_source(
    run: Run, folder: Path, scene: Path, tiny: Path
) -> None:
    (folder / "out").mkdir()
    for name in ("sheet.png", "strength-0.3.png"):
        source = folder / "out" / name
        shutil.copyfile(scene, source)
        common = ("sweep", source, "oil", "-s", "0.3,0.6", "-n", "1", "-m", tiny, "-q", "-o", "out")
        for words in (common, (*common, "--overwrite")):
            done = run(*words)
            assert (done.code, "is the source" in done.err) == (2, True), done.err
        assert source.read_bytes() == scene.read_bytes()
        source.unlink()


def test_prompts_with_lines_and_paths_beyond_utf_8_are_published(
    run: Run, folder: Path, scene: Path, tiny: Path
) -> None:
    place = folder / os.fsdecode(b"d\xff")
    place.mkdir()
    shutil.copyfile(scene, place / "s.png")
    prompts = ("oil painting\r\nof a house", "--prompt", "ink\x85\u2029drawing")
    words = ("-n", "1", "-s", "0.5", "-m", tiny, "-o", "out", "-q")
    done = run("sweep", place / "s.png", *prompts, *words)
    assert done.code == 0, done.err
    assert facts_in("out")["finished"]
    assert "oil painting" in (folder / "out" / "sweep.html").read_text("utf-8")


@pytest.mark.slow
def test_a_killed_sweep_goes_on_where_it_was(folder: Path, scene: Path, tiny: Path) -> None:
    words = ("sweep", scene, "oil", "-s", "0.1:0.9:40", "-n", "9", "-m", tiny, "-o", "out")
    child = subprocess.Popen(command_line(*words), cwd=folder, stdout=subprocess.PIPE)
    assert child.stdout is not None
    for _ in range(3):
        child.stdout.readline()
    time.sleep(0.03)
    child.send_signal(signal.SIGKILL)
    child.communicate(timeout=60)
    left = {path.name: path.stat().st_mtime_ns for path in (folder / "out").glob("*.png")}
    assert 3 <= len(left) < 40
    assert not facts_in("out")["finished"]
    assert not list((folder / "out").glob(".*"))
    done = process(*words, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert f"{len(left)} of 40 pictures are there already".encode() in done.stdout
    now = {path.name: path.stat().st_mtime_ns for path in (folder / "out").glob("*.png")}
    assert {name: now[name] for name in left} == left  # not written again
    assert len(now) == 41  # and the sheet
    assert facts_in("out")["finished"]


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        (["-s", "0.9:0.2:8"], "LOW < HIGH"),
        (["-s", "0.2:0.9:0"], "COUNT of 2 or more"),
        (["-s", "nan:1:3"], "got 'nan:1:3'"),
        (["-s", "0.2:1.5:3"], "strength must lie in [0, 1], got 1.5"),
        (["-g", "2,900"], "guidance_scale must lie in [0, 100]"),
        (["--seed", ""], "seed takes LOW:HIGH:COUNT"),
        (["--sampler", "plms,euler"], "sampler must be one of"),
        (["-s", "0:1:21", "--seed", "1:20:20"], "asks for 420 pictures"),
        (["-s", "0:1:1000", "--seed", "1:1000:1000", "--yes"], "asks for 1000000 pictures"),
        (["-s", "0:1:999999999", "--yes"], "asks for 999999999 pictures"),
        (["--sampler", "ddim,euler", "--eta", "0.5"], "eta is the noise share"),
        (["--prompt", "oil"], "prompt lists 'oil' twice"),
        (["--variation", "0.2"], "give a variation_seed beside the variation"),
    ],
)
def test_a_bad_range_is_refused_before_anything_heavy_is_imported(
    scene: Path, folder: Path, typed: list[str], sentence: str
) -> None:
    script = (
        "import sys\nfrom underpaint.cli import application\n"
        "code = application.run(sys.argv[1:])\n"
        "assert not {'torch', 'diffusers', 'transformers'} & set(sys.modules)\nsys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "sweep", str(scene), "oil", *typed, "-o", "out"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert sentence in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert list(folder.iterdir()) == []


def test_python_sweeps_the_same_pictures(run: Run, folder: Path, scene: Path, tiny: Path) -> None:
    made = underpaint.sweep(
        scene, "oil", "python", strength=[0.3, 0.6], steps=2, seed=5, model=tiny,
        shared={"negative_prompt": "blur"},
    )  # fmt: skip
    assert [one.cell.values for one in made] == [{"strength": 0.3}, {"strength": 0.6}]
    words = ("-s", "0.3,0.6", "-n", "2", "--seed", "5", "--negative-prompt", "blur")
    assert run("sweep", scene, "oil", *words, "-m", tiny, "-o", "cli").code == 0
    assert hashes(folder / "python") == hashes(folder / "cli")


def test_numpys_numbers_are_numbers_on_an_axis(scene: Path, tiny: Path) -> None:
    made = underpaint.sweep(
        scene, "oil", "out", strength=np.float32([0.25, 0.5]), steps=np.array([1, 2]),
        seed=np.int64(3), model=tiny,
    )  # fmt: skip
    assert [one.cell.file for one in made][:2] == [
        "strength-0.25_steps-1.png", "strength-0.5_steps-1.png",
    ]  # fmt: skip
    assert facts_in("out")["axes"] == {"strength": [0.25, 0.5], "steps": [1, 2]}


@pytest.mark.parametrize(
    ("shared", "words"),
    [({"count": 2}, "got count 2"), ({"strength": 0.9}, "give it as strength=")],
)
def test_what_a_sweep_cannot_share_is_refused(
    folder: Path, scene: Path, tiny: Path, shared: dict[str, Any], words: str
) -> None:
    with pytest.raises(underpaint.RequestError, match=words):
        underpaint.sweep(scene, "oil", "out", steps=1, model=tiny, shared=shared)
    for prompt, sentence in ((None, "needs a prompt"), (5, "prompt must be"), ([], "no value")):
        with pytest.raises(underpaint.RequestError, match=sentence):
            underpaint.sweep(scene, prompt, "out", steps=1, model=tiny)  # pyright: ignore[reportArgumentType]
    assert not (folder / "out").exists()
