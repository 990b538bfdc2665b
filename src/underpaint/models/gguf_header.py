"""The header of a GGUF file, checked before anything of it is mapped; no torch.

The format: github.com/ggml-org/ggml, ``docs/gguf.md``. Numbers are little-endian; what tensors hold begins
behind the header, at a multiple of the alignment that it names.
"""

import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, Literal

from underpaint.errors import ModelError
from underpaint.models.headers import MOST_TENSORS, Header

MAGIC = b"GGUF"
VERSIONS = (2, 3)
MOST_TEXT = 1 << 20  # a key or a name is short; vocabularies are lists of short texts
MOST_FACTS = 10_000
MOST_LISTED = 10_000_000
MOST_SIDES = 4
# ggml's numbers of its types: name, numbers a block, bytes a block. Those that diffusers reads.
TYPES: Mapping[int, tuple[str, int, int]] = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 30: ("BF16", 1, 2),
    2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22), 7: ("Q5_1", 32, 24),
    8: ("Q8_0", 32, 34), 10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110), 12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210),
}  # fmt: skip
_FIXED = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}  # bytes of a value
_TEXT, _LIST, _UINT32 = 8, 9, 4


def read_gguf_header(path: Path) -> Header:
    """What the file says of itself; shapes as torch has them, rows first.

    Raises:
        ModelError: it is damaged, cut short, of another version, or in numbers that are not read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        try:
            return _read(path, _Reader(file), size)
        except (struct.error, UnicodeDecodeError):
            raise _damaged(path, "its header ends in the middle") from None


class _Reader:
    """Values one behind the other."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file

    def number(self, form: Literal["<I", "<Q"]) -> int:
        return int(struct.unpack(form, self.file.read(struct.calcsize(form)))[0])

    def text(self) -> str:
        length = self.number("<Q")
        if length > MOST_TEXT:
            raise struct.error
        return self._whole(length).decode("utf-8")

    def value(self) -> str | int | None:
        """One fact's value: a text, a whole number of 32 bits, or None for all else."""
        return self._value(self.number("<I"))

    def _value(self, kind: int) -> str | int | None:
        if kind == _TEXT:
            return self.text()
        if kind == _UINT32:
            return self.number("<I")
        if kind in _FIXED:
            self._whole(_FIXED[kind])
            return None
        if kind != _LIST:
            raise struct.error
        inner, count = self.number("<I"), self.number("<Q")
        if count > MOST_LISTED or inner == _LIST:
            raise struct.error
        for _ in range(count):
            self._value(inner)
        return None

    def _whole(self, length: int) -> bytes:
        read = self.file.read(length)
        if len(read) < length:
            raise struct.error
        return read


def _read(path: Path, reader: _Reader, size: int) -> Header:
    if reader.file.read(4) != MAGIC or reader.number("<I") not in VERSIONS:
        raise _damaged(path, f"it is no GGUF of version {' or '.join(map(str, VERSIONS))}")
    tensors, facts = reader.number("<Q"), reader.number("<Q")
    if tensors > MOST_TENSORS or facts > MOST_FACTS:
        raise _damaged(path, f"it names {tensors} tensors and {facts} facts")
    said = {reader.text(): reader.value() for _ in range(facts)}
    shapes: dict[str, tuple[int, ...]] = {}
    precisions: dict[str, str] = {}
    spans: list[tuple[int, int]] = []
    for _ in range(tensors):
        name, sides = reader.text(), reader.number("<I")
        if sides > MOST_SIDES or name in shapes:
            raise _damaged(path, f"{name[:80]!r} has {sides} sides, or stands there twice")
        shapes[name] = tuple(reader.number("<Q") for _ in range(sides))[::-1]
        kind, begin = reader.number("<I"), reader.number("<Q")
        if kind not in TYPES:
            raise ModelError(
                f"{path.name} holds {name[:80]} in numbers that are not read (ggml's type {kind}); give "
                "its version in Q8_0, Q4_0 or Q4_K"
            )
        precisions[name], block, block_bytes = TYPES[kind]
        count = math.prod(shapes[name])
        if count % block:
            raise _damaged(path, f"{name[:80]!r} is no whole number of blocks")
        spans.append((begin, begin + count // block * block_bytes))
    alignment = said.get("general.alignment", 32)
    if not isinstance(alignment, int) or alignment < 1:
        raise _damaged(path, "its alignment is no number")
    start = math.ceil(reader.file.tell() / alignment) * alignment
    _check_spans(path, spans, size - start)
    texts = {name: value for name, value in said.items() if isinstance(value, str)}
    return Header(path, shapes, precisions, texts)


def _check_spans(path: Path, spans: list[tuple[int, int]], room: int) -> None:
    end = 0
    for begin, until in sorted(spans):
        if begin < end:
            raise _damaged(path, "two of its tensors overlap")
        end = until
    if end > room:
        raise ModelError(
            f"{path.name} is cut short, {end - room} bytes are missing; it may still be downloading, "
            "or fetch it anew"
        )


def _damaged(path: Path, why: str) -> ModelError:
    return ModelError(f"{path.name} is no sound GGUF file: {why}; fetch it anew")
