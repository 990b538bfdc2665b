"""The header of a safetensors file, checked before anything of it is mapped; no torch.

The format: eight bytes of little-endian length, that much JSON, then the tensors without a gap
(github.com/huggingface/safetensors, "Format").
"""

import json
import math
import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO, cast

from underpaint.errors import ModelError

MOST_HEADER_BYTES = 100_000_000  # the format's own limit
MOST_TENSORS = 50_000  # ten times the largest model's
PRECISIONS: Mapping[str, int] = {  # bits an element
    "F64": 64, "I64": 64, "U64": 64, "C64": 64,
    "F32": 32, "I32": 32, "U32": 32,
    "F16": 16, "BF16": 16, "I16": 16, "U16": 16,
    "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "I8": 8, "U8": 8, "BOOL": 8,
}  # fmt: skip
GGUF_ENDING = ".gguf"
PICKLE_ENDINGS = frozenset({".ckpt", ".pt", ".pth", ".bin", ".pkl"})
# A weight file or shard index; which numbers or mean it holds stands in the middle of its name, plain ones say none.
_WEIGHTS = re.compile(
    r"[^.]+?(\.(?P<variant>.+?))?(-\d{5}-of-\d{5})?\.safetensors"
    r"|[^.]+\.safetensors\.index(\.(?P<of>[^.]+))?\.json"
)
_USUAL_BASES = frozenset({"diffusion_pytorch_model", "model"})
HALF_VARIANTS = ("fp16", "bf16")  # taken where there is no other
_OTHER_KINDS = {
    b"PK\x03\x04": "a zip archive, as torch saves pickles",
    b"\x80\x02": "a pickle",
    b"\x80\x03": "a pickle",
    b"\x80\x04": "a pickle",
    b"\x80\x05": "a pickle",
    b"GGUF": "a GGUF file",
    b"version https://git-lfs": "a Git LFS pointer, not the file that it points to",
    b"<!DOCTYPE": "a web page",
    b"<html": "a web page",
}
PICKLE_ADVICE = (
    "pickles can run code when they are opened and are never loaded; convert it to safetensors, for "
    "instance with torch.load(path, weights_only=True) and safetensors.torch.save_file"
)


@dataclass(frozen=True)
class Header:
    """What a safetensors file says of itself.

    Attributes:
        path: The file.
        shapes: The shape of each tensor.
        precisions: The format's name of each tensor's numbers, such as ``F16`` or ``Q4_K``.
        metadata: What its makers wrote beside.
    """

    path: Path
    shapes: Mapping[str, tuple[int, ...]]
    precisions: Mapping[str, str]
    metadata: Mapping[str, str]

    @cached_property
    def parameters(self) -> int:
        """Numbers in all tensors."""
        return self.count(lambda _: True)

    def count(self, counts: Callable[[str], bool]) -> int:
        """Numbers in the tensors whose name ``counts``."""
        return sum(math.prod(shape) for name, shape in self.shapes.items() if counts(name))

    @cached_property
    def precision(self) -> str:
        """The numbers that most of it is in."""
        counts: Counter[str] = Counter()
        for name, shape in self.shapes.items():
            counts[self.precisions[name]] += math.prod(shape)
        return counts.most_common(1)[0][0] if counts else "none"


def read_header(path: Path) -> Header:
    """The checked header of a safetensors file, or of one that ends in ``.gguf``.

    Raises:
        ModelError: it is not a regular file, is something else, is damaged, or is cut short.
    """
    size = _size(path)
    if path.suffix == GGUF_ENDING:
        from underpaint.models.gguf_header import read_gguf_header  # noqa: PLC0415  it needs Header

        return read_gguf_header(path)
    with _readable(path) as file:
        first = file.read(32)
        _refuse_other_kinds(path, first)
        if size < 8:
            raise _damaged(path, "it is shorter than any header")
        length = int.from_bytes(first[:8], "little")
        if length > MOST_HEADER_BYTES:
            raise _damaged(path, f"its header would be {length} bytes long")
        if length > size - 8:
            raise _cut(path, 8 + length - size, at_least=True)
        file.seek(8)
        raw = file.read(length)
    entries = _parsed(path, raw)
    metadata = entries.pop("__metadata__", {})
    if not isinstance(metadata, dict):
        raise _damaged(path, "its metadata is no object")
    if len(entries) > MOST_TENSORS:
        raise _damaged(path, f"it names {len(entries)} tensors, and no model has {MOST_TENSORS}")
    shapes: dict[str, tuple[int, ...]] = {}
    precisions: dict[str, str] = {}
    spans: list[tuple[int, int]] = []
    for name, entry in entries.items():
        precisions[name], shapes[name], span = _checked(path, name, entry)
        spans.append(span)
    _check_spans(path, spans, size - 8 - length)
    told = {str(key): str(value) for key, value in cast("dict[Any, Any]", metadata).items()}
    return Header(path, shapes, precisions, told)


def check_shards(index: Path) -> tuple[Path, ...]:
    """The files of a ``.safetensors.index.json``, each beside it and with a sound header.

    Raises:
        ModelError: the index is damaged, leads elsewhere, or names what is not there.
    """
    try:
        content: Any = json.loads(index.read_bytes())
        places = cast("dict[str, Any]", content["weight_map"])
        named = sorted({str(name) for name in places.values()})
    except OSError as problem:
        raise _unreadable(index, problem) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise _damaged(index, "it is no shard index") from None
    shards: list[Path] = []
    held: dict[str, Header] = {}
    for name in named:
        plain = name not in {"", ".", ".."} and not set(name) & set("/\\\0:")
        if not plain:
            raise _damaged(index, f"it names {name[:80]!r}, which is no plain file name")
        shard = index.with_name(name)
        held[name] = read_header(shard)
        shards.append(shard)
    for tensor, name in places.items():
        if tensor not in held[str(name)].shapes:
            raise _damaged(index, f"{name} does not hold {tensor[:80]!r}")
    return tuple(shards)


def variant_of(weights: Path) -> str | None:
    """Which numbers or mean a weight file or shard index holds, such as ``fp16``; None for the plain ones."""
    found = _WEIGHTS.fullmatch(weights.name)
    return None if found is None else found["variant"] or found["of"]


def weights_in(folder: Path) -> tuple[Path, ...]:
    """The files of a network's folder that would be loaded, or their shard index; by their names alone.

    Repositories hold a network several times: in halves, as a running mean. Plain files come first.
    """
    found: dict[str | None, list[Path]] = {}
    for path in sorted(folder.glob("*.safetensors*")):
        if _WEIGHTS.fullmatch(path.name):
            found.setdefault(variant_of(path), []).append(path)
    for variant in (None, *HALF_VARIANTS, *found):
        if files := found.get(variant):
            indexes = [path for path in files if path.suffix == ".json"]
            usual = [path for path in files if path.name.split(".")[0] in _USUAL_BASES]
            return tuple(indexes or usual or files)
    return ()


def check_weights(folder: Path) -> tuple[Path, ...]:
    """The sound safetensors files of a network's folder.

    Raises:
        ModelError: it has none, only pickles, or one that is damaged.
    """
    files = weights_in(folder)
    try:
        if files and files[0].suffix == ".json":
            return tuple(shard for index in files for shard in check_shards(index))
        if files:
            return tuple(read_header(file).path for file in files)
    except ModelError as problem:  # file names are much the same in all folders
        raise ModelError(f"{folder.name}/{problem}") from None
    pickles = sorted(one.name for one in folder.glob("*") if one.suffix in PICKLE_ENDINGS)
    if pickles:
        raise ModelError(f"{folder.name} holds only {pickles[0]}; {PICKLE_ADVICE}")
    raise ModelError(f"{folder.name} holds no weights; fetch its .safetensors file")


def _size(path: Path) -> int:
    try:
        facts = os.stat(path)  # noqa: PTH116  follows links, never opens
    except (OSError, ValueError):
        raise ModelError(f"{path.name} is missing; fetch it, or name where it lies") from None
    if not stat.S_ISREG(facts.st_mode):
        raise ModelError(f"{path.name} is not a regular file; name a .safetensors file")
    return facts.st_size


def _readable(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as problem:
        raise _unreadable(path, problem) from None


def _unreadable(path: Path, problem: OSError) -> ModelError:
    return ModelError(f"{path.name} cannot be read ({problem.strerror}); allow it, or name another")


def _refuse_other_kinds(path: Path, first: bytes) -> None:
    sound = first[8:9] == b"{"  # then two bytes that a pickle begins with are a header's length
    for magic, kind in _OTHER_KINDS.items():
        if first.startswith(magic) and not (sound and len(magic) == 2):
            advice = f"; {PICKLE_ADVICE}" if "pickle" in kind else "; fetch the file itself"
            if magic == b"GGUF":
                advice = "; let its name end in .gguf"
            raise ModelError(f"{path.name} is {kind}, whatever its name{advice}")


def _parsed(path: Path, raw: bytes) -> dict[str, Any]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        if len(set(names)) < len(names):
            raise ValueError("twice")
        return dict(pairs)

    try:
        content: object = json.loads(raw, object_pairs_hook=once)
    except (ValueError, RecursionError) as problem:
        twice = str(problem) == "twice"
        raise _damaged(
            path, "a name is there twice" if twice else "its header is not JSON"
        ) from None
    if not isinstance(content, dict):
        raise _damaged(path, "its header is no object")
    return cast("dict[str, Any]", content)


def _checked(path: Path, name: str, entry: object) -> tuple[str, tuple[int, ...], tuple[int, int]]:
    told = cast("dict[str, object]", entry) if isinstance(entry, dict) else {}
    precision, shape, place = (told.get(key) for key in ("dtype", "shape", "data_offsets"))
    if not (isinstance(precision, str) and isinstance(shape, list) and isinstance(place, list)):
        raise _damaged(path, f"{name[:80]!r} is not described as a tensor")
    numbers = (*cast("list[object]", shape), *cast("list[object]", place))
    if len(cast("list[object]", place)) != 2:
        raise _damaged(path, f"{name[:80]!r} is not described as a tensor")
    if not all(isinstance(one, int) and not isinstance(one, bool) and one >= 0 for one in numbers):
        raise _damaged(path, f"{name[:80]!r} has a shape or place that is no whole number")
    if precision not in PRECISIONS:
        raise _damaged(path, f"{name[:80]!r} is in {precision[:20]!r}, which is not known")
    sides = tuple(cast("list[int]", shape))
    span = cast("tuple[int, int]", tuple(cast("list[int]", place)))
    bits = math.prod(sides) * PRECISIONS[precision]
    if span[1] - span[0] != bits // 8:
        raise _damaged(path, f"{name[:80]!r} takes {span[1] - span[0]} bytes and needs {bits // 8}")
    return precision, sides, span


def _check_spans(path: Path, spans: list[tuple[int, int]], room: int) -> None:
    """Tensors must follow each other without a gap or an overlap, and end where the file does."""
    ordered = [(0, 0), *sorted(spans)]
    for (_, end), (begin, _) in pairwise(ordered):
        if begin != end:
            raise _damaged(
                path, "its tensors overlap" if begin < end else "its tensors leave a gap"
            )
    last = ordered[-1][1]
    if last > room:
        raise _cut(path, last - room)
    if last < room:
        raise _damaged(path, f"{room - last} bytes follow its last tensor")


def _damaged(path: Path, why: str) -> ModelError:
    return ModelError(f"{path.name} is no sound safetensors file: {why}; fetch it anew")


def _cut(path: Path, missing: int, *, at_least: bool = False) -> ModelError:
    some = "at least " if at_least else ""
    return ModelError(
        f"{path.name} was not downloaded to its end: {some}{missing} bytes are missing; fetch it anew"
    )
