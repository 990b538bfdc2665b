"""``underpaint compare``, and what a render says about how far it strayed."""

import re
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import soft_picture
from tests.surfaces.conftest import Run, process
from underpaint import Recipe, compare
from underpaint.pixels import read_metadata

pytestmark = pytest.mark.usefixtures("folder")
FIGURES = ("structure", "edges", "delta_e", "palette")


@pytest.fixture
def pair() -> tuple[str, str]:
    soft_picture(64, 48).save("a.png")
    soft_picture(64, 48, seed=3).save("b.png")
    return "a.png", "b.png"


def test_a_process_prints_the_figures_and_writes_the_map(
    pair: tuple[str, str], folder: Path
) -> None:
    done = process("compare", *pair, "--heat-map", "map.png", cwd=folder)
    assert (done.returncode, done.stderr) == (0, b"")
    lines = done.stdout.decode().splitlines()
    found = compare(*pair)
    assert [line.split()[0] for line in lines] == ["structure", "edges", "colour", "palette"]
    assert f"{found.structure:.3f} of 1" in lines[0]
    assert Image.open("map.png").mode == "RGB"


def test_json_is_the_figures_of_python(run: Run, pair: tuple[str, str]) -> None:
    said = run("compare", *pair, "--json").json
    found = compare(*pair)
    assert {name: said[name] for name in FIGURES} == {
        name: getattr(found, name) for name in FIGURES
    }
    assert (said["source"], said["result"], said["heat_map"]) == (*pair, None)


def test_what_is_noticed_of_either_picture_is_said(run: Run, pair: tuple[str, str]) -> None:
    clear = Image.open(pair[0]).convert("RGBA")
    clear.putalpha(0)
    clear.save("clear.png")
    done = run("compare", pair[1], "clear.png")
    assert "note: clear.png: " in done.err
    assert "[transparent]" in done.err
    said = run("compare", "clear.png", pair[1], "--json").json["notices"]
    assert [one["code"] for one in said] == ["transparent"]


def test_an_existing_map_is_replaced_only_on_demand(run: Run, pair: tuple[str, str]) -> None:
    assert run("compare", *pair, "--heat-map", "a.png").code == 2
    for place, what in zip(pair, ("source", "result"), strict=True):
        done = run("compare", *pair, "--heat-map", place, "--overwrite")
        assert (done.code, f"is the {what}," in done.err) == (2, True)
    assert run("compare", *pair, "--heat-map", "map.png").code == 0
    assert run("compare", *pair, "--heat-map", "map.png", "--overwrite").code == 0
    assert run("compare", *pair, "--heat-map", "map.docx").code == 2


def test_other_shapes_are_refused_in_one_sentence(run: Run, pair: tuple[str, str]) -> None:
    soft_picture(40, 48).save("c.png")
    done = run("compare", pair[0], "c.png", "--heat-map", "map.png")
    assert done.code == 2
    assert re.fullmatch(r"error: the pictures are 64x48 and 40x48, .*; crop .*\n", done.err)
    assert not Path("map.png").exists()


def test_every_render_says_how_far_it_strayed(run: Run, scene: Path, tiny: Path) -> None:
    facts = run("render", scene, "oil", "-m", tiny, "-n", "1", "-o", "a.png", "--json").json
    found = compare(scene, "a.png")
    assert facts["fidelity"] == {name: getattr(found, name) for name in FIGURES}
    recipe = run("inspect", "a.png", "--json").json["recipe"]
    assert recipe["fidelity"] == facts["fidelity"]
    assert re.search(
        rf"strayed +structure {found.structure:.3f}, edges", run("inspect", "a.png").out
    )


def test_a_result_of_another_size_is_compared_at_its_own(run: Run, scene: Path, tiny: Path) -> None:
    words = ("-m", tiny, "-s", "0", "--size", "40x40", "-o", "a.png", "--json")
    facts = run("render", scene, "oil", *words).json
    assert facts["fidelity"] == {"structure": 1, "edges": 1, "delta_e": 0, "palette": 0}


def test_a_recipe_from_before_it_was_measured_is_read(run: Run, scene: Path, tiny: Path) -> None:
    run("render", scene, "oil", "-m", tiny, "-n", "1", "-o", "a.png")
    packet, _ = read_metadata("a.png")
    assert packet is not None
    recipe = Recipe.from_xmp(packet)
    assert recipe is not None
    start = recipe.to_json().index('"fidelity":{')
    end = recipe.to_json().index("}", start) + 2
    old = recipe.to_json()[:start] + recipe.to_json()[end:]
    assert Recipe.from_json(old).fidelity is None
