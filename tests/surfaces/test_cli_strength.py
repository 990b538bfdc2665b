"""What of a source survives, strengths on the calibrated scale, and steps copied from other tools."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tests.conftest import soft_picture
from tests.surfaces.conftest import Run, process
from underpaint import Engine, Request, RequestError, render
from underpaint.geometry import Size
from underpaint.models import catalog
from underpaint.planning import resolve
from underpaint.survival import calibrated_strength

pytestmark = pytest.mark.usefixtures("folder")
CALIBRATED = ("--strength-scale", "calibrated")


def codes(facts: dict[str, list[dict[str, str]]]) -> list[str]:
    return [notice["code"] for notice in facts["notices"]]


# --- what survives --------------------------------------------------------------------------------


def test_a_process_shows_which_shapes_survive_and_writes_the_preview(
    folder: Path, scene: Path, tiny: Path
) -> None:
    words = ("plan", scene, "-m", tiny, "-s", "0.5", "--survival", "--preview", "seen.png")
    done = process(*words, cwd=folder)
    assert (done.returncode, done.stderr) == (0, b"")
    said = done.stdout.decode()
    assert "shapes of" in said
    assert "calibrated strength 0." in said
    assert Image.open("seen.png").size == (64, 48)
    assert process(*words, cwd=folder).returncode == 2  # the preview is there already
    assert process(*words, "--overwrite", cwd=folder).returncode == 0


def test_white_paper_stays_as_light_along_its_rim_as_inside(run: Run) -> None:
    """With the shipped model: an encoder that pads with zeros would mark the rim, and the mark fade."""
    paper = Image.new("RGB", (192, 160), "white")
    ImageDraw.Draw(paper).ellipse((70, 55, 122, 105), outline="black", width=3)
    paper.save("paper.png")
    for strength in ("0.75", "0.9"):
        run("plan", "paper.png", "-s", strength, "--preview", "seen.png", "--overwrite")
        seen = np.asarray(Image.open("seen.png").convert("L"), dtype=float)
        rim = np.ones(seen.shape, dtype=bool)
        rim[8:-8, 8:-8] = False
        within = np.zeros(seen.shape, dtype=bool)
        within[24:40, 24:-24] = within[-40:-24, 24:-24] = True
        # halos of the drawing reach either, by a few of 255; a marked rim was 30 and more darker
        assert abs(np.median(seen[rim]) - np.median(seen[within])) < 6


def test_programs_are_told_each_octave(run: Run, scene: Path, tiny: Path) -> None:
    seen = run("plan", scene, "-m", tiny, "-s", "0.5", "--survival", "--json").json["survival"]
    shapes = [octave["shape_px"] for octave in seen["octaves"]]
    assert shapes == sorted(shapes, reverse=True)
    assert all(0 < octave["share"] < 1 for octave in seen["octaves"])
    assert seen["mean"] + seen["calibrated_strength"] == pytest.approx(1)
    assert "survival" not in run("plan", scene, "-m", tiny, "--json").json


def test_at_the_ends_all_and_nothing_survives(run: Run, scene: Path, tiny: Path) -> None:
    for strength, mean, smallest in (("0", 1, 0), ("1", 0, None)):
        words = ("plan", scene, "-m", tiny, "-s", strength, "--survival")
        seen = run(*words, "--json").json["survival"]
        assert (seen["mean"], seen["smallest_px"]) == (mean, smallest)
    assert "no shape survives by half" in run(*words).out


def test_the_prompt_may_be_left_out_of_a_plan_alone(run: Run, scene: Path, tiny: Path) -> None:
    assert run("plan", scene, "-m", tiny).code == 0
    assert run("render", scene, "-m", tiny).code == 2


def test_a_plain_plan_loads_no_torch(scene: Path, tiny: Path) -> None:
    script = (
        "import sys\nfrom underpaint.cli import application\n"
        f"application.run(['plan', {str(scene)!r}, 'oil', '-m', {str(tiny)!r}])\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "False"


# --- the calibrated scale -------------------------------------------------------------------------


def test_the_start_has_the_calibrated_strength_that_was_asked_for(
    run: Run, scene: Path, tiny: Path
) -> None:
    words = (scene, "oil", "-m", tiny, "-s", "0.4", *CALIBRATED, "--seed", "3")
    planned = run("plan", *words, "--survival", "--json").json
    assert planned["survival"]["calibrated_strength"] == pytest.approx(0.4, abs=1e-6)
    done = run("render", *words, "-o", "a.png", "--json").json
    for name in ("start", "steps", "strength", "strength_scale", "notices"):
        assert done[name] == planned[name], name
    assert (done["strength"], done["strength_scale"]) == (0.4, "calibrated")


def test_a_calibrated_picture_is_replayed_and_its_recipe_names_the_scale(
    run: Run, scene: Path, tiny: Path
) -> None:
    run("render", scene, "oil", "-m", tiny, "-s", "0.3", "-n", "2", *CALIBRATED, "-o", "a.png")
    done = run("replay", "a.png", "-m", tiny, "--source", scene, "--json")
    assert (done.code, done.json["identical"]) == (0, True)
    facts = run("inspect", "a.png", "--json").json
    assert facts["recipe"]["request"]["strength_scale"] == "calibrated"
    assert facts["settings"]["Strength scale"] == "calibrated"
    assert "0.3 (calibrated): starts at" in run("inspect", "a.png").out


def test_the_ends_are_those_of_the_schedule_bytes_and_all(scene: Path, tiny: Path) -> None:
    for strength in (0.0, 1.0):
        one, other = (
            render(
                scene, "oil", model=tiny, strength=strength, strength_scale=scale, steps=2, seed=1
            )
            for scale in ("schedule", "calibrated")
        )
        assert one.image.tobytes() == other.image.tobytes()
        assert one.recipe.plan == other.recipe.plan


def test_steps_left_out_follow_the_start_and_not_the_number(scene: Path, tiny: Path) -> None:
    engine = Engine(tiny)
    request = Request(source=scene, prompt="", strength=0.2, strength_scale="calibrated", seed=1)
    plan = engine.render(request).recipe.plan
    start_t = engine.checkpoint.schedule.t(plan.start)
    assert plan.evaluations == max(4, round(20 * start_t))
    found = engine.spectrum(request)
    assert calibrated_strength(found, plan.start) == pytest.approx(0.2, abs=1e-6)


def test_one_flat_colour_is_said_to_have_no_structure(run: Run, tiny: Path) -> None:
    Image.new("RGB", (64, 64), (200, 40, 90)).save("flat.png")
    words = ("flat.png", "oil", "-m", tiny, "-s", "0.4")
    facts = run("plan", *words, *CALIBRATED, "--json").json
    assert codes(facts) == ["no-structure"]
    assert facts["start"] == run("plan", *words, "--json").json["start"]
    shown = run("plan", *words, "--survival")
    assert "the source is one flat colour" in shown.out
    done = run("render", *words, *CALIBRATED, "-n", "1", "-o", "a.png", "--json").json
    assert codes(done) == ["no-structure"]


def test_noise_of_one_step_of_255_is_a_flat_colour_and_a_line_is_none(tiny: Path) -> None:
    engine = Engine(tiny)
    speckled = Image.effect_noise((64, 64), 0.3).convert("RGB")
    assert engine.spectrum(Request(source=speckled, prompt="")).is_flat
    line = Image.new("RGB", (64, 64), "white")
    line.paste((0, 0, 0), (10, 10, 50, 12))
    assert not engine.spectrum(Request(source=line, prompt="")).is_flat


def test_shapes_are_told_in_pixels_of_the_picture_and_not_of_the_working_size(tiny: Path) -> None:
    engine = Engine(tiny)  # works at 64 × 64 and below
    large, small = soft_picture(256, 256), soft_picture(64, 64)
    of_large, of_small = (engine.spectrum(Request(source=one, prompt="")) for one in (large, small))
    assert of_large.octaves[0].shape_px == pytest.approx(4 * of_small.octaves[0].shape_px)


def test_a_plan_without_the_spectrum_is_refused_in_one_sentence(scene: Path, tiny: Path) -> None:
    asked = Request(source=scene, prompt="", strength=0.5, strength_scale="calibrated")
    with pytest.raises(RequestError, match=r"measured on the source.*Engine\.spectrum"):
        resolve(asked, catalog.find(tiny), Size(8, 8))


# --- steps of other tools -------------------------------------------------------------------------


def test_the_steps_of_another_tool_are_run_recorded_and_replayed(
    run: Run, scene: Path, tiny: Path
) -> None:
    words = (scene, "oil", "-m", tiny, "-s", "0.58", "-n", "10", "--steps-like", "a1111")
    planned = run("plan", *words, "--json").json
    done = run("render", *words, "-o", "a.png", "--json").json
    assert planned["evaluations"] == done["evaluations"] == 6
    assert codes(planned) == codes(done) == ["steps-copied"]
    recipe = run("inspect", "a.png", "--json").json["recipe"]
    assert (recipe["request"]["steps"], recipe["request"]["steps_like"]) == (10, "a1111")
    assert run("replay", "a.png", "-m", tiny, "--source", scene, "--json").json["identical"]


def test_steps_like_needs_steps(run: Run, scene: Path, tiny: Path) -> None:
    done = run("plan", scene, "oil", "-m", tiny, "--steps-like", "diffusers")
    assert done.code == 2
    assert "give steps as well" in done.err
    nothing = run(
        "plan", scene, "oil", "-m", tiny, "-s", "0.2", "-n", "4", "--steps-like", "diffusers"
    )
    assert nothing.code == 2
    assert "makes no evaluation at all" in nothing.err
    assert run("plan", scene, "x", "-m", tiny, "-n", "4", "--steps-like", "forge").code == 2


def test_at_strength_zero_nothing_runs_whatever_another_tool_would(
    run: Run, scene: Path, tiny: Path
) -> None:
    words = ("-s", "0", "-n", "4", "--steps-like", "a1111")
    facts = run("plan", scene, "oil", "-m", tiny, *words, "--json").json
    assert (facts["evaluations"], facts["notices"]) == (0, [])
    assert math.isclose(facts["start"]["sigma"], 0)
