"""Weight files are checked before they are mapped: each kind of damage is one sentence."""

import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from underpaint.errors import ModelError
from underpaint.models.headers import check_shards, check_weights, read_header, variant_of


def written(path: Path, header: object, data: bytes = b"", *, length: int | None = None) -> Path:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes((len(raw) if length is None else length).to_bytes(8, "little") + raw + data)
    return path


def tensor(begin: int, end: int, **changes: Any) -> dict[str, Any]:
    return {"dtype": "F32", "shape": [(end - begin) // 4], "data_offsets": [begin, end], **changes}


def test_a_sound_file_tells_its_tensors(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    weights = {"a": torch.zeros(2, 3), "b": torch.zeros(5, dtype=torch.float16)}
    save_file(weights, path, metadata={"modelspec.title": "x"})
    header = read_header(path)
    assert dict(header.shapes) == {"a": (2, 3), "b": (5,)}
    assert (header.parameters, header.precision) == (11, "F32")
    assert header.metadata["modelspec.title"] == "x"


@seed(1)
@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(
        st.text(min_size=1, max_size=8).filter(lambda name: name != "__metadata__"),
        st.lists(st.integers(0, 4), max_size=3),
        max_size=6,
    )
)
def test_whatever_the_library_writes_is_read(
    tmp_path_factory: pytest.TempPathFactory, shapes: dict[str, list[int]]
) -> None:
    path = tmp_path_factory.mktemp("x") / "a.safetensors"
    save_file({name: torch.zeros(shape) for name, shape in shapes.items()}, path)
    assert {k: list(v) for k, v in read_header(path).shapes.items()} == shapes


@pytest.mark.parametrize(
    ("header", "data", "words"),
    [
        ({"a": tensor(0, 8)}, bytes(4), "4 bytes are missing"),
        ({"a": tensor(0, 8)}, bytes(12), "4 bytes follow"),
        ({"a": tensor(0, 8), "b": tensor(4, 12)}, bytes(12), "overlap"),
        ({"a": tensor(0, 8), "b": tensor(12, 16)}, bytes(16), "gap"),
        ({"a": tensor(4, 8)}, bytes(8), "gap"),
        ({"a": tensor(0, 8, dtype="F31")}, bytes(8), "'F31'"),
        ({"a": tensor(0, 8, dtype="F64")}, bytes(8), "needs 16"),
        ({"a": tensor(0, 8, shape=[-2])}, bytes(8), "no whole number"),
        ({"a": tensor(0, 8, shape=[2.0])}, bytes(8), "no whole number"),
        ({"a": tensor(0, 8, data_offsets=[8, 0])}, bytes(8), "takes -8 bytes"),
        ({"a": [1, 2]}, b"", "not described"),
        ({"__metadata__": 3}, b"", "metadata"),
        ([1, 2], b"", "no object"),
        (b"{nonsense", b"", "not JSON"),
        (b'{"a":1,"a":2}', b"", "twice"),
        (b"[" * 100_000, b"", "not JSON"),
        ({f"t{i}": tensor(0, 0) for i in range(100_000)}, b"", "100000 tensors"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_damage_is_told(tmp_path: Path, header: object, data: bytes, words: str) -> None:
    path = written(tmp_path / "model.safetensors", header, data)
    with pytest.raises(ModelError, match=words) as problem:
        read_header(path)
    assert "model.safetensors" in str(problem.value)
    assert str(problem.value).count("\n") == 0


@pytest.mark.parametrize("length", [2**63, 2**64 - 1, 200_000_000])
def test_a_header_longer_than_any_is_not_read(tmp_path: Path, length: int) -> None:
    with pytest.raises(ModelError, match="bytes long"):
        read_header(written(tmp_path / "a.safetensors", b"{}", length=length))


def test_a_header_longer_than_the_file_was_cut(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not downloaded to its end: at least 998"):
        read_header(written(tmp_path / "a.safetensors", b"{}", length=1000))


@pytest.mark.parametrize("data", [b"", b"1", b"1234567"])
def test_a_stump_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(data)
    with pytest.raises(ModelError, match="shorter"):
        read_header(path)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (pickle.dumps({"a": 1}), "a pickle.*convert"),
        (b"PK\x03\x04" + bytes(40), "zip archive.*convert"),
        (b"GGUF" + bytes(40), "GGUF"),
        (b"version https://git-lfs.github.com/spec/v1\n", "pointer"),
        (b"<!DOCTYPE html><html></html>", "web page"),
    ],
)
def test_another_kind_of_file_is_called_by_its_name(
    tmp_path: Path, data: bytes, words: str
) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(data)
    with pytest.raises(ModelError, match=words):
        read_header(path)


@pytest.mark.parametrize("length", [640, 896, 1152, 1408, 65536 + 640])
def test_a_header_whose_length_looks_like_a_pickle_is_read(tmp_path: Path, length: int) -> None:
    header = json.dumps({"a": tensor(0, 8)}).encode().ljust(length)
    path = written(tmp_path / "a.safetensors", header, bytes(8))
    assert path.read_bytes()[:2] in {b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"}
    assert read_header(path).parameters == 2


def test_a_file_that_may_not_be_read_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = sharded(tmp_path)

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refused)  # root may read everything
    monkeypatch.setattr(Path, "read_bytes", refused)
    with pytest.raises(ModelError, match=r"one\.safetensors cannot be read \(Permission denied\)"):
        read_header(tmp_path / "one.safetensors")
    with pytest.raises(ModelError, match=r"index\.json cannot be read \(Permission denied\)"):
        check_shards(index)


def test_what_is_no_file_is_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.safetensors")
    for place in ("pipe.safetensors", "missing.safetensors", "."):
        with pytest.raises(ModelError, match=r"regular|missing"):
            read_header(tmp_path / place)


def sharded(folder: Path, **places: str) -> Path:
    save_file({"a": torch.zeros(2)}, folder / "one.safetensors")
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "one.safetensors", **places}}))
    return index


def test_shards_lie_beside_their_index(tmp_path: Path) -> None:
    index = sharded(tmp_path)
    assert [shard.name for shard in check_shards(index)] == ["one.safetensors"]
    assert check_weights(tmp_path) == check_shards(index)


@pytest.mark.parametrize(
    "name", ["../one.safetensors", "/etc/passwd", "a\\b.safetensors", "..", "", "a\0b"]
)
def test_an_index_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelError, match="no plain file name"):
        check_shards(sharded(tmp_path, b=name))


def test_an_index_that_promises_too_much_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="does not hold 'b'"):
        check_shards(sharded(tmp_path, b="one.safetensors"))
    with pytest.raises(ModelError, match=r"two\.safetensors is missing"):
        check_shards(sharded(tmp_path, b="two.safetensors"))
    (tmp_path / "pipe.safetensors").unlink(missing_ok=True)
    os.mkfifo(tmp_path / "pipe.safetensors")
    with pytest.raises(ModelError, match="not a regular file"):
        check_shards(sharded(tmp_path, b="pipe.safetensors"))


def saved(folder: Path, *names: str) -> None:
    for name in names:
        save_file({"a": torch.zeros(2)}, folder / name)


def test_of_a_network_that_lies_there_several_times_the_plain_one_counts(tmp_path: Path) -> None:
    name = "diffusion_pytorch_model"
    saved(tmp_path, *(f"{name}{end}.safetensors" for end in ("", ".fp16", ".bf16", ".non_ema")))
    saved(tmp_path, "taesd_decoder.safetensors")
    (plain,) = check_weights(tmp_path)
    assert plain.name == f"{name}.safetensors"
    plain.unlink()
    (tmp_path / "taesd_decoder.safetensors").unlink()
    (half,) = check_weights(tmp_path)
    assert (half.name, variant_of(half)) == (f"{name}.fp16.safetensors", "fp16")
    half.unlink()
    assert [variant_of(file) for file in check_weights(tmp_path)] == ["bf16"]


def test_shards_in_half_precision_are_counted_where_they_are_alone(tmp_path: Path) -> None:
    saved(tmp_path, "model.fp16-00001-of-00001.safetensors")
    index = tmp_path / "model.safetensors.index.fp16.json"
    index.write_text(json.dumps({"weight_map": {"a": "model.fp16-00001-of-00001.safetensors"}}))
    assert [variant_of(file) for file in check_weights(tmp_path)] == ["fp16"]
    saved(tmp_path, "model.safetensors")
    assert [variant_of(file) for file in check_weights(tmp_path)] == [None]


def test_a_folder_of_pickles_says_how_to_convert_them(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"\x80\x02")
    with pytest.raises(ModelError, match=r"only model\.bin.*convert"):
        check_weights(tmp_path)
    with pytest.raises(ModelError, match="no weights"):
        check_weights(tmp_path / "empty")
