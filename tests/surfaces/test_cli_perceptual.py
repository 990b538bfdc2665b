"""``underpaint compare --lpips --dists``: real processes, torchmetrics itself, a stand-in for torchvision."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import ImageOps

from tests.conftest import soft_picture
from tests.stand_in_torchvision import write_stand_in
from tests.surfaces.conftest import Run

pytestmark = pytest.mark.usefixtures("folder")

# Zhang et al. 2018, equation 1, written out on the same network and torchmetrics' own linear layers.
LPIPS = """
import sys, numpy as np, torch, torchmetrics, torchvision
from pathlib import Path
from PIL import Image
from torch.nn import functional as F
layers = torchvision.models.alexnet().features
folder = Path(torchmetrics.__file__).parent / "functional/image/lpips_models"
heads = torch.load(folder / "alex.pth", map_location="cpu")
shift = torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1)
scale = torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1)
def features(name):
    x = torch.from_numpy(np.array(Image.open(name))).permute(2, 0, 1)[None] / 127.5 - 1
    x, made = (x - shift) / scale, []
    for number, layer in enumerate(layers):
        x = layer(x)
        if number in (1, 4, 7, 9, 11):
            made.append(F.normalize(x))
    return made
with torch.no_grad():
    pairs = zip(features(sys.argv[1]), features(sys.argv[2]))
    print(sum(F.conv2d((a - b) ** 2, heads[f"lin{i}.model.1.weight"]).mean() for i, (a, b) in enumerate(pairs)).item())
"""


@pytest.fixture
def pair() -> tuple[str, str]:
    picture = soft_picture(96, 80)
    picture.save("a.png")
    ImageOps.invert(picture).save("b.png")
    return "a.png", "b.png"


def with_stand_in(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(place)}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False, env=environment
    )


def compared(place: Path, *names: str) -> Any:
    words = ("compare", *names, "--lpips", "--dists", "--json")
    done = with_stand_in(place, "-m", "underpaint", *words)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return json.loads(done.stdout)


def test_lpips_is_that_of_its_equation(pair: tuple[str, str], tmp_path: Path) -> None:
    place = write_stand_in(tmp_path / "site")
    written_out = with_stand_in(place, "-c", LPIPS, *pair)
    assert written_out.returncode == 0, written_out.stderr
    found = compared(place, *pair)["lpips"]
    assert found == pytest.approx(float(written_out.stdout), abs=6e-5)
    assert found > 0.005


def test_equal_pictures_are_nothing_apart(pair: tuple[str, str], tmp_path: Path) -> None:
    place = write_stand_in(tmp_path / "site")
    same, other = compared(place, pair[0], pair[0]), compared(place, *pair)
    assert (same["lpips"], same["dists"], same["structure"]) == (0, 0, 1)
    assert 0 < other["dists"] < 1
    done = with_stand_in(place, "-m", "underpaint", "compare", *pair, "--dists")
    assert f"{other['dists']:.3f} apart in structure and texture" in done.stdout
    assert "lpips" not in done.stdout


def test_small_pictures_are_refused(tmp_path: Path) -> None:
    place = write_stand_in(tmp_path / "site")
    soft_picture(40, 40).save("small.png")
    done = with_stand_in(place, "-m", "underpaint", "compare", "small.png", "small.png", "--lpips")
    assert (done.returncode, "sides of 64 or more" in done.stderr) == (2, True)


def test_weights_that_do_not_come_are_one_sentence(pair: tuple[str, str], tmp_path: Path) -> None:
    place = write_stand_in(tmp_path / "site", fails=True)
    for flag in ("--lpips", "--dists"):
        done = with_stand_in(place, "-m", "underpaint", "compare", *pair, flag)
        assert done.returncode == 2
        assert "no route to host" in done.stderr
        assert "checkpoints" in done.stderr
        assert done.stderr.count("\n") == 1


def test_packages_that_are_not_here_are_named(
    run: Run, pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("underpaint.fidelity.perceptual.PACKAGES", ("no_such_package",))
    done = run("compare", *pair, "--lpips")
    assert (done.code, "underpaint[perceptual]" in done.err) == (2, True)
    assert done.out == ""


def test_a_torchvision_of_another_torch_is_one_sentence(
    pair: tuple[str, str], tmp_path: Path
) -> None:
    place = write_stand_in(tmp_path / "site")
    broken = "raise RuntimeError('operator torchvision::nms does not exist')"
    (place / "torchvision" / "__init__.py").write_text(broken)
    done = with_stand_in(place, "-m", "underpaint", "compare", *pair, "--lpips")
    assert (done.returncode, "does not fit the torch" in done.stderr) == (2, True)
