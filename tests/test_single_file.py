"""Checkpoints in one file: every weight arrives, the picture is the folder's own, faults are told."""

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from tests.conftest import soft_picture
from tests.original_layout import original, write_single_file
from tests.tiny_checkpoint import make_tiny_checkpoint
from tests.tiny_families import make_tiny_flux, make_tiny_sd3, make_tiny_xl
from underpaint import Engine, Request
from underpaint.errors import ModelError
from underpaint.models import (
    autoencoder,
    catalog,
    fingerprint,
    loading,
    memory,
    recognition,
    single_file,
)
from underpaint.models.headers import Header
from underpaint.models.parts import Part

# As published, from the widths of the tiny networks.
TINY = {32: "sd-1", 80: "sdxl", 48: "sdxl-refiner"}
OPEN = {"sd-2": ("text_encoder",), "sdxl": ("text_encoder_2",), "sdxl-refiner": ("text_encoder_2",)}


SD_1 = {
    "model.diffusion_model.input_blocks.0.0.weight": (32, 4, 3, 3),
    "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (32, 768),
}
EVERY = (
    "sd-1", "sd-2", "sdxl", "sdxl-refiner", "sd-3-medium", "sd-3.5-medium", "flux-dev", "flux-schnell",
)  # fmt: skip


def folder_of(variant: str, place: Path) -> Path:
    if variant.startswith("flux"):
        return make_tiny_flux(place, dev=variant.endswith("dev"))
    if variant.startswith("sd-3"):
        return make_tiny_sd3(place, dual=variant.startswith("sd-3.5"))
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
            ignore=shutil.ignore_patterns("*.safetensors", "vocab.json", "merges.txt", "tokenizer.json"),
        )  # fmt: skip
        monkeypatch.setattr(catalog, "CONFIGS", tmp_path / "configs")
        widths = {32: "sd-2"} if variant == "sd-2" else {}
        monkeypatch.setattr(recognition, "UNETS", {**TINY, **widths})
        monkeypatch.setenv("UNDERPAINT_TOKENIZERS", str(folder))
        return folder

    return make


def written(folder: Path, variant: str, path: Path, **extra: Any) -> Path:
    parts = dict(recognition.PARTS[variant])
    if (folder / "text_encoder_3").is_dir():
        parts["text_encoder_3"] = recognition.LONG_READER
    return write_single_file(path, folder, parts, open=OPEN.get(variant, ()), **extra)


def kind_of(checkpoint: catalog.Checkpoint, role: str) -> Any:
    name = checkpoint.classes[role]
    return getattr(diffusers if hasattr(diffusers, name) else transformers, name)


def networks(model: Path, **options: Any) -> dict[str, dict[str, torch.Tensor]]:
    """Every weight of every network, as opened."""
    checkpoint = catalog.find(model, **options)
    return {
        role: loading.opened(
            kind_of(checkpoint, role), checkpoint, role, torch.float32
        ).state_dict()
        for role in checkpoint.classes
        if not role.startswith("tokenizer")
    }


def needs(model: Path, **options: Any) -> memory.Needs:
    found = catalog.find(model, **options)
    return memory.needs_of(found, number_bytes=4, tile_px=autoencoder.TILE_PX)


def assert_same(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert ours.keys() == theirs.keys()
    for role, weights in theirs.items():
        assert ours[role].keys() == weights.keys()
        for name, weight in weights.items():
            assert torch.equal(ours[role][name], weight), (role, name)


def painted(model: Path, **options: Any) -> np.ndarray:
    engine = Engine(model, device="cpu", precision="float32", **options)
    request = Request(
        source=soft_picture(48, 32), prompt="oil, side light", negative_prompt="blur", seed=3,
        strength=0.6, steps=3, guidance_scale=3.0, sampler="euler",
    )  # fmt: skip
    return np.asarray(engine.render(request).image)


def assert_alike(one: np.ndarray, other: np.ndarray) -> None:
    """The same but for rounding: weights that lie elsewhere in a file may be added in another order."""
    assert np.abs(one.astype(int) - other.astype(int)).max() <= 1


@pytest.mark.parametrize("variant", EVERY)
def test_every_weight_of_a_file_is_its_folders(known: Any, variant: str, tmp_path: Path) -> None:
    folder = known(variant)
    path = written(folder, variant, tmp_path / "model.safetensors")
    assert_same(networks(path), networks(folder))
    assert needs(path) == needs(folder)


@pytest.mark.parametrize("variant", EVERY)
def test_a_file_paints_what_its_folder_paints(known: Any, variant: str, tmp_path: Path) -> None:
    folder = known(variant)
    path = written(folder, variant, tmp_path / "model.safetensors")
    checkpoint = catalog.find(path)
    assert checkpoint.family == catalog.find(folder).family
    assert checkpoint.name == "model"
    assert checkpoint.is_at(str(path))
    assert_alike(painted(path), painted(folder))


@pytest.mark.parametrize("variant", ["sd-1", "sd-2", "sd-3.5-medium", "flux-dev"])
@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2]
)
def test_smaller_numbers_are_taken_up_into_larger_ones(
    known: Any, variant: str, dtype: torch.dtype, tmp_path: Path
) -> None:
    folder = known(variant)
    path = written(folder, variant, tmp_path / "model.safetensors", dtype=dtype)
    for file in folder.glob("*/*.safetensors"):
        rounded = {name: value.to(dtype).float() for name, value in load_file(file).items()}
        save_file(rounded, file, metadata={"format": "pt"})
    assert_same(networks(path), networks(folder))


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


@pytest.mark.parametrize("mark", ["edm_mean", "edm_vpred.sigma_max"])
def test_a_file_trained_on_edms_levels_is_refused_like_its_folder(
    known: Any, tmp_path: Path, mark: str
) -> None:
    marked = written(known("sdxl"), "sdxl", tmp_path / "b.safetensors", marks=(mark,))
    with pytest.raises(ModelError, match="EDM"):
        catalog.find(marked)


def test_a_link_is_called_by_its_own_name(known: Any, tmp_path: Path) -> None:
    blob = written(known("sdxl"), "sdxl", tmp_path / "0a1b2c.safetensors")
    link = tmp_path / "sd_xl_turbo_1.0.safetensors"
    link.symlink_to(blob.rename(tmp_path / "0a1b2c"))
    found = catalog.find(link)
    assert (found.name, found.distilled) == ("sd_xl_turbo_1.0", "turbo")
    assert found.is_at(str(link))


def test_what_sd_2_cannot_tell_is_assumed_aloud(known: Any, tmp_path: Path) -> None:
    path = written(known("sd-2"), "sd-2", tmp_path / "model.safetensors")
    assert [one.code for one in catalog.find(path).notices] == ["prediction-assumed"]
    assert catalog.find(path, prediction="eps").notices == ()
    assert catalog.find(path, prediction="eps").schedule.prediction == "eps"
    base = catalog.find(path, prediction="eps").defaults  # the base was trained at 512, not 768
    assert base.comfortable_area == 512**2
    assert base.seen_area[0] < base.comfortable_area < base.seen_area[1] < 1024**2


@pytest.mark.parametrize(
    ("name", "metadata", "prediction"),
    [
        ("v2-1_768-ema-pruned", {}, "v"),
        ("v2-1_512-ema-pruned", {}, "eps"),
        ("512-base-ema", {}, "eps"),
        ("model5120", {}, "v"),
        ("sd_turbo", {}, "eps"),
        ("mine", {"modelspec.resolution": "512x512"}, "eps"),
        ("sd_turbo", {"modelspec.prediction_type": "v"}, "v"),
    ],
)
def test_the_base_of_sd_2_and_its_turbo_are_taken_to_predict_noise(
    known: Any, name: str, metadata: dict[str, str], prediction: str, tmp_path: Path
) -> None:
    folder = known("sd-2")
    path = written(folder, "sd-2", tmp_path / f"{name}.safetensors", metadata=metadata)
    found = catalog.find(path)
    assert found.schedule.prediction == prediction
    assert found.defaults.comfortable_area == (512**2 if prediction == "eps" else 64**2)
    told = [one.message for one in found.notices if one.code == "prediction-assumed"]
    assert bool(told) is (len(metadata) == 0 or "modelspec.resolution" in metadata)
    assert all(f"{prediction} is assumed" in message for message in told)


def test_text_encoders_may_lie_where_sdxl_has_them(known: Any, tmp_path: Path) -> None:
    folder = known("sd-2")
    path = written(folder, "sd-2", tmp_path / "model.safetensors")
    moved = {
        name.replace("cond_stage_model.", "conditioner.embedders.0."): weight
        for name, weight in load_file(path).items()
    }
    save_file(moved, path)
    assert_same(networks(path), networks(folder))


def test_an_autoencoder_under_its_first_names_is_the_same(known: Any, tmp_path: Path) -> None:
    folder = known("sd-1")
    first = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}

    def renamed(name: str) -> str:
        for new, old in first.items():
            name = name.replace(f"attentions.0.{new}.", f"attentions.0.{old}.")
        return name

    file = next((folder / "vae").glob("*.safetensors"))
    old = {renamed(name): weight for name, weight in load_file(file).items()}
    assert any(name.endswith("proj_attn.weight") for name in old)
    save_file(old, tmp_path / "vae-ft-mse.safetensors")
    parts = {"vae": tmp_path / "vae-ft-mse.safetensors"}
    assert_same(networks(folder, parts=parts), networks(folder))


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
    expected = painted(path)
    assert expected.std() > 0
    shutil.rmtree(tmp_path / "tokenizer")  # the whole in one file, as transformers 5 writes it
    words = json.loads((folder / "tokenizer" / "vocab.json").read_text("utf-8"))
    merges = (folder / "tokenizer" / "merges.txt").read_text("utf-8").splitlines()[1:]
    for pairs in (merges, [line.split() for line in merges]):
        whole = {"model": {"type": "BPE", "vocab": words, "merges": pairs}}
        (tmp_path / "tokenizer.json").write_text(json.dumps(whole), "utf-8")
        assert np.array_equal(painted(path), expected)
    whole["model"]["vocab"] = {word: n for word, n in words.items() if word != "<|endoftext|>"}
    (tmp_path / "tokenizer.json").write_text(json.dumps(whole), "utf-8")
    with pytest.raises(ModelError, match="vocabulary of CLIP"):
        painted(path)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ({"model.diffusion_model.input_blocks.0.0.weight": (32, 9, 3, 3)}, "inpainting"),
        ({"model.diffusion_model.input_blocks.0.0.weight": (32, 8, 3, 3)}, "has no strength"),
        ({"model.diffusion_model.input_blocks.0.0.weight": (32, 5, 3, 3)}, "reads more than"),
        ({"model.diffusion_model.input_blocks.0.0.weight": (32, 4, 3, 3)}, "no family"),
        ({**SD_1, "model.diffusion_model.time_embed.cond_proj.weight": (4, 4)}, "guidance scale"),
        ({**SD_1, "model.diffusion_model.label_emb.0.0.weight": (4, 4)}, "unCLIP"),
        (
            {**SD_1, "model.diffusion_model.input_blocks.1.1.time_stack.0.norm1.bias": (4,)},
            "videos",
        ),
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


# Parameters as their makers count them, or as the sizes of their files tell.
VAE_4, VAE_16, CLIP_L, CLIP_G, T5 = 83_653_863, 83_819_683, 123_060_480, 694_659_840, 4_762_310_656
SD3_WORDS = {"text_encoder": CLIP_L + 768**2, "text_encoder_2": CLIP_G, "text_encoder_3": T5}
FLUX_WORDS = {"text_encoder": CLIP_L, "text_encoder_2": T5}
PUBLISHED: dict[str, dict[str, int]] = {
    "sd-1": {"unet": 859_520_964, "vae": VAE_4, "text_encoder": CLIP_L},
    "sd-2": {"unet": 865_910_724, "vae": VAE_4, "text_encoder": 340_387_840},
    "sdxl": {
        "unet": 2_567_463_684, "vae": VAE_4, "text_encoder": CLIP_L, "text_encoder_2": CLIP_G,
    },
    "sdxl-refiner": {"unet": 2_259_526_660, "vae": VAE_4, "text_encoder_2": CLIP_G},
    "sd-3-medium": {"transformer": 2_028_328_000, "vae": VAE_16, **SD3_WORDS},
    "sd-3.5-medium": {"transformer": 2_243_171_520, "vae": VAE_16, **SD3_WORDS},
    "sd-3.5-large": {"transformer": 8_056_627_520, "vae": VAE_16, **SD3_WORDS},
    "flux-dev": {"transformer": 11_901_408_320, "vae": VAE_16, **FLUX_WORDS},
    "flux-schnell": {"transformer": 11_891_178_560, "vae": VAE_16, **FLUX_WORDS},
}  # fmt: skip
CORE = recognition.CORE
# Some names and shapes of the published files, from their makers' code.
KNOWN: dict[str, dict[str, tuple[int, ...]]] = {
    "sd-1": {
        f"{CORE}output_blocks.11.1.transformer_blocks.0.attn2.to_k.weight": (320, 768),
        f"{CORE}output_blocks.2.1.conv.weight": (1280, 1280, 3, 3),
        "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight": (49408, 768),
        "first_stage_model.decoder.up.3.upsample.conv.weight": (512, 512, 3, 3),
        "first_stage_model.encoder.mid.attn_1.q.weight": (512, 512, 1, 1),
    },
    "sd-2": {
        f"{CORE}middle_block.1.transformer_blocks.0.attn2.to_k.weight": (1280, 1024),
        f"{CORE}middle_block.1.proj_in.weight": (1280, 1280),
        "cond_stage_model.model.transformer.resblocks.22.attn.in_proj_weight": (3072, 1024),
    },
    "sdxl": {
        f"{CORE}label_emb.0.0.weight": (1280, 2816),
        f"{CORE}output_blocks.2.1.transformer_blocks.9.attn2.to_k.weight": (1280, 2048),
        f"{CORE}output_blocks.2.2.conv.weight": (1280, 1280, 3, 3),
        "conditioner.embedders.1.model.transformer.resblocks.31.attn.in_proj_weight": (3840, 1280),
        "conditioner.embedders.1.model.text_projection": (1280, 1280),
    },
    "sdxl-refiner": {
        f"{CORE}label_emb.0.0.weight": (1536, 2560),
        f"{CORE}middle_block.1.transformer_blocks.3.attn2.to_k.weight": (1536, 1280),
        "conditioner.embedders.0.model.positional_embedding": (77, 1280),
    },
    "sd-3-medium": {
        f"{CORE}joint_blocks.23.x_block.attn.qkv.weight": (4608, 1536),
        f"{CORE}joint_blocks.23.context_block.adaLN_modulation.1.weight": (3072, 1536),
        f"{CORE}pos_embed": (1, 36864, 1536),
        "text_encoders.t5xxl.transformer.shared.weight": (32128, 4096),
    },
    "sd-3.5-medium": {
        f"{CORE}joint_blocks.12.x_block.attn2.qkv.weight": (4608, 1536),
        f"{CORE}joint_blocks.12.x_block.adaLN_modulation.1.weight": (13824, 1536),
        f"{CORE}pos_embed": (1, 147456, 1536),
    },
    "sd-3.5-large": {f"{CORE}joint_blocks.37.x_block.attn.ln_q.weight": (64,)},
    "flux-dev": {
        f"{CORE}double_blocks.18.img_attn.qkv.weight": (9216, 3072),
        f"{CORE}single_blocks.37.linear1.weight": (21504, 3072),
        f"{CORE}single_blocks.37.norm.query_norm.scale": (128,),
        f"{CORE}guidance_in.in_layer.weight": (3072, 256),
        "vae.decoder.conv_in.weight": (512, 16, 3, 3),
    },
    "flux-schnell": {f"{CORE}vector_in.in_layer.weight": (3072, 768)},
}


def empty(checkpoint: catalog.Checkpoint, role: str) -> torch.nn.Module:
    with torch.device("meta"):
        return single_file._unfilled(kind_of(checkpoint, role), checkpoint.folder / role)


@pytest.mark.parametrize("variant", sorted(recognition.PARTS))
def test_every_shipped_configuration_is_the_published_network(variant: str, tmp_path: Path) -> None:
    """In full size and without weights: counts, original names, and the way back from them."""
    found = catalog._read(variant, catalog.CONFIGS / variant, None, None, {})
    assert found.defaults.comfortable_area in {512**2, 768**2, 1024**2}
    prefixes = {**recognition.PARTS[variant]}
    if variant.startswith("sd-3"):
        prefixes["text_encoder_3"] = recognition.LONG_READER
    roles = {role for role in found.classes if not role.startswith("tokenizer")}
    assert roles == prefixes.keys() == PUBLISHED[variant].keys()
    shapes: dict[str, tuple[int, ...]] = {}
    for role, prefix in prefixes.items():
        network = empty(found, role)
        assert sum(one.numel() for one in network.parameters()) == PUBLISHED[variant][role]
        wanted = network.state_dict()
        theirs = original(
            role, dict(wanted), layers=2, blocks=4, opened=role in OPEN.get(variant, ())
        )
        named = {prefix + name: value for name, value in theirs.items()}
        shapes |= {name: tuple(value.shape) for name, value in named.items()}
        part = Part(found.folder / role, None, prefix)
        kind = kind_of(found, role)
        back = single_file._named_as(wanted, single_file._converted(named, kind, part, role))
        assert wanted.keys() <= back.keys()
        assert all(back[name].shape == value.shape for name, value in wanted.items())
    assert shapes.items() >= KNOWN[variant].items()
    header = Header(tmp_path / "a.safetensors", shapes, dict.fromkeys(shapes, "F16"), {})
    recognised = recognition.recognise(header)
    assert (recognised.variant, recognised.missing) == (variant, ())


# Parts that lie elsewhere.


def apart(folder: Path, variant: str, tmp_path: Path) -> tuple[Path, dict[str, Path]]:
    """The transformer in one file under its makers' names, and each other part in one of its own."""
    whole = load_file(written(folder, variant, tmp_path / "whole.safetensors"))
    files: dict[str, Path] = {}
    for role, prefix in recognition.PARTS[variant].items():
        names = {
            name.removeprefix(prefix): w for name, w in whole.items() if name.startswith(prefix)
        }
        names = {name.removeprefix("transformer."): weight for name, weight in names.items()}
        files[role] = tmp_path / f"{role}.safetensors"
        save_file(names, files[role])
    return files.pop("transformer"), files


@pytest.mark.parametrize("variant", ["sd-3-medium", "flux-dev"])
def test_a_bare_transformer_takes_its_other_parts_from_files_of_their_own(
    known: Any, variant: str, tmp_path: Path
) -> None:
    folder = known(variant)
    bare, files = apart(folder, variant, tmp_path)
    with pytest.raises(ModelError, match=r"holds no vae and no text_encoder .*parts=\{'vae'"):
        catalog.find(bare)
    if variant.startswith("sd-3"):
        files["text_encoder_3"] = folder / "text_encoder_3"
    assert_same(networks(bare, parts=files), networks(folder))
    assert needs(bare, parts=files) == needs(folder)
    assert_alike(painted(bare, parts=files), painted(folder))


def test_parts_may_be_folders_in_the_diffusers_layout(
    known: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = known("flux-schnell")
    monkeypatch.delenv("UNDERPAINT_TOKENIZERS")
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "nothing"))
    bare, files = apart(folder, "flux-schnell", tmp_path)
    parts = {role: folder / role for role in (*files, "tokenizer", "tokenizer_2")}
    assert_alike(painted(bare, parts=parts), painted(folder))


def test_a_given_part_takes_the_place_of_the_models_own(tmp_path: Path) -> None:
    one = make_tiny_checkpoint(tmp_path / "one", seed=1)
    other = make_tiny_checkpoint(tmp_path / "other", seed=2)
    mixed = {"vae": other / "vae"}
    assert_same(networks(one, parts=mixed), {**networks(one), "vae": networks(other)["vae"]})
    plain = catalog.find(one).sha256
    assert catalog.find(one, parts=mixed).sha256 != plain
    for role in ("vae", "text_encoder"):
        assert catalog.find(one, parts={role: one / role}).sha256 == plain
    config = other / "vae" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"scaling_factor": 0.5}))
    assert catalog.find(one, parts=mixed).latents == (4, 0.5, 0.0)
    (file,) = (other / "vae").glob("*.safetensors")
    assert_same(networks(one, parts={"vae": file}), networks(one, parts=mixed))


@pytest.mark.parametrize(
    ("role", "place", "words"),
    [
        ("unet", "vae", "'unet' is no part of stable-diffusion that can be given"),
        ("vea", "vae", "these are: text_encoder, tokenizer, vae"),
        ("vae", "nowhere", "there is no file or folder .*, which is given as the vae"),
        ("vae", "model_index.json", "neither a folder"),
        ("tokenizer", "model_index.json", "give the folder of a tokenizer"),
        ("vae", "unet", "loaded are diffusers.AutoencoderKL"),
    ],
)
def test_a_part_that_cannot_be_given_is_refused(
    role: str, place: str, words: str, tmp_path: Path
) -> None:
    folder = make_tiny_checkpoint(tmp_path / "folder")
    with pytest.raises(ModelError, match=words):
        catalog.find(folder, parts={role: folder / place})


def test_a_part_that_the_model_has_not_cannot_be_replaced(tmp_path: Path) -> None:
    folder = make_tiny_sd3(tmp_path / "sd3", long_reader=False)
    with pytest.raises(ModelError, match="sd3 has no text_encoder_3"):
        catalog.find(folder, parts={"text_encoder_3": folder / "text_encoder"})


def test_a_part_of_another_size_names_the_file_and_the_weight(known: Any, tmp_path: Path) -> None:
    folder = known("flux-dev")
    bare, files = apart(folder, "flux-dev", tmp_path)
    weights = load_file(files["vae"])
    weights["decoder.conv_in.weight"] = weights["decoder.conv_in.weight"][:, :4].contiguous()
    save_file(weights, files["vae"])
    told = r"vae\.safetensors does not fit, its vae has decoder\.conv_in\.weight as \[16, 4, 3, 3\]"
    with pytest.raises(ModelError, match=told):
        painted(bare, parts=files)
    save_file({"something": torch.zeros(2)}, files["vae"])
    with pytest.raises(ModelError, match=r"vae\.safetensors does not fit, its vae has no weights"):
        painted(bare, parts=files)


@pytest.mark.parametrize("ending", [".scale_weight", ".weight_scale"])
@pytest.mark.parametrize("rows", [False, True], ids=["one", "a row"])
def test_weights_that_were_divided_by_a_scale_are_multiplied_by_it(
    known: Any, ending: str, *, rows: bool, tmp_path: Path
) -> None:
    folder = known("flux-dev")
    path = written(folder, "flux-dev", tmp_path / "model.safetensors")
    weights = load_file(path)
    name = f"{CORE}double_blocks.0.img_attn.qkv"
    whole = weights[f"{name}.weight"]
    most = whole.abs().amax(dim=1, keepdim=True) if rows else whole.abs().max()
    scale = most / torch.finfo(torch.float8_e4m3fn).max
    small = (whole / scale).to(torch.float8_e4m3fn)
    save_file({**weights, f"{name}.weight": small, name + ending: scale.reshape(-1)}, path)
    found = networks(path)["transformer"]["transformer_blocks.0.attn.to_q.weight"]
    assert torch.equal(found, (small.float() * scale)[: len(found)])
    torch.testing.assert_close(
        found, whole[: len(found)], rtol=0.07, atol=1e-3
    )  # 3 bits and a sign
    heard = torch.tensor(1.0)  # the scale of what goes in, which is not divided here
    of_input = {f"{name}.scale_input": heard, f"{name}.input_scale": heard.clone()}
    of_input[f"{CORE}final_layer.adaLN_modulation.1.input_scale"] = heard.clone()
    divided = {f"{name}.weight": small, name + ending: scale.reshape(-1)}
    save_file({**weights, **divided, **of_input}, path)
    assert torch.equal(
        networks(path)["transformer"]["transformer_blocks.0.attn.to_q.weight"], found
    )
    save_file({**weights, f"{name}.weight": small, name + ending: torch.ones(2, 3)}, path)
    with pytest.raises(ModelError, match="scaled in blocks"):
        painted(path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"img_in.weight": (32, 384)}, "Fill, Canny"),
        ({"vector_in.in_layer.weight": None}, "relative of FLUX"),
        ({"vector_in.in_layer.weight": None, "distilled_guidance_layer.norms.0.scale": (4,)}, "Chroma"),
        ({"vector_in.in_layer.weight": None, "double_stream_modulation_img.lin.weight": (4, 4)}, "FLUX.2"),
    ],
)  # fmt: skip
def test_relatives_of_flux_are_called_by_their_names(
    changes: dict[str, tuple[int, ...] | None], words: str, tmp_path: Path
) -> None:
    shapes = {
        "img_in.weight": (32, 64), "vector_in.in_layer.weight": (32, 8),
        "double_blocks.0.img_attn.qkv.weight": (96, 32), **changes,
    }  # fmt: skip
    path = tmp_path / "thing.safetensors"
    save_file({name: torch.zeros(shape) for name, shape in shapes.items() if shape}, path)
    with pytest.raises(ModelError, match=words):
        catalog.find(path)


def test_kontext_and_whole_numbers_are_refused(known: Any, tmp_path: Path) -> None:
    path = written(known("flux-dev"), "flux-dev", tmp_path / "flux1-Kontext-dev.safetensors")
    with pytest.raises(ModelError, match="edits by instruction"):
        catalog.find(path)
    plain = path.rename(tmp_path / "flux1-dev.safetensors")
    assert catalog.find(plain).family.name == "flux"
    weights = load_file(plain)
    weights[f"{CORE}img_in.weight"] = weights[f"{CORE}img_in.weight"].to(torch.uint8)
    save_file(weights, plain)
    with pytest.raises(ModelError, match="quantised to whole numbers"):
        catalog.find(plain)


def test_a_lacking_weight_of_a_fused_transformer_is_named(known: Any, tmp_path: Path) -> None:
    for variant, lost in (
        ("sd-3-medium", "joint_blocks.0.x_block.attn.qkv.weight"),
        ("flux-dev", "single_blocks.0.linear1.bias"),
    ):
        path = written(known(variant), variant, tmp_path / f"{variant}.safetensors")
        weights = load_file(path)
        del weights[CORE + lost]
        save_file(weights, path)
        told = rf"{variant}\.safetensors does not fit, its transformer has no weights for \S+"
        with pytest.raises(ModelError, match=told):
            painted(path)


def test_another_models_tokenizer_json_is_not_taken_for_t5s(
    known: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = known("flux-dev")
    path = written(folder, "flux-dev", tmp_path / "model.safetensors")
    hub = tmp_path / "home" / "hub"
    snapshots = [
        hub / f"models--a--{name}" / "snapshots" / "1" for name in ("bert", "long", "other", "own")
    ]
    right = json.loads((folder / "tokenizer_2" / "tokenizer.json").read_text())
    wordpiece = {**right, "model": {"type": "WordPiece", "vocab": {"[PAD]": 0}}}
    longer = [*right["model"]["vocab"], *[[f"w{i}", -9.0] for i in range(200)]]
    long = {**right, "model": {**right["model"], "vocab": longer}}
    turned = [
        right["model"]["vocab"][i] for i in (2, 1, 0, *range(3, len(right["model"]["vocab"])))
    ]
    other = {**right, "model": {**right["model"], "vocab": turned}}
    for snapshot, content in zip(snapshots, (wordpiece, long, other, None), strict=True):
        snapshot.mkdir(parents=True)
        if content:
            (snapshot / "tokenizer.json").write_text(json.dumps(content))
    shutil.copytree(folder / "tokenizer", snapshots[3] / "tokenizer")
    monkeypatch.delenv("UNDERPAINT_TOKENIZERS")
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    with pytest.raises(ModelError, match=r"vocabulary of T5.*put tokenizer\.json"):
        painted(path)
    shutil.copytree(folder / "tokenizer_2", snapshots[3] / "tokenizer_2")
    assert_alike(painted(path), painted(folder))


def test_a_large_file_is_hashed_once_until_it_changes(
    known: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(known("sd-1"), "sd-1", tmp_path / "model.safetensors")
    hashed: list[str] = []
    digest = hashlib.file_digest

    def counted(file: Any, name: str) -> Any:
        hashed.append(file.name)
        return digest(file, name)

    monkeypatch.setattr(hashlib, "file_digest", counted)
    monkeypatch.setattr(fingerprint, "SLOW_BYTES", path.stat().st_size)
    first = catalog.find(path).sha256
    assert catalog.find(path).sha256 == first
    assert hashed.count(str(path)) == 1
    was = path.stat()
    weights = load_file(path)
    name = next(iter(weights))
    save_file({**weights, name: weights[name] + 1}, path)
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns + 1))
    assert path.stat().st_size == was.st_size
    assert catalog.find(path).sha256 != first
    assert hashed.count(str(path)) == 2
    for kept in fingerprint._cache().iterdir():
        kept.write_text("half of a ha")
    assert catalog.find(path).sha256 != first
    assert hashed.count(str(path)) == 3
    monkeypatch.setenv("XDG_CACHE_HOME", str(path))  # a place where nothing can be kept
    assert catalog.find(path).sha256 != first
    assert hashed.count(str(path)) == 4


def test_a_tiny_autoencoder_takes_the_place_of_a_large_one(tmp_path: Path) -> None:
    """As diffusers' img2img does with ``vae=AutoencoderTiny``: same levels, noise and embeddings."""
    folder = make_tiny_checkpoint(tmp_path / "folder")
    torch.manual_seed(4)
    small = diffusers.AutoencoderTiny(
        encoder_block_out_channels=(8, 8, 8), decoder_block_out_channels=(8, 8, 8),
        num_encoder_blocks=(1, 1, 1), num_decoder_blocks=(1, 1, 1), latent_channels=4,
        scaling_factor=0.7,
    )  # fmt: skip
    small.save_pretrained(tmp_path / "taesd")
    engine = Engine(
        folder, device="cpu", precision="float32", parts={"vae": str(tmp_path / "taesd")}
    )
    picture = torch.rand(3, 32, 48) * 2 - 1
    latents = engine.model.codec.encode(picture)
    with torch.inference_mode():
        theirs = small.encode(picture[None]).latents[0] * 0.7
        back = small.decode(theirs[None] / 0.7).sample[0].clamp(-1, 1)
    torch.testing.assert_close(latents, theirs, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(engine.model.codec.decode(latents), back, rtol=1e-5, atol=1e-5)
    assert engine.checkpoint.latents == (4, 0.7, 0.0)
    made = engine.render(Request(source=soft_picture(48, 32), prompt="oil", steps=2, seed=1))
    assert made.recipe.request.parts == {"vae": "taesd"}
