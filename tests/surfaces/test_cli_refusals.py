"""Bad input: one sentence that says what was given, what is allowed and what to do; exit code 2."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.surfaces.conftest import Run, command_line, process
from underpaint.cli import application

pytestmark = pytest.mark.usefixtures("folder")

FULL = Path("/dev/full")
LONG = "x" * 32_001

# What is typed after `render scene.png oil`, and what the sentence must hold.
PARAMETERS: list[tuple[list[str], str]] = [
    (["-s", "nan"], "strength must lie in [0, 1], got nan"),
    (["-s", "inf"], "strength must lie in [0, 1], got inf"),
    (["-s", "-inf"], "strength must lie in [0, 1], got -inf"),
    (["-s", "-0.1"], "got -0.1; 0 returns the source, 1.0 ignores it"),
    (["-s", "1.0001"], "strength must lie in [0, 1], got 1.0001"),
    (["-s", "half"], "'--strength' / '-s'"),
    (["-n", "0"], "steps must be a whole number from 1 to 1000, got 0"),
    (["-n", "1001"], "got 1001"),
    (["-n", "2.5"], "'--steps' / '-n'"),
    (["--seed", "-1"], "seed must be a whole number from 0 to 2**53 - 1, got -1"),
    (["--seed", str(2**64)], f"got {2**64}"),
    (["--seed", "abc"], "'--seed'"),
    (["--seed", str(2**53 - 1), "--count", "2"], "runs past 2**53 - 1"),
    (["--count", "0"], "count must be a whole number from 1 to 1000, got 0"),
    (["--count", "1001"], "got 1001"),
    (["-g", "-1"], "guidance_scale must lie in [0, 100]"),
    (["-g", "nan"], "guidance_scale must lie in [0, 100]"),
    (["--guidance-interval", "0.8:0.2"], "0 <= LOW < HIGH <= 1"),
    (["--guidance-interval", "0.2"], "got '0.2'"),
    (["--guidance-interval", "a:b"], "got 'a:b'"),
    (["--guidance-interval", "nan:1"], "0 <= LOW < HIGH <= 1"),
    (["--size", "0x5"], "1 to 16384 pixels"),
    (["--size", "1000000x1000000"], "1 to 16384 pixels"),
    (["--size", "large"], "640x480"),
    (["--work-size", "0x0"], "1 to 16384 pixels"),
    (["--fit", "crop"], "'cover', 'contain', 'stretch'"),
    (["--sampler", "plms"], "'dpmpp_2m'"),
    (["--spacing", "cosine"], "'karras'"),
    (["--precision", "float8"], "'bfloat16'"),
    (["--eta", "0.5"], "eta is the noise share of the sampler ddim"),
    (["--negative-prompt", LONG], "at most 32000 characters"),
    (["--negative-prompt", "a\ud800b"], "half of a surrogate pair"),
    (["-m", "nothing"], "no model is called 'nothing'"),
    (
        ["-m", "models/sdxl.safetensors"],
        "there is no file 'models/sdxl.safetensors'; check the path",
    ),
    (["-m", "flux.gguf"], "there is no file 'flux.gguf'; check the path"),
    (["-m", "weights.ckpt"], "a pickle"),
    (["--mask", "mask.png"], "inpainting"),
    (["--nope"], "No such option: --nope"),
]


@pytest.mark.parametrize(("typed", "sentence"), PARAMETERS)
def test_a_parameter_out_of_bounds_is_refused(
    run: Run, folder: Path, scene: Path, typed: list[str], sentence: str
) -> None:
    done = run("render", scene, "oil", *typed)
    assert done.code == 2
    assert done.out == ""
    assert sentence in done.err
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1
    as_json = run("plan", scene, "oil", *typed, "--json")
    assert as_json.code == 2
    assert as_json.err == ""
    assert sentence in as_json.json["error"]["message"]
    assert as_json.json["error"]["code"] in {"usage", "bad-request", "bad-model"}
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("prompt", "sentence"),
    [(LONG, "at most 32000 characters"), ("a\0b", "NUL"), ("\udc80", "half of a surrogate pair")],
)
def test_a_prompt_that_no_model_can_read_is_refused(
    run: Run, scene: Path, prompt: str, sentence: str
) -> None:
    done = run("render", scene, prompt, "--json")
    assert done.code == 2
    assert sentence in done.json["error"]["message"]


@pytest.mark.parametrize(
    "typed",
    [
        ["-s", "0"],
        ["-s", "1"],
        ["-n", "1"],
        ["-n", "1000"],
        ["--size", "7x7"],
        ["--size", "513x513"],
        ["--seed", "0"],
        ["--seed", str(2**53 - 1)],
        ["--guidance-interval", "0.2:0.8"],
        ["--sampler", "ddim", "--eta", "1"],
    ],
)
def test_the_ends_of_what_is_allowed_are_allowed(run: Run, scene: Path, typed: list[str]) -> None:
    assert run("plan", scene, "oil", *typed, "--json").code == 0


def test_a_source_that_cannot_be_read_is_refused(run: Run, folder: Path) -> None:
    (folder / "empty.png").touch()
    (folder / "page.jpg").write_text("<!doctype html><html></html>")
    for name, word in [
        ("missing.png", "no such file"),
        ("empty.png", "empty"),
        ("page.jpg", "web page"),
        (".", "folder"),
        ("https://example.org/a.png", "address"),
        (os.devnull, "pipe or a device"),
        ("bad\x1b[31mname.png", "no such file"),
    ]:
        done = run("render", name, "oil")
        assert (done.code, done.out) == (2, "")
        assert word in done.err
        assert "\x1b" not in done.err


def test_a_closed_standard_stream_is_refused_as_such(scene: Path) -> None:
    for stream, words, sentence in [
        ("<&-", ["plan", "-", "oil"], b"nothing is piped into standard input"),
        (">&-", ["render", scene, "oil", "-o", "-"], b"standard output is closed"),
    ]:
        shell = ["sh", "-c", f'exec "$@" {stream}', "sh"]
        done = subprocess.run([*shell, *command_line(*words)], stderr=subprocess.PIPE, check=False)
        assert done.returncode == 2, done.stderr
        assert sentence in done.stderr


@pytest.mark.skipif(not FULL.exists(), reason="no such device here")
@pytest.mark.parametrize(
    "words",
    [["plan", "oil"], ["plan", "oil", "--json"], ["render", "oil", "-n", "1", "-o", "-"]],
    ids=" ".join,
)
def test_a_full_disk_behind_standard_output_is_one_sentence(
    words: list[str], scene: Path, tiny: Path
) -> None:
    command, *others = words
    with FULL.open("wb") as full:
        done = subprocess.run(
            command_line(command, scene, *others, "-m", tiny), stdout=full, stderr=subprocess.PIPE, check=False
        )  # fmt: skip
    assert done.returncode == 2
    if "--json" in words:  # its place for errors is full too
        assert done.stderr == b""
    else:
        assert b"error: standard output cannot be written to: No space left" in done.stderr
        assert done.stderr.count(b"\n") == 1


def test_the_source_is_never_written_over(run: Run, folder: Path, scene: Path, tiny: Path) -> None:
    model = ("-m", tiny)
    assert run("render", scene, "oil", "-n", "1", "-o", "near.png", *model).code == 0
    files = (scene, folder / "near.png")
    before = [file.read_bytes() for file in files]
    (folder / "link.png").symlink_to(scene)
    for words in (
        ["render", scene, "oil", "-o", scene, *model],
        ["render", scene, "oil", "-o", "link.png", *model],
        ["find", scene, "oil", "--keep", "0.5", "-o", scene, *model],
        ["plan", scene, "oil", "--preview", scene, *model],
        ["replay", "near.png", "-o", scene, *model],
        ["refine", "near.png", "--count", "1", "-o", scene, *model],
        ["refine", "near.png", "--strength", "0.2", "--count", "1", "-o", "near.png", *model],
        ["compare", scene, "near.png", "--heat-map", scene],
        ["compare", scene, "near.png", "--heat-map", "near.png"],
    ):
        done = run(*words, "--overwrite")
        assert (done.code, done.err.splitlines()[-1].startswith("error")) == (2, True), words
        assert re.search("is the (source|result), which is never written over", done.err), words
    assert [file.read_bytes() for file in files] == before
    again = ("replay", "near.png", "-o", "near.png", "--overwrite", *model)
    assert run(*again).code == 0  # a result is not its own source


def test_names_do_not_steer_the_terminal(run: Run, folder: Path, scene: Path, tiny: Path) -> None:
    name = "a\x1b]0;title\x07\nb.png"
    done = run("render", scene, "oil", "-n", "1", "-m", tiny, "-o", name)
    assert done.code == 0, done.err
    assert (folder / name).is_file()
    assert done.out.count("\n") == 1
    assert "\x1b" not in done.out
    assert r"a\x1b]0;title\x07\nb.png" in done.out
    again = run("replay", name, "--source", scene, "-m", tiny)
    assert (again.code, again.out.count("\n"), "\x1b" in again.out) == (0, 1, False)


def test_a_place_that_cannot_be_written_to_is_refused_before_a_model_is_loaded(
    run: Run, folder: Path, scene: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "underpaint.engine", raising=False)
    (folder / "taken.png").write_bytes(b"mine")
    (folder / "kept-2.png").write_bytes(b"mine")
    for typed, word in [
        (["-o", "taken.png"], "exists already"),
        (["-o", "kept.png", "--count", "3"], "kept-2.png"),
        (["-o", "nowhere/a.png"], "does not exist"),
        (["-o", "nowhere/"], "does not exist"),
        (["-o", "taken.png/a.png"], "a file and not a folder"),
        (["-o", "a.gif"], "'.gif'"),
        (["-o", "a"], "no ending"),
        (["-o", "x" * 300 + ".png"], "too long"),
        (["-o", "-", "--count", "2"], "standard output takes one picture"),
        (["-o", "-", "--json"], "standard output"),
    ]:
        done = run("render", scene, "oil", "-m", tiny, *typed)
        assert done.code == 2, typed
        assert word in done.err + done.out, typed
        assert "underpaint.engine" not in sys.modules
    assert (folder / "taken.png").read_bytes() == b"mine"
    assert sorted(path.name for path in folder.iterdir()) == ["kept-2.png", "taken.png"]


def test_a_picture_without_metadata_cannot_be_inspected_or_replayed(run: Run, scene: Path) -> None:
    for command in ("inspect", "replay"):
        done = run(command, scene, "--json")
        assert (done.code, done.json["error"]["code"]) == (2, "no-recipe")


def test_words_that_are_no_command_are_refused(run: Run) -> None:
    assert run("paint").code == 2
    assert "No such command 'paint'" in run("paint").err
    assert "Missing argument 'SOURCE'" in run("render").err
    assert run("render", "--json").json["error"]["code"] == "usage"


def test_our_own_fault_is_one_sentence_and_a_traceback_only_on_demand(
    run: Run, scene: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a bug\nin two lines")

    monkeypatch.setattr("underpaint.engine.Engine.stream", fail)
    done = run("render", scene, "oil", "-m", tiny)
    assert done.code == 1
    assert done.err.count("\n") == 1
    assert "ZeroDivisionError: a bug in two lines" in done.err
    assert "report it" in done.err
    assert "UNDERPAINT_DEBUG=1" in done.err
    assert run("render", scene, "oil", "-m", tiny, "--json").json["error"]["code"] == "internal"
    monkeypatch.setenv("UNDERPAINT_DEBUG", "1")
    assert "Traceback" in run("render", scene, "oil", "-m", tiny).err


def test_too_little_memory_is_said_as_such(
    run: Run, scene: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 TB")

    monkeypatch.setattr("underpaint.engine.Engine.stream", fail)
    done = run("render", scene, "oil", "-m", tiny, "--json")
    assert (done.code, done.json["error"]["code"]) == (1, "out-of-memory")
    assert "--work-size" in done.json["error"]["message"]


def test_a_refusal_comes_before_anything_heavy_is_imported(scene: Path) -> None:
    script = (
        "import sys\nfrom underpaint.cli import application\n"
        "code = application.run(sys.argv[1:])\n"
        "assert not {'torch', 'diffusers', 'transformers'} & set(sys.modules)\nsys.exit(code)"
    )
    for typed, code in [
        (["render", str(scene), "x", "-s", "2"], 2),
        (["render", "missing.png", "x"], 2),
        (["plan", str(scene), "x"], 0),
        (["inspect", str(scene)], 2),
        (["render", "--help"], 0),
        (["models"], 0),
        (["version"], 0),
    ]:
        done = subprocess.run(
            [sys.executable, "-c", script, *typed], capture_output=True, check=False
        )
        assert done.returncode == code, (typed, done.stderr.decode())


def test_the_help_page_imports_no_numbers_at_all() -> None:
    script = (
        "import sys\nfrom underpaint.cli import application\ncode = application.run(['--help'])\n"
        "assert not {'torch', 'numpy', 'pydantic', 'PIL'} & set(sys.modules)\nsys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    for name, line in application.COMMANDS.items():
        assert name in done.stdout.decode()
        assert line in done.stdout.decode()


def test_a_real_process_speaks_the_same(folder: Path) -> None:
    done = process("render", "missing.png", b"\xff".decode("utf-8", "surrogateescape"), cwd=folder)
    assert done.returncode == 2
    assert done.stdout == b""
    assert b"half of a surrogate pair" in done.stderr
    assert b"Traceback" not in done.stderr
