"""FLUX.1 as GGUF: what its header says, what is refused, and the picture that it paints."""

import importlib.util
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as Q
from safetensors.torch import load_file, save_file

from tests.conftest import soft_picture
from tests.original_layout import flux
from tests.tiny_families import make_tiny_flux
from underpaint import Engine, ModelError, Request
from underpaint.models import catalog
from underpaint.models.headers import read_header
from underpaint.models.memory import needs_of

KINDS = {"attn": Q.Q8_0, "mlp": Q.Q4_0, "linear": Q.Q5_0, "lin": Q.BF16}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = make_tiny_flux(tmp_path_factory.mktemp("flux") / "dev")
    shutil.copytree(
        made, made.parent / "configs" / "flux-dev", ignore=shutil.ignore_patterns("*.safetensors")
    )
    return made


@pytest.fixture(autouse=True)
def configs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny model's configuration in the place of the one that the package ships."""
    monkeypatch.setattr(catalog, "CONFIGS", folder.parent / "configs")


@pytest.fixture(scope="module")
def parts(folder: Path) -> dict[str, str | Path]:
    return {
        role: folder / role
        for role in ("vae", "text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2")
    }


@pytest.fixture(scope="module")
def files(folder: Path) -> tuple[Path, Path]:
    """The transformer as GGUF, and its unpacked numbers as safetensors."""
    weights = flux(load_file(folder / "transformer" / "diffusion_pytorch_model.safetensors"))
    packed, plain = folder.parent / "flux-dev-Q.gguf", folder.parent / "flux-dev.safetensors"
    writer = gguf.GGUFWriter(packed, "flux")
    unpacked: dict[str, torch.Tensor] = {}
    for name, weight in weights.items():
        numbers = weight.float().numpy()
        kind = next((kind for part, kind in KINDS.items() if part in name), Q.F32)
        if numbers.ndim == 1:
            kind = Q.F32
        data = gguf.quants.quantize(numbers, kind)
        writer.add_tensor(name, data, raw_dtype=kind)
        unpacked[name] = torch.from_numpy(gguf.quants.dequantize(data, kind).copy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    save_file(unpacked, plain)
    return packed, plain


def painted(model: Path, parts: dict[str, str | Path]) -> np.ndarray:
    engine = Engine(model, device="cpu", precision="float32", parts=parts)
    request = Request(source=soft_picture(48, 32), prompt="oil", strength=0.7, steps=3, seed=3)
    return np.asarray(engine.render(request).image)


def test_it_paints_what_its_unpacked_numbers_paint(
    files: tuple[Path, Path], parts: dict[str, str | Path]
) -> None:
    packed, plain = (painted(file, parts).astype(int) for file in files)
    assert (abs(packed - plain) <= 1).mean() > 0.999
    assert packed.std() > 1
    network: Any = Engine(files[0], device="cpu", parts=parts).model.denoiser.network  # type: ignore[attr-defined]
    kept = [one for one in network.parameters() if one.dtype == torch.uint8]
    assert len(kept) > 10


def test_its_header_tells_what_it_is(files: tuple[Path, Path], parts: dict[str, Any]) -> None:
    packed, plain = (read_header(file) for file in files)
    assert packed.shapes == plain.shapes
    assert {"Q8_0", "Q4_0", "Q5_0", "BF16", "F32"} == set(packed.precisions.values())
    assert packed.metadata["general.architecture"] == "flux"
    found = catalog.find(files[0], parts=parts)
    assert (found.family.name, found.embeds_guidance) == ("flux", True)
    small, large = (
        needs_of(catalog.find(file, parts=parts), number_bytes=4, tile_px=1280) for file in files
    )
    assert small.networks < large.networks
    with pytest.raises(ModelError, match=r"holds no vae .* --part vae=PATH"):
        catalog.find(files[0])


def test_without_the_packages_that_read_it_one_sentence_tells_which(
    files: tuple[Path, Path], parts: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    find: Callable[..., Any] = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "gguf" else find(name, *rest),
    )
    with pytest.raises(ModelError, match=r'pip install "underpaint\[gguf\]"'):
        painted(files[0], parts)


def header(tensors: list[tuple[str, tuple[int, ...], int, int]], *, version: int = 3) -> bytes:
    made = b"GGUF" + struct.pack("<IQQ", version, len(tensors), 0)
    for name, sides, kind, begin in tensors:
        made += struct.pack("<Q", len(name)) + name.encode() + struct.pack("<I", len(sides))
        made += struct.pack(f"<{len(sides)}Q", *sides) + struct.pack("<IQ", kind, begin)
    return made + bytes(-len(made) % 32)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"GG", "no GGUF of version 2 or 3"),
        (header([], version=1), "no GGUF of version 2 or 3"),
        (header([("a", (32,), 8, 0)])[:40], "ends in the middle"),
        (header([("a", (32,), 8, 0)]) + bytes(30), "cut short, 4 bytes are missing"),
        (
            header([("a", (32,), 0, 0), ("b", (32,), 0, 64)]) + bytes(256),
            "two of its tensors overlap",
        ),
        (header([("a", (32,), 0, 0), ("a", (32,), 0, 128)]) + bytes(256), "stands there twice"),
        (header([("a", (33,), 8, 0)]) + bytes(256), "no whole number of blocks"),
        (header([("a", (32,), 99, 0)]) + bytes(256), "numbers that are not read"),
        (header([("a", (32, 1, 1, 1, 1), 0, 0)]) + bytes(256), "has 5 sides"),
        (b"GGUF" + struct.pack("<IQQ", 3, 10**9, 0), "names 1000000000 tensors"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 2**40), "ends in the middle"),
        (header([("a", (32,), 0, 0)]) + bytes(128), "is of no kind that is known"),
    ],
)
def test_a_damaged_or_foreign_file_is_one_sentence(
    content: bytes, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=words) as refused:
        catalog.find(path)
    assert "model.gguf" in str(refused.value)


def test_every_type_takes_as_many_bytes_as_the_package_says() -> None:
    from underpaint.models.gguf_header import TYPES

    for number, (name, block, block_bytes) in TYPES.items():
        assert Q(number).name == name
        assert gguf.GGML_QUANT_SIZES[Q(number)] == (block, block_bytes)
