"""Benchmarks run as they are called, on tiny networks; how long anything takes is never asserted."""

import importlib.util
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.compare_sd15 import options_of
from benchmarks.random_sd15 import evaluation_flops, kept_checkpoint
from benchmarks.sd15_painter import Opening
from benchmarks.sd15_race import MEMORY_SHARE, Race, psnr_db, staying
from benchmarks.sd15_ways import WAYS, Way, why_not_here
from tests.conftest import soft_picture

ROOT = Path(__file__).parent.parent
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kept")
    kept_checkpoint(folder, "tiny")
    return folder


def compare_sd15(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.compare_sd15", "--size", "tiny", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_every_way_is_in_the_table_with_as_many_evaluations_or_the_reason_why_not(
    kept: Path, tmp_path: Path
) -> None:
    plain = [way for way in WAYS if not way.compiled and way.library != "openvino"]
    openvino = [way for way in WAYS if way.library == "openvino"]
    absent = [] if importlib.util.find_spec("openvino") else openvino
    asked = [*plain, *absent]
    file = tmp_path / "figures.json"
    done = compare_sd15(
        "--evaluations", "3", "--runs", "1", "--ways", ",".join(way.name for way in asked),
        "--checkpoint", str(kept), "--json", str(file),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    figures: dict[str, Any] = json.loads(file.read_text())
    here = [way.name for way in asked if why_not_here(way, CPU) is None]
    assert list(figures["ways"]) == here
    assert {"underpaint", "diffusers"} <= set(here)
    assert figures["spread"][0] > 10  # its pictures are no grey cards
    table = {line.split()[0]: line for line in done.stdout.splitlines()}
    for way in asked:
        if (why := why_not_here(way, CPU)) is not None:
            assert table[way.name].endswith(f"not here: {why}")
            assert figures["not_run"][way.name] == f"not here: {why}"
    for name in here:
        assert name in table
        way = figures["ways"][name]
        assert way["evaluations"] == [3]
        assert way["gemm_flops"][0] > 0
        # a picture holds more than its evaluations, and a process that holds torch more than 100 MB
        assert 0 < 3 * way["evaluation_s"][0] < way["picture_s"][0]
        assert way["peak_bytes"] > 1e8
        if way["numbers"] == "float32":
            (alike,) = way["psnr_db"]
            assert alike is None or alike > 40  # all compute the same picture


@pytest.mark.slow
def test_a_process_that_does_not_stay_is_started_anew_and_warmed_before_it_is_measured(
    kept: Path, tmp_path: Path
) -> None:
    setting = Opening("", "", False, False, str(kept / "random-sd15-tiny"), "cpu", 64)
    race = Race(setting, [WAYS[0]], 64, tmp_path)
    race.staying = frozenset()
    try:
        race.cold(6)
        race.round(1)
    finally:
        race.stop()
    assert race.failures == {}
    assert [sum(one.rows) for one in race.records["underpaint"].rounds] == [12]  # pairs of six
    painted = sorted(path.name for path in (tmp_path / "underpaint").glob("*.png"))
    assert painted == ["0-3.png", "0-6.png", "1-6.png"]  # round and evaluations: 0-3 only warmed


@pytest.mark.slow
def test_a_way_that_breaks_down_is_told_with_its_reason(tmp_path: Path) -> None:
    broken = kept_checkpoint(tmp_path, "tiny")
    (broken / "text_encoder" / "model.safetensors").write_bytes(b"no weights")
    done = compare_sd15(
        "--evaluations", "3", "--runs", "1", "--ways", "underpaint", "--checkpoint", str(tmp_path)
    )
    assert done.returncode == 1
    assert "failed: ModelError: " in done.stdout
    assert "failed: underpaint; the table tells why" in done.stderr


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--ways", "underpaint,comfy"), "'comfy' is no way; the ways are underpaint, "),
        (("--evaluations", "7"), "'7' is no count for which diffusers starts at strength 0.6 exactly"),
        (("--side", "100"), "--side must be a multiple of 64, got 100"),
        (("--runs", "0"), "--runs must be at least 1, got 0"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_refused_in_a_sentence(
    options: tuple[str, ...], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        options_of(options)
    assert sentence in capsys.readouterr().err


def test_a_kept_checkpoint_is_not_made_again(kept: Path) -> None:
    weights = kept_checkpoint(kept, "tiny") / "unet" / "diffusion_pytorch_model.safetensors"
    before = weights.stat()
    kept_checkpoint(kept, "tiny")
    assert weights.stat() == before
    assert [path.name for path in kept.iterdir()] == ["random-sd15-tiny"]


def test_an_evaluation_costs_four_times_as_much_at_twice_the_side_and_its_attention_more(
    kept: Path,
) -> None:
    small, large = (evaluation_flops(kept_checkpoint(kept, "tiny"), side) for side in (64, 128))
    assert 4 * small < large < 16 * small


FLOAT32 = Way("float32", "", "diffusers", "float32")
COMPILED = Way("compiled", "", "diffusers", compiled=True)
OTHER = Way("other", "", "underpaint", "float32")
NEEDS = {"float32": 4, "compiled": 8, "other": 4}


@pytest.mark.parametrize(
    ("room", "names"),
    [
        (16, {"float32", "compiled", "other"}),
        (15, {"compiled"}),  # one of the others at a time fits beside it
        (12, {"compiled"}),
        (11, set[str]()),
        (None, set[str]()),
    ],
)
def test_processes_stay_where_the_largest_of_the_others_fits_beside_them(
    room: int | None, names: set[str]
) -> None:
    free = None if room is None else math.ceil(room / MEMORY_SHARE)
    assert staying([FLOAT32, COMPILED, OTHER], NEEDS, free) == names


def test_psnr_is_infinite_for_equal_pictures_and_falls_with_the_error(tmp_path: Path) -> None:
    one, other = tmp_path / "one.png", tmp_path / "other.png"
    soft_picture(16, 16).save(one)
    soft_picture(16, 16).point(lambda value: min(value + 1, 255)).save(other)
    assert psnr_db(one, one) == math.inf
    # an error of one level in 255 everywhere is 20 log10(255) = 48.1 dB; clipped values have none
    assert psnr_db(one, other) == pytest.approx(48.1, abs=0.2)
