"""Checkpoints in one file: every weight arrives, the picture is the folder's own, faults are told."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.conftest import soft_picture
from tests.original_layout import write_single_file
from tests.tiny_checkpoint import make_tiny_checkpoint
from tests.tiny_families import make_tiny_xl
from underpaint import Engine, Request
from underpaint.errors import ModelError
from underpaint.models import catalog, recognition

# As published, from the widths of the tiny networks.
TINY = {32: "sd-1", 80: "sdxl", 48: "sdxl-refiner"}
OPEN = {"sd-2": ("text_encoder",), "sdxl": ("text_encoder_2",), "sdxl-refiner": ("text_encoder_2",)}


def folder_of(variant: str, place: Path) -> Path:
    if variant.startswith("sdxl"):
        return make_tiny_xl(place, refiner=variant.endswith("refiner"))
    return make_tiny_checkpoint(
        place, prediction_type="v_prediction" if variant == "sd-2" else "epsilon"
    )


@pytest.fixture
def known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes a variant's folder, and its configuration the one that the package ships."""

    def make(variant: str) -> Path:
        folder = folder_of(variant, tmp_path / "folder" / variant)
        config = tmp_path / "configs" / variant
        shutil.copytree(
            folder, config,
            ignore=shutil.ignore_patterns("*.safetensors", "vocab.json", "merges.txt"),
        )  # fmt: skip
        monkeypatch.setattr(catalog, "CONFIGS", tmp_path / "configs")
        widths = {32: "sd-2"} if variant == "sd-2" else {}
        monkeypatch.setattr(recognition, "UNETS", {**TINY, **widths})
        vocabulary = next(folder.glob("tokenizer*"))
        monkeypatch.setenv("UNDERPAINT_TOKENIZERS", str(vocabulary))
        return folder

    return make


def written(folder: Path, variant: str, path: Path, **extra: Any) -> Path:
    return write_single_file(
        path, folder, dict(recognition.PARTS[variant]), open=OPEN.get(variant, ()), **extra
    )


def painted(model: Path, **options: Any) -> np.ndarray:
    engine = Engine(model, device="cpu", precision="float32", **options)
    request = Request(
        source=soft_picture(48, 32), prompt="oil, side light", negative_prompt="blur", seed=3,
        strength=0.6, steps=3, guidance_scale=3.0, sampler="euler",
    )  # fmt: skip
    return np.asarray(engine.render(request).image)


@pytest.mark.parametrize("variant", ["sd-1", "sd-2", "sdxl", "sdxl-refiner"])
def test_a_file_paints_what_its_folder_paints(known: Any, variant: str, tmp_path: Path) -> None:
    folder = known(variant)
    path = written(folder, variant, tmp_path / "model.safetensors")
    checkpoint = catalog.find(path)
    assert checkpoint.family == catalog.find(folder).family
    assert checkpoint.name == "model"
    assert checkpoint.is_at(str(path))
    assert np.array_equal(painted(path), painted(folder))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float8_e4m3fn])
def test_smaller_numbers_are_taken_up_into_larger_ones(
    known: Any, dtype: torch.dtype, tmp_path: Path
) -> None:
    folder = known("sd-1")
    path = written(folder, "sd-1", tmp_path / "model.safetensors", dtype=dtype)
    for part in ("unet", "vae", "text_encoder"):
        (file,) = (folder / part).glob("*.safetensors")
        rounded = {name: value.to(dtype).float() for name, value in load_file(file).items()}
        save_file(rounded, file, metadata={"format": "pt"})
    assert np.array_equal(painted(path), painted(folder))


def test_a_prediction_is_read_from_marks_and_told_where_there_are_none(
    known: Any, tmp_path: Path
) -> None:
    folder = known("sdxl")
    plain = catalog.find(written(folder, "sdxl", tmp_path / "a.safetensors"))
    marked = written(folder, "sdxl", tmp_path / "b.safetensors", marks=("v_pred", "ztsnr"))
    assert (plain.schedule.prediction, plain.notices) == ("eps", ())
    found = catalog.find(marked)
    assert found.schedule.prediction == "v"
    assert found.schedule.level(1.0).alpha == 0
    described = written(
        folder, "sdxl", tmp_path / "c.safetensors", metadata={"modelspec.prediction_type": "v"}
    )
    assert catalog.find(described).schedule.prediction == "v"
    assert catalog.find(marked, prediction="eps").schedule.prediction == "eps"


def test_what_sd_2_cannot_tell_is_assumed_aloud(known: Any, tmp_path: Path) -> None:
    path = written(known("sd-2"), "sd-2", tmp_path / "model.safetensors")
    assert [one.code for one in catalog.find(path).notices] == ["prediction-assumed"]
    assert catalog.find(path, prediction="eps").notices == ()
    assert catalog.find(path, prediction="eps").schedule.prediction == "eps"


def test_a_file_that_lacks_a_weight_or_a_part_says_which(known: Any, tmp_path: Path) -> None:
    folder = known("sd-1")
    path = written(folder, "sd-1", tmp_path / "model.safetensors")
    weights = load_file(path)
    lost = "model.diffusion_model.middle_block.1.norm.weight"
    save_file({k: v for k, v in weights.items() if k != lost}, path)
    with pytest.raises(ModelError, match=r"unet has no weights for mid_block\.attentions\.0\.norm"):
        painted(path)
    save_file({k: v for k, v in weights.items() if not k.startswith("cond_stage")}, path)
    with pytest.raises(ModelError, match="holds no text_encoder"):
        catalog.find(path)


def test_without_a_vocabulary_it_says_where_to_put_one(
    known: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = known("sd-1")
    path = written(folder, "sd-1", tmp_path / "model.safetensors")
    monkeypatch.delenv("UNDERPAINT_TOKENIZERS")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "nothing"))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    with pytest.raises(ModelError, match=r"vocabulary of CLIP.*vocab\.json and merges\.txt"):
        painted(path)
    snapshot = tmp_path / "nothing" / "hub" / "models--a--b" / "snapshots" / "1234" / "tokenizer"
    shutil.copytree(folder / "tokenizer", snapshot)
    assert painted(path).std() > 0
    shutil.rmtree(tmp_path / "nothing")
    shutil.copytree(folder / "tokenizer", tmp_path / "tokenizer")
    assert painted(path).std() > 0


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ({"model.diffusion_model.input_blocks.0.0.weight": (32, 9, 3, 3)}, "inpainting"),
        ({"model.diffusion_model.input_blocks.0.0.weight": (32, 8, 3, 3)}, "has no strength"),
        ({"model.diffusion_model.input_blocks.0.0.weight": (32, 4, 3, 3)}, "no family"),
        ({"lora_unet_down_blocks_0.lora_up.weight": (4, 4)}, "LoRA"),
        ({"control_model.input_blocks.0.0.weight": (4, 4)}, "ControlNet"),
        ({"double_blocks.0.img_attn.norm.key_norm.scale": (4,)}, "FLUX"),
        ({"input_blocks.0.0.weight": (4, 4)}, "network alone"),
        ({"decoder.conv_in.weight": (4, 4)}, "autoencoder"),
        ({"text_model.encoder.layers.0.mlp.fc1.weight": (4, 4)}, "text encoder"),
        ({"emb_params": (4, 4)}, "textual inversion"),
        ({"something": (4, 4)}, "no kind"),
    ],
)
def test_what_is_no_whole_checkpoint_is_called_by_its_name(
    names: dict[str, tuple[int, ...]], words: str, tmp_path: Path
) -> None:
    path = tmp_path / "thing.safetensors"
    save_file({name: torch.zeros(shape) for name, shape in names.items()}, path)
    with pytest.raises(ModelError, match=words) as problem:
        catalog.find(path)
    assert "thing.safetensors" in str(problem.value)


@pytest.mark.parametrize("name", ["model.ckpt", "model.pt", "model.bin"])
def test_a_pickle_is_never_opened(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"\x80\x02whatever")
    with pytest.raises(ModelError, match="pickle"):
        catalog.find(tmp_path / name)


def test_a_half_downloaded_file_is_refused_before_anything_is_mapped(
    known: Any, tmp_path: Path
) -> None:
    path = written(known("sd-1"), "sd-1", tmp_path / "model.safetensors")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match="not downloaded to its end"):
        catalog.find(path)


@pytest.mark.parametrize("variant", sorted(recognition.PARTS))
def test_every_shipped_configuration_is_a_whole_one(variant: str) -> None:
    found = catalog._read(variant, catalog.CONFIGS / variant, None, None)
    roles = {role.replace("tokenizer", "text_encoder") for role in found.classes}
    assert roles - set(recognition.PARTS[variant]) <= {"text_encoder_3"}
    assert found.defaults.comfortable_area in {512**2, 768**2, 1024**2}
