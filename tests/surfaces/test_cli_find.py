"""``underpaint find`` and ``refine``: what they try, what they say and what they leave."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import underpaint
from tests.conftest import soft_picture
from tests.surfaces.conftest import Run, process
from tests.tiny_checkpoint import make_tiny_checkpoint
from underpaint import Engine, Planned, Recipe, Request
from underpaint.finding.running import find as search
from underpaint.pixels import read_metadata

pytestmark = pytest.mark.usefixtures("folder")


def recipe_in(path: str | Path) -> Recipe:
    packet, _ = read_metadata(path)
    found = Recipe.from_xmp(packet or b"")
    assert found is not None
    return found


def reachable(run: Run, scene: Path) -> float:
    """What a run half way keeps, with the shipped model: random weights keep nothing of a picture."""
    words = ("-s", "0.5", "-n", "4", "--seed", "3", "--json", "-o", "half.png")
    return run("render", scene, "oil", *words).json["fidelity"]["structure"]


# --- find -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({}, "either keep"),
        ({"keep": 0.5, "like": "a.png"}, "give one of them"),
        ({"keep": 0.5, "like_source": "a.png"}, "give like as well"),
        ({"keep": "0.5"}, r"keep must lie in \[0, 1\], got '0.5'"),
        ({"keep": True}, r"keep must lie in \[0, 1\], got True"),
        ({"keep": 0.5, "shared": {"seed": 1}}, "give it as seed="),
        ({"keep": 0.5, "shared": {"strength": 0.1}}, "leave strength out"),
        ({"keep": 0.5, "shared": {"count": 3}}, "leave count out"),
        ({"like": Image.new("RGB", (8, 8))}, "given as a path or its bytes, got Image"),
    ],
)
def test_python_says_what_cannot_be_searched_for(
    scene: Path, tiny: Path, asked: dict[str, Any], words: str
) -> None:
    with pytest.raises(underpaint.InputError, match=words):
        underpaint.find(scene, "oil", model=tiny, **asked)


def test_find_comes_within_two_hundredths_and_says_what_it_tried(run: Run, scene: Path) -> None:
    keep = reachable(run, scene)
    words = ("--keep", f"{keep}", "-n", "6", "--seed", "3")
    facts = run("find", scene, "oil", *words, "-o", "a.png", "--json").json
    assert abs(facts["kept"] - keep) <= 0.02
    assert facts["notices"] == []
    made = recipe_in("a.png")
    assert made.fidelity is not None
    assert (made.fidelity.structure, made.request.strength) == (facts["kept"], facts["strength"])
    assert (made.request.seed, made.plan.evaluations) == (3, 6)
    assert {one["steps"] for one in facts["tried"]} == {4, 6}
    spoken = run("find", scene, "oil", *words, "-o", "b.png")
    assert spoken.out.count("tried strength") == len(facts["tried"])
    assert "b.png: strength" in spoken.out
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()


def test_what_was_found_is_the_single_render_of_its_strength(run: Run, scene: Path) -> None:
    keep = reachable(run, scene)
    facts = run("find", scene, "oil", "--keep", keep, "--seed", "3", "-o", "a.png", "--json").json
    strength = repr(facts["strength"])
    run("render", scene, "oil", "-s", strength, "--seed", "3", "-o", "b.png", "-q")
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()


def test_find_strays_as_far_as_an_example_did(run: Run, scene: Path) -> None:
    keep = reachable(run, scene)
    words = ("-n", "6", "--seed", "3", "--json")
    by_recipe = run("find", scene, "oil", "--like", "half.png", *words, "-o", "a.png").json
    assert by_recipe["keep"] == keep
    Image.open("half.png").save("bare.png")
    bare = run("find", scene, "oil", "--like", "bare.png", *words, "-o", "b.png")
    assert bare.code == 2
    assert "--like-source" in bare.json["error"]["message"]
    pair = ("--like", "bare.png", "--like-source", scene)
    assert run("find", scene, "oil", *pair, *words, "-o", "c.png").json["keep"] == keep


def test_a_target_that_no_strength_reaches_names_what_is_reachable(
    run: Run, folder: Path, scene: Path, tiny: Path
) -> None:
    # A random autoencoder keeps little of anything.
    done = run(
        "find", scene, "oil", "--keep", "1", "-n", "2", "--seed", "3", "-o", "a.png", "-m", tiny
    )
    assert done.code == 2
    assert "no strength keeps 1 of this source's structure" in done.err
    assert "strength 0 keeps all" in done.err
    assert list(folder.iterdir()) == []


def test_a_source_without_structure_is_told_to_have_none(
    run: Run, folder: Path, tmp_path: Path, tiny: Path
) -> None:
    Image.new("RGB", (64, 48), (90, 120, 200)).save(tmp_path / "flat.png")
    done = run(
        "find", tmp_path / "flat.png", "oil", "--keep", "0.5", "-n", "2", "-o", "a.png", "-m", tiny
    )
    assert (done.code, done.out) == (2, "")
    assert "no structure" in done.err
    assert not (folder / "a.png").exists()


def test_find_refuses_before_anything_heavy_is_imported(scene: Path, folder: Path) -> None:
    script = (
        "import sys\nfrom underpaint.cli import application\n"
        "code = application.run(sys.argv[1:])\n"
        "assert not {'torch', 'diffusers', 'transformers'} & set(sys.modules)\nsys.exit(code)"
    )
    for typed, sentence in [
        ([], "either --keep"),
        (["--keep", "0.5", "--like", str(scene)], "give one of them"),
        (["--keep", "0.5", "--like-source", str(scene)], "give --like as well"),
        (["--keep", "1.2"], "keep must lie in [0, 1], got 1.2"),
        (["--keep", "nan"], "keep must lie in [0, 1], got nan"),
        (["--like", "missing.png"], "no such file"),
        (["--like", str(scene)], "carries no recipe"),
        (["--keep", "0.5", "-o", "a.gif"], ".gif"),
    ]:
        done = subprocess.run(
            [sys.executable, "-c", script, "find", str(scene), "oil", *typed],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 2, done.stderr
        assert sentence in done.stderr
        assert done.stderr.count("\n") == 1
    assert list(folder.iterdir()) == []


def test_find_takes_a_calibrated_strength(run: Run, scene: Path) -> None:
    keep = reachable(run, scene)
    words = ("--keep", keep, "-n", "5", "--strength-scale", "calibrated", "--seed", "3")
    facts = run("find", scene, "oil", *words, "-o", "a.png", "--json").json
    assert recipe_in("a.png").request.strength_scale == "calibrated"
    assert facts["tried"]


def test_a_search_turns_to_one_noise_on_its_whole_way(scene: Path) -> None:
    asked = Request(source=scene, prompt="oil", steps=1, seed=1, variation=0.5, work_size="64x64")
    planned = [
        event.request.variation_seed
        for event in search(asked, 0.7, Engine())
        if isinstance(event, Planned)
    ]
    assert len(planned) > 1
    assert len(set(planned)) == 1


def test_python_finds_the_same_picture(run: Run, scene: Path) -> None:
    keep = reachable(run, scene)
    run("find", scene, "oil", "--keep", keep, "-n", "5", "--seed", "3", "-o", "a.png")
    found = underpaint.find(scene, "oil", keep=keep, steps=5, seed=3)
    assert found.result.encode(".png") == Path("a.png").read_bytes()
    with pytest.raises(underpaint.RequestError, match="either keep"):
        underpaint.find(scene, "oil")


# --- refine ---------------------------------------------------------------------------------------


@pytest.fixture
def near_miss(run: Run, folder: Path, tiny: Path) -> Path:
    """A result beside its source."""
    soft_picture(64, 48).save("source.png")
    words = ("-m", tiny, "-n", "3", "-s", "0.8", "--seed", "5", "-g", "2", "-o", "near.png", "-q")
    assert run("render", "source.png", "oil", *words).code == 0
    return folder / "near.png"


def apart(one: str | Path, other: str | Path) -> float:
    a, b = (np.asarray(Image.open(path), dtype=np.float32) for path in (one, other))
    return float(np.abs(a - b).mean())


def test_refine_renders_neighbours_that_keep_what_worked(
    run: Run, near_miss: Path, tiny: Path
) -> None:
    done = run("refine", near_miss, "-m", tiny, "--seed", "40", "-o", "new.png", "--count", "3")
    assert (done.code, done.err) == (0, "")
    run("render", "source.png", "oil", "-m", tiny, "-n", "3", "-s", "0.8", "--seed", "41", "-g", "2",
        "-o", "other.png")  # fmt: skip
    names = [f"new-{i}.png" for i in (1, 2, 3)]
    for i, name in enumerate(names):
        asked = recipe_in(name).request
        before = recipe_in(near_miss).request
        assert (asked.seed, asked.variation, asked.variation_seed) == (5, 0.2, 40 + i)
        same = {"variation": 0.0, "variation_seed": None}
        assert asked.model_dump() | same == before.model_dump()
        assert 0 < apart(name, near_miss) < apart("other.png", near_miss)
    assert len({Path(name).read_bytes() for name in names}) == 3


def test_what_refine_made_can_be_replayed(run: Run, near_miss: Path, tiny: Path) -> None:
    run("refine", near_miss, "-m", tiny, "-o", "turned.png", "--count", "1", "--variation", "0.4")
    run("refine", near_miss, "-m", tiny, "-o", "onward.png", "--count", "1", "-s", "0.3")
    for name in ("turned.png", "onward.png"):
        done = run("replay", name, "-m", tiny, "--json")
        assert (done.code, done.json["identical"]) == (0, True)


def test_refine_says_what_was_noticed_on_the_way_and_by_the_format(run: Run, tiny: Path) -> None:
    source = soft_picture(64, 48)
    source.putalpha(128)
    source.save("clear.png")
    calibrated = (
        "--strength-scale",
        "calibrated",
        "-n",
        "1",
        "--negative-prompt",
        "blur",
        "-g",
        "1",
    )
    words = ("render", "clear.png", "oil", "-m", tiny, "-o", "near.png", "-q", *calibrated)
    assert run(*words).code == 0
    again = ("refine", "near.png", "-m", tiny, "--count", "2", "--overwrite", "-o", "new.jpg")
    told = run(*again).err
    assert told.count("negative prompt does nothing") == 1
    assert told.count("transparen") == 1
    codes = [
        one["code"] for one in json.loads(run(*again, "--json").out.splitlines()[0])["notices"]
    ]
    assert {"negative-unheard", "flattened"} <= set(codes)
    assert len(codes) == len(set(codes))


def test_refine_can_start_from_the_result_itself(run: Run, near_miss: Path, tiny: Path) -> None:
    (near_miss.parent / "source.png").unlink()  # which is not needed for that
    words = ("-s", "0.25", "--seed", "9", "--count", "2", "--prompt", "ink", "-m", tiny)
    done = run("refine", near_miss, *words, "-o", "on.png", "--json")
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert [(line["seed"], line["strength"], line["variation"]) for line in lines] == [
        (9, 0.25, 0.0), (10, 0.25, 0.0),
    ]  # fmt: skip
    made = recipe_in("on-1.png")
    assert (made.request.prompt, made.request.guidance_scale) == ("ink", 2.0)
    assert made.source.name == "near.png"


def test_refine_says_what_it_cannot_do(run: Run, near_miss: Path, tiny: Path, scene: Path) -> None:
    cases: list[tuple[list[Any], str]] = [
        ([scene], "carries no underpaint recipe"),
        ([near_miss], "which is not shipped"),
        ([near_miss, "-m", tiny, "--variation", "0.2", "-s", "0.3"], "choose one"),
        ([near_miss, "-m", tiny, "--source", scene, "-s", "0.3"], "no use for a source"),
        ([near_miss, "-m", tiny, "--variation", "0"], "above 0"),
        ([near_miss, "-m", tiny, "--variation", "1.5"], "variation must lie in [0, 1]"),
        ([near_miss, "-m", tiny, "-s", "nan"], "strength must lie in [0, 1]"),
        ([near_miss, "-m", tiny, "--count", "0"], "count must be a whole number"),
        ([near_miss, "-m", tiny, "-o", "-"], "several pictures"),
        ([near_miss, "-m", tiny, "-o", "near.gif"], ".gif"),
    ]
    for typed, sentence in cases:
        done = run("refine", *typed)
        assert (done.code, done.out) == (2, ""), typed
        assert sentence in done.err, typed
    Path("source.png").unlink()
    assert "--source" in run("refine", near_miss, "-m", tiny).err


def test_refine_says_that_source_and_model_are_others(
    run: Run, near_miss: Path, tmp_path: Path
) -> None:
    other = make_tiny_checkpoint(tmp_path / "tiny", seed=1)
    soft_picture(64, 48, seed=3).save("source.png")
    done = run("refine", near_miss, "-m", other, "-o", "new.png", "--count", "1")
    assert done.code == 0
    assert done.err.count("[other-source]") == done.err.count("[other-model]") == 1
    done = run("refine", near_miss, "-m", other, "-s", "0.3", "-o", "on.png", "--count", "1")
    assert done.err.count("[other-model]") == 1
    assert "[other-source]" not in done.err


def test_a_variation_of_a_variation_is_noticed(run: Run, near_miss: Path, tiny: Path) -> None:
    run("refine", near_miss, "-m", tiny, "-o", "a.png", "--count", "1", "-q")
    done = run("refine", "a.png", "-m", tiny, "-o", "b.png", "--count", "1")
    assert done.code == 0
    assert "[variation-of-variation]" in done.err


def test_python_refines_to_the_same_bytes(run: Run, near_miss: Path, tiny: Path) -> None:
    """By a turn and from the picture itself; of the file, and of the result that was never saved."""
    unsaved = underpaint.render(
        "source.png", "oil", model=tiny, steps=3, strength=0.8, seed=5, guidance_scale=2
    )
    run("refine", near_miss, "-m", tiny, "--seed", "40", "--count", "2", "-o", "turned.png")
    turned = [Path(f"turned-{i}.png").read_bytes() for i in (1, 2)]
    for near in (near_miss, str(near_miss), unsaved):
        made = underpaint.refine(near, seed=40, count=2, model=tiny)
        assert [one.encode(".png") for one in made.results] == turned
        assert made.notices == ()
    words = ("-s", "0.3", "--seed", "9", "--prompt", "ink", "--count", "1", "-m", tiny)
    run("refine", near_miss, *words, "-o", "onward.png")
    asked: dict[str, Any] = {"strength": 0.3, "seed": 9, "prompt": "ink", "count": 1, "model": tiny}
    (made,) = underpaint.refine(near_miss, **asked).results
    assert made.encode(".png") == Path("onward.png").read_bytes()
    (again,) = underpaint.refine(unsaved, **asked).results
    assert again.image.tobytes() == made.image.tobytes()  # its recipe names no file


def test_python_says_what_it_cannot_refine_and_notices_what_the_command_does(
    near_miss: Path, tiny: Path, scene: Path
) -> None:
    with pytest.raises(underpaint.RecipeError, match="carries no underpaint recipe"):
        underpaint.refine(scene, model=tiny)
    with pytest.raises(underpaint.RequestError, match=r"which is not shipped; .* model= in Python"):
        underpaint.refine(near_miss)
    with pytest.raises(underpaint.RequestError, match="choose one"):
        underpaint.refine(near_miss, variation=0.2, strength=0.3, model=tiny)
    first = underpaint.refine(near_miss, count=1, model=tiny).results[0]
    (notice,) = underpaint.refine(first, count=1, model=tiny).notices
    assert notice.code == "variation-of-variation"
    for other in (scene.read_bytes(), Image.open(scene)):
        with pytest.raises(underpaint.RequestError, match="takes a Result or the path of one"):
            underpaint.refine(other, model=tiny)  # pyright: ignore[reportArgumentType]
    Path("source.png").unlink()
    with pytest.raises(underpaint.PictureError, match="source= in Python"):
        underpaint.refine(near_miss, model=tiny)
    elsewhere = soft_picture(64, 48)
    assert len(underpaint.refine(near_miss, source=elsewhere, count=1, model=tiny).results) == 1


@pytest.mark.slow
def test_a_process_finds_and_refines_with_the_shipped_model(folder: Path, scene: Path) -> None:
    done = process(
        "find", scene, "oil painting", "--keep", "0.5", "-n", "4", "--seed", "3", "-o", "a.png",
        "--json", cwd=folder,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    facts = json.loads(done.stdout)
    missed = [notice["code"] for notice in facts["notices"]] == ["keep-missed"]
    assert missed or abs(facts["kept"] - 0.5) <= 0.02
    again = process("refine", "a.png", "--source", scene, "--count", "1", "-o", "b.png", cwd=folder)
    assert (again.returncode, again.stderr) == (0, b"")
