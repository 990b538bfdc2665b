"""Checkpoints as their JSON tells: found however they are spelt, refused in one sentence."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.tiny_families import (
    make_tiny_chroma,
    make_tiny_qwen_image,
    make_tiny_xl,
    make_tiny_z_image,
)
from underpaint import Request
from underpaint.errors import ModelError
from underpaint.geometry import Size
from underpaint.models import catalog
from underpaint.planning import resolve
from underpaint.survival import Recovery


@pytest.fixture
def copy(tiny: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "copy"
    shutil.copytree(tiny, folder)
    return folder


def rewrite(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_folder_is_the_same_model_however_it_is_spelt(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = catalog.find(str(copy))
    monkeypatch.chdir(copy.parent)
    monkeypatch.setenv("HOME", str(copy.parent))
    for spelling in ("copy", "copy/", "./copy", "~/copy", f"{copy}/"):
        assert found.is_at(spelling)
        assert catalog.find(spelling).sha256 == found.sha256
    assert not found.is_at("gesso")
    assert not found.is_at(None)


def test_a_folder_that_is_called_like_a_shipped_model_is_itself(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = copy.rename(copy.with_name("gesso"))
    assert catalog.find(str(mine)).folder == mine
    assert not catalog.find(None).is_at(str(mine))
    monkeypatch.chdir(mine.parent)
    assert catalog.find(Path("gesso")).folder.resolve() == mine


@pytest.mark.parametrize(
    "changes",
    [
        {"num_train_timesteps": "abc"},
        {"num_train_timesteps": 0},
        {"num_train_timesteps": 10**9},
        {"beta_start": None},
        {"beta_start": -1.0},
        {"prediction_type": ["a"]},
        {"prediction_type": "dreams"},
        {"trained_betas": [0.5, 2.0]},
        {"trained_betas": "abc"},
        {"_class_name": "EDMEulerScheduler"},
        {
            "_class_name": "FlowMatchEulerDiscreteScheduler",
            "use_dynamic_shifting": True,
            "base_image_seq_len": 256,
            "max_image_seq_len": 256,
        },
    ],
    ids=str,
)
def test_a_damaged_scheduler_is_refused(copy: Path, changes: dict[str, Any]) -> None:
    rewrite(copy / "scheduler" / "scheduler_config.json", **changes)
    with pytest.raises(ModelError):
        catalog.find(str(copy))


@pytest.mark.parametrize("place", ["unet/config.json", "vae/config.json"])
def test_a_network_without_its_channels_is_refused(copy: Path, place: str) -> None:
    (copy / place).write_text("{}")
    with pytest.raises(ModelError, match="damaged"):
        catalog.find(str(copy))


@pytest.mark.parametrize(
    "name", ["~nobody-at-all/x", "x" * 300, "a" * 5000, "missing/", "./sd15", "../sd15", "é/x"]
)
def test_a_name_that_leads_nowhere_is_refused(name: str) -> None:
    with pytest.raises(ModelError):
        catalog.find(name)


def test_only_listed_classes_are_loaded(copy: Path) -> None:
    rewrite(copy / "model_index.json", unet=["os", "system"])
    with pytest.raises(ModelError, match="'os', 'system'"):
        catalog.find(str(copy))


def test_the_hash_covers_what_decides_pixels_and_nothing_else(copy: Path) -> None:
    before = catalog.find(str(copy)).sha256
    (copy / "README.md").write_text("hello")
    (copy / "safety_checker").mkdir()
    (copy / "safety_checker" / "model.safetensors").write_bytes(b"x")
    for junk in (
        ".DS_Store", "flax_model.msgpack", "pytorch_model.bin", "model.fp16.safetensors",
        "model.onnx", "model.onnx_data", "openvino_model.xml", "openvino_model.bin", "README.md",
    ):  # fmt: skip
        (copy / "unet" / junk).write_bytes(b"x")
    assert catalog.find(str(copy)).sha256 == before
    rewrite(copy / "scheduler" / "scheduler_config.json", note="other")
    assert catalog.find(str(copy)).sha256 != before


def test_an_autoencoder_that_names_no_scale_has_that_of_stable_diffusion(copy: Path) -> None:
    config = copy / "vae" / "config.json"
    said = json.loads(config.read_text())
    del said["scaling_factor"]
    config.write_text(json.dumps(said))
    assert catalog.find(copy).latents[1] == 0.18215  # what diffusers' class takes


@pytest.mark.parametrize("chunks", [0, False, "", 1.5])
def test_how_many_chunks_a_model_follows_is_a_whole_number(copy: Path, chunks: object) -> None:
    (copy / "underpaint.json").write_text(json.dumps({"longest_chunks": chunks}))
    with pytest.raises(ModelError, match="longest_chunks"):
        catalog.find(str(copy))


def test_a_model_may_say_how_many_steps_suit_it(copy: Path) -> None:
    (copy / "underpaint.json").write_text(json.dumps({"steps_over_all": 8}))
    assert catalog.find(str(copy)).defaults.steps_over_all == 8
    (copy / "underpaint.json").write_text(json.dumps({"steps_over_all": 0}))
    with pytest.raises(ModelError, match="steps_over_all"):
        catalog.find(str(copy))


@pytest.mark.parametrize(
    "recovery", [{}, {"beta": 8}, {"beta": 0, "p": 0.7}, {"beta": 8, "p": "x"}, [8, 0.7]], ids=str
)
def test_a_damaged_recovery_is_refused(copy: Path, recovery: object) -> None:
    rewrite(copy / "underpaint.json", recovery=recovery)
    with pytest.raises(ModelError, match="beta and p, both above 0"):
        catalog.find(str(copy))


def test_the_recovery_is_the_models_own_or_the_common_one(copy: Path) -> None:
    assert catalog.find(str(copy)).defaults.recovery == Recovery(8, 0.7)
    rewrite(copy / "underpaint.json", recovery={"beta": 3, "p": 1})
    assert catalog.find(str(copy)).defaults.recovery == Recovery(3, 1)


@pytest.mark.parametrize(
    ("picture", "asked", "codes"),
    [
        (Size(1024, 1024), {}, []),
        (Size(640, 640), {}, []),
        (Size(512, 512), {}, ["smaller-than-trained"]),
        (Size(4000, 4000), {}, ["work-size"]),
        (Size(4000, 4000), {"work_size": "native"}, ["larger-than-trained"]),
        (Size(512, 512), {"size": "1024x1024"}, []),
        (Size(512, 512), {"work_size": "1024x1024"}, ["work-size"]),
    ],
)
def test_sizes_that_a_model_never_saw_are_told(
    tmp_path: Path, picture: Size, asked: dict[str, str], codes: list[str]
) -> None:
    found = catalog.find(full_size(make_tiny_xl(tmp_path / "xl")))
    assert found.defaults.comfortable_area == 1024 * 1024
    request = Request(source=None, prompt="oil", **asked)
    notices = resolve(request, found, picture).plan.notices
    assert [one.code for one in notices] == codes


SIZE_CODES = {"work-size", "larger-than-trained", "smaller-than-trained"}


def codes_at(model: Path, side: int, **asked: Any) -> list[str]:
    """What a plan of a square, rendered as it is, has to say of its size."""
    request = Request(source=None, prompt="oil painting", **({"work_size": "native"} | asked))
    notices = resolve(request, catalog.find(model), Size(side, side)).plan.notices
    return [one.code for one in notices if one.code in SIZE_CODES]


@pytest.mark.parametrize(
    ("kind", "least", "most"),
    [
        ("sd-1", 288, 808),
        ("sd-2", 424, 1208),
        ("sdxl", 568, 1616),
        ("sdxl-refiner", 568, 1616),
        ("sd-3-medium", 504, 1440),
        ("sd-3.5-medium", 504, 1440),
        ("sd-3.5-large", 504, 1440),
        ("flux-dev", 320, 1448),
        ("flux-schnell", 320, 1448),
    ],
)
def test_each_kind_of_model_has_a_range_of_sizes_that_it_was_made_for(
    kind: str, least: int, most: int
) -> None:
    folder = catalog.CONFIGS / kind
    assert codes_at(folder, least - 8) == ["smaller-than-trained"]
    assert codes_at(folder, least) == codes_at(folder, most) == []
    assert codes_at(folder, most + 8) == ["larger-than-trained"]


@pytest.mark.parametrize(
    ("make", "least", "most"),
    [
        (make_tiny_chroma, 512, 1448),
        (make_tiny_z_image, 512, 2048),
        (make_tiny_qwen_image, 640, 2048),
    ],
)
def test_so_have_models_that_come_as_folders_alone(
    tmp_path: Path, make: Callable[[Path], Path], least: int, most: int
) -> None:
    folder = make(tmp_path / "model")
    (folder / "underpaint.json").unlink()
    config = folder / "transformer" / "config.json"
    if "axes_lens" in json.loads(config.read_text()):  # the tiny one knows few places
        rewrite(config, axes_lens=[1536, 512, 512])
    assert codes_at(folder, least - 8) == ["smaller-than-trained"]
    assert codes_at(folder, least) == codes_at(folder, most) == []
    assert codes_at(folder, most + 8) == ["larger-than-trained"]


def test_a_plan_that_runs_nothing_says_nothing_of_sizes() -> None:
    assert codes_at(catalog.CONFIGS / "sdxl", 64, strength=0) == []


def test_what_the_notice_of_a_small_picture_advises_is_heard() -> None:
    sdxl = catalog.CONFIGS / "sdxl"
    request = Request(source=None, prompt="oil painting")
    (notice,) = resolve(request, catalog.find(sdxl), Size(256, 256)).plan.notices
    assert "256x256" in notice.message
    assert "work_size=1024x1024" in notice.message
    assert codes_at(sdxl, 256, work_size="1024x1024") == ["work-size"]


def test_an_upright_picture_is_judged_by_its_area() -> None:
    request = Request(source=None, prompt="oil painting", work_size="native")
    sdxl = catalog.find(catalog.CONFIGS / "sdxl")
    assert resolve(request, sdxl, Size(512, 2048)).plan.notices == ()


@pytest.mark.parametrize("size", [(256, 256), (256, 1024), (512, 512), (1024, 256), (1024, 1024)])
def test_the_shipped_model_is_at_home_from_256_to_1024(size: tuple[int, int]) -> None:
    for work_size in ("auto", "native"):
        request = Request(source=None, prompt="oil painting", work_size=work_size)
        notices = resolve(request, catalog.find(None), Size(*size)).plan.notices
        assert {one.code for one in notices} <= {"work-size"}


def full_size(folder: Path) -> Path:
    """The folder, its config saying that it was trained at 1024²; a plan opens no weights."""
    config = folder / "unet" / "config.json"
    content = json.loads(config.read_text())
    cells = 1024 // catalog.find(folder).cell_px
    config.write_text(json.dumps(content | {"sample_size": cells}))
    (folder / "underpaint.json").unlink(missing_ok=True)
    return folder
