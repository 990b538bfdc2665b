"""``underpaint replay``: a picture is made again from what it carries."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import soft_picture
from tests.surfaces.conftest import Outcome, Run, process
from tests.tiny_checkpoint import make_tiny_checkpoint
from underpaint import Engine, PictureError, Recipe, Request
from underpaint.origins import find_source
from underpaint.pixels import encode, read_metadata


@pytest.fixture
def made(run: Run, folder: Path, scene: Path, tiny: Path) -> Path:
    """A finished picture in an otherwise empty folder."""
    words = ("-s", "0.7", "-n", "3", "--seed", "5", "--guidance-interval", "0.1:0.9")
    assert run("render", scene, "oil", "-m", tiny, *words, "-o", "made.png", "-q").code == 0
    return folder / "made.png"


def in_a_new_process(*arguments: object, cwd: Path) -> Outcome:
    done = process(*arguments, cwd=cwd)
    return Outcome(done.returncode, done.stdout.decode(), done.stderr.decode())


def codes(outcome: Outcome) -> list[str]:
    return [notice["code"] for notice in outcome.json["notices"]]


@pytest.mark.slow
def test_a_new_process_makes_the_same_bytes_wherever_the_source_has_gone(
    made: Path, folder: Path, scene: Path, tiny: Path
) -> None:
    beside = folder / scene.name
    shutil.copy(scene, beside)
    (folder / "another.png").write_bytes(made.read_bytes())
    moved = in_a_new_process("replay", "made.png", "-m", tiny, "-o", "again.png", cwd=folder)
    assert moved.code == 0, moved.err
    assert moved.out == "made.png: every byte is the same\n"
    assert moved.err == ""
    assert (folder / "again.png").read_bytes() == made.read_bytes()

    beside.rename(folder / "under another name.png")
    renamed = in_a_new_process("replay", "made.png", "-m", tiny, "--json", cwd=folder)
    assert renamed.code == 0
    assert renamed.json["identical"]
    assert renamed.json["source"].endswith("under another name.png")
    assert codes(renamed) == []

    (folder / "under another name.png").unlink()
    altered = Image.open(scene).convert("RGB")
    altered.putpixel((3, 3), (255, 0, 255))
    altered.save(beside)
    changed = in_a_new_process("replay", "made.png", "-m", tiny, "--json", cwd=folder)
    assert changed.code == 1  # the same build, other bytes
    assert not changed.json["identical"]
    assert codes(changed) == ["other-source"]


def test_without_the_source_one_is_asked_for(
    run: Run, made: Path, folder: Path, scene: Path, tiny: Path
) -> None:
    done = run("replay", made, "-m", tiny, "--json")
    assert (done.code, done.json["error"]["code"]) == (2, "bad-picture")
    assert "--source" in done.json["error"]["message"]
    given = run("replay", made, "-m", tiny, "--source", scene, "--json")
    assert given.json["identical"]
    assert [path.name for path in folder.iterdir()] == ["made.png"]


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".avif"])
def test_every_format_is_compared_by_its_files_bytes(
    run: Run, folder: Path, scene: Path, tiny: Path, suffix: str
) -> None:
    shutil.copy(scene, folder)
    run("render", scene, "oil", "-m", tiny, "-n", "1", "-o", f"made{suffix}", "-q")
    Path(f"made{suffix}").rename("renamed.bin")
    assert run("replay", "renamed.bin", "-m", tiny, "--json").json["identical"]
    again = run("replay", "renamed.bin", "-m", tiny, "-o", "again.png", "--json")
    assert again.json["identical"]
    assert Image.open("again.png").format == "PNG"


def test_a_source_from_a_pipe_is_found_by_its_hash_alone(
    run: Run, folder: Path, scene: Path, tiny: Path
) -> None:
    piped = process("render", "-", "oil", "-m", tiny, "-n", "1", "-o", "made.png", cwd=folder,
                    input=scene.read_bytes())  # fmt: skip
    assert piped.returncode == 0, piped.stderr
    shutil.copy(scene, folder / "found.png")
    assert run("replay", "made.png", "-m", tiny, "--json").json["identical"]


@pytest.mark.usefixtures("folder")
def test_a_picture_made_from_an_array_is_replayed_from_a_file_of_the_same_pixels(
    run: Run, scene: Path, tiny: Path
) -> None:
    array = np.asarray(Image.open(scene).convert("RGB"))
    Engine(tiny).render(Request(source=array, prompt="oil", steps=1)).save("made.png")
    done = run("replay", "made.png", "--source", scene, "-m", tiny, "--json")
    assert (done.code, done.json["identical"], codes(done)) == (0, True, [])
    altered = array.copy()
    altered[3, 3] = (255, 0, 255)
    Image.fromarray(altered).save("altered.png")
    done = run("replay", "made.png", "--source", "altered.png", "-m", tiny, "--json")
    assert (done.code, done.json["identical"], codes(done)) == (1, False, ["other-source"])


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="no file that opens but not reads")
def test_what_cannot_be_opened_is_passed_over_when_the_source_is_looked_for(
    made: Path, folder: Path, scene: Path
) -> None:
    packet, _ = read_metadata(made)
    assert packet is not None
    recipe = Recipe.from_xmp(packet)
    assert recipe is not None
    (folder / "a.png").symlink_to("/proc/self/mem")  # its first bytes are an input/output error
    shutil.copy(scene, folder / "found.png")
    assert find_source(recipe, made) == folder / "found.png"
    longest = replace(recipe, source=replace(recipe.source, name="x" * 300))
    assert find_source(longest, made) == folder / "found.png"
    with pytest.raises(PictureError, match="--source"):
        find_source(recipe, folder / "missing" / "made.png")


def test_a_source_of_its_name_and_hash_is_found_above_and_here(
    run: Run, folder: Path, scene: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(scene, folder / "s.png")
    (folder / "out").mkdir()
    assert run("render", "s.png", "oil", "-m", tiny, "-n", "1", "-o", "out/made.png").code == 0
    found = run("replay", "out/made.png", "-m", tiny, "--json").json["source"]
    assert Path(found).samefile("s.png")
    (folder / "here").mkdir()
    monkeypatch.chdir(folder / "here")
    above = run("replay", "../out/made.png", "-m", tiny, "--json")
    assert Path(above.json["source"]).samefile(folder / "s.png")
    (folder / "s.png").rename("s.png")
    assert run("replay", "../out/made.png", "-m", tiny, "--json").json["identical"]
    os.mkfifo("pipe")
    for name in ("a\0b", "\ud800.png", "pipe"):  # of someone else's writing
        packet, _ = read_metadata(Path("../out/made.png"))
        recipe = Recipe.from_xmp(packet or b"")
        assert recipe is not None
        with pytest.raises(PictureError, match="--source"):
            find_source(
                replace(recipe, source=replace(recipe.source, name=name, sha256="0" * 64)),
                Path("../out/made.png"),
            )
    soft_picture(20, 20).save("s.png")  # of its name alone
    assert run("replay", "../out/made.png", "-m", tiny).code == 2


def test_a_result_of_its_sources_name_is_not_taken_for_its_source(
    run: Run, folder: Path, scene: Path, tiny: Path
) -> None:
    shutil.copy(scene, folder / "made.png")
    (folder / "out").mkdir()
    words = ("-m", tiny, "-n", "1", "-o", "out/made.png")
    assert run("render", "made.png", "oil", *words).code == 0
    (folder / "made.png").rename(folder / "elsewhere.png")
    for command in ("replay", "refine"):
        done = run(command, "out/made.png", "-m", tiny)
        assert (done.code, "--source" in done.err) == (2, True), command
    done = run("replay", "out/made.png", "--source", "elsewhere.png", "-m", tiny)
    assert done.out == "out/made.png: every byte is the same\n"


@pytest.mark.usefixtures("folder")
def test_what_an_engine_was_told_of_its_model_is_written_down(
    run: Run, scene: Path, tiny: Path
) -> None:
    engine = Engine(tiny, prediction="v", distilled="lcm")
    made = engine.render(Request(source=scene, prompt="oil", steps=1))
    assert (made.recipe.request.prediction, made.recipe.request.distilled) == ("v", "lcm")
    made.save("made.png")
    done = run("replay", "made.png", "--source", scene, "-m", tiny)
    assert done.out == "made.png: every byte is the same\n"


@pytest.mark.usefixtures("folder")
def test_bytes_that_a_shared_call_may_have_changed_are_no_failure(
    run: Run, scene: Path, tiny: Path
) -> None:
    made = Engine(tiny, rows_per_call=4).render(Request(source=scene, prompt="oil", steps=1))
    made.save("made.png")
    assert run("replay", "made.png", "--source", scene, "-m", tiny, "--json").json["identical"]
    altered = made.image.copy()
    altered.putpixel((3, 3), (255, 0, 255))
    replace(made, image=altered).save("altered.png")
    done = run("replay", "altered.png", "--source", scene, "-m", tiny, "--json")
    assert (done.code, done.json["identical"], codes(done)) == (0, False, ["shared-calls"])


@pytest.mark.usefixtures("folder")
def test_another_refiner_is_said_and_the_refiner_is_shown(
    run: Run, scene: Path, tiny: Path, tmp_path: Path
) -> None:
    second = make_tiny_checkpoint(tmp_path / "second", seed=1)
    words = ("--refiner", second, "--refiner-start", "0.4", "-n", "3", "-o", "made.png", "-q")
    assert run("render", scene, "oil", "-m", tiny, *words).code == 0
    assert "second below t = 0.4" in run("inspect", "made.png").out
    again = ("replay", "made.png", "--source", scene, "-m", tiny, "--json", "--refiner")
    assert run(*again, second).json["identical"]
    done = run(*again, tiny)
    assert (done.code, codes(done)) == (1, ["other-model"])


def test_a_model_of_the_users_own_must_be_named(run: Run, made: Path, scene: Path) -> None:
    done = run("replay", made, "--source", scene)
    assert done.code == 2
    assert "'tiny'" in done.err
    assert "--model" in done.err


def test_another_model_is_said_and_its_bytes_differ(
    run: Run, made: Path, scene: Path, tmp_path: Path
) -> None:
    other = make_tiny_checkpoint(tmp_path / "tiny", seed=1)
    done = run("replay", made, "--source", scene, "-m", other, "--json")
    assert codes(done) == ["other-model"]
    assert (done.code, done.json["identical"]) == (1, False)


def test_a_model_whose_folder_was_renamed_is_the_same_model(
    run: Run, made: Path, scene: Path, tiny: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny, tmp_path / "renamed")
    done = run("replay", made, "--source", scene, "-m", tmp_path / "renamed", "--json")
    assert (done.code, done.json["identical"], codes(done)) == (0, True, [])


@pytest.mark.usefixtures("folder")
def test_a_folder_with_a_shipped_name_is_not_replaced_by_the_shipped_model(
    run: Run, scene: Path
) -> None:
    make_tiny_checkpoint(Path("gesso"))
    assert run("render", scene, "oil", "-m", "./gesso", "-n", "1", "-o", "made.png").code == 0
    done = run("replay", "made.png", "--source", scene, "-m", "./gesso", "--json")
    assert (done.code, done.json["identical"], codes(done)) == (0, True, [])


def test_another_build_is_said_and_is_no_failure(
    run: Run, made: Path, scene: Path, tiny: Path
) -> None:
    packet, infotext = read_metadata(made)
    assert packet is not None
    recipe = Recipe.from_xmp(packet)
    assert recipe is not None
    foreign = packet.replace(f'"torch":"{recipe.build.torch}"'.encode(), b'"torch":"1.0"', 1)
    made.write_bytes(encode(Image.open(made), ".png", xmp=foreign, infotext=infotext))
    done = run("replay", made, "--source", scene, "-m", tiny, "--json")
    assert (done.code, done.json["same_build"], codes(done)) == (0, False, ["other-build"])
    assert "torch 1.0 then and" in done.json["notices"][0]["message"]


def test_an_existing_place_is_refused_before_the_work(
    run: Run, made: Path, scene: Path, tiny: Path
) -> None:
    done = run("replay", made, "--source", scene, "-m", tiny, "-o", made)
    assert done.code == 2
    assert "exists already" in done.err


def test_a_source_name_in_a_recipe_leads_nowhere_else(
    run: Run, made: Path, folder: Path, scene: Path, tiny: Path
) -> None:
    (folder / "inner").mkdir()
    shutil.copy(scene, folder / "secret.png")
    packet, _ = read_metadata(made)
    assert packet is not None
    foreign = packet.replace(b'"name":"scene.png"', b'"name":"../secret.png"')
    inner = folder / "inner" / "made.png"
    inner.write_bytes(encode(Image.open(made), ".png", xmp=foreign))
    assert run("replay", inner, "-m", tiny, "--json").json["error"]["code"] == "bad-picture"


@pytest.mark.usefixtures("folder")
def test_what_one_run_noticed_and_another_does_not_changes_no_byte(run: Run, tiny: Path) -> None:
    deep = np.linspace(0, 65535, 64 * 48).astype(np.uint16).reshape(48, 64)
    Image.fromarray(deep).save("deep.png")
    frames = [Image.new("RGB", (64, 48), colour) for colour in ("red", "blue")]
    frames[0].save("two.gif", save_all=True, append_images=frames[1:])
    engine = Engine(tiny)
    for name in ("deep.png", "two.gif"):
        with Image.open(name) as image:
            asked = Request(source=image, prompt="oil", steps=1, seed=2)
            engine.render(asked).save("out.png", overwrite=True)
        done = run("replay", "out.png", "--source", name, "-m", tiny)
        assert (done.code, "every byte is the same" in done.out) == (0, True), (name, done)


@pytest.mark.usefixtures("folder")
def test_a_replay_into_a_jpeg_says_what_it_leaves_out(run: Run, tiny: Path) -> None:
    source = Image.new("RGBA", (64, 48), (200, 100, 50, 128))
    source.save("clear.png")
    words = ("render", "clear.png", "oil", "-m", tiny, "-n", "1", "-o", "out.png", "-q")
    assert run(*words).code == 0
    done = run("replay", "out.png", "-m", tiny, "-o", "again.jpg", "--json")
    assert codes(done) == ["flattened"]
