"""Where the vocabulary of a tokenizer lies, for checkpoints that are a single file; no torch.

Such a file holds weights alone. The vocabularies are a few hundred kilobytes and the same for all of
a family, so one copy anywhere on the machine will do.
"""

import gzip
import importlib.util
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from underpaint.errors import ModelError

PLACES_VARIABLE = "UNDERPAINT_TOKENIZERS"
CLIP_FILES = ("vocab.json", "merges.txt")
WHOLE_FILE = "tokenizer.json"
_T5_FIRST = ["<pad>", "</s>", "<unk>"]  # what tells its vocabulary from other Unigrams
_T5_PADDING = 128  # its network knows the words rounded up to a multiple of that
_CLIP_END = "<|endoftext|>"
_OPEN_CLIP_FILE = "bpe_simple_vocab_16e6.txt.gz"
_CLIP_MERGES = 49152 - 256 - 2  # open_clip's tokenizer.py: the file holds more than CLIP uses


def complete_tokenizer(config: Path, into: Path, *, beside: Path, entries: int) -> Path:
    """A tokenizer's folder ``into``: its small ``config`` files with a vocabulary that was found.

    Args:
        config: The folder with ``tokenizer_config.json``.
        into: An empty folder to fill.
        beside: The checkpoint's file; what lies beside it is looked at first.
        entries: How many words the text encoder knows.

    Raises:
        ModelError: there is no such vocabulary on this machine.
    """
    told = cast("dict[str, Any]", json.loads((config / "tokenizer_config.json").read_text("utf-8")))
    clip = str(told.get("tokenizer_class", "")).startswith("CLIP")
    shutil.copytree(config, into, dirs_exist_ok=True)
    for place in _places(beside):
        if (_took_clip if clip else _took_t5)(place, into, entries):
            return into
    if clip and _took_open_clip(into, entries):
        return into
    kind, files = ("CLIP", " and ".join(CLIP_FILES)) if clip else ("T5", WHOLE_FILE)
    raise ModelError(
        f"{beside.name} needs the vocabulary of {kind}, which it does not hold and which is nowhere on "
        f"this machine; put {files} into a folder called tokenizer beside it, or into one that "
        f"{PLACES_VARIABLE} names"
    )


def _places(beside: Path) -> Iterator[Path]:
    """Folders that may hold a vocabulary, the nearest first."""
    named = os.environ.get(PLACES_VARIABLE)
    roots = [Path(named)] if named else []
    roots.append(beside.parent)
    for root in roots:
        yield root
        yield from (root / name for name in ("tokenizer", "tokenizer_2", "tokenizer_3"))
    for snapshot in sorted(_hub_cache().glob("models--*/snapshots/*")):
        yield snapshot
        yield from sorted(snapshot.glob("tokenizer*"))


def _hub_cache() -> Path:
    """Where huggingface_hub keeps what it fetched (its docs, "Environment variables")."""
    told = os.environ.get
    own = told("XDG_CACHE_HOME") or "~/.cache"
    home = told("HF_HOME") or os.path.join(own, "huggingface")  # noqa: PTH118  "~" comes last
    cache = told("HF_HUB_CACHE") or told("HUGGINGFACE_HUB_CACHE") or os.path.join(home, "hub")  # noqa: PTH118
    return Path(os.path.expanduser(cache))  # noqa: PTH111  never raises


def _took_clip(place: Path, into: Path, entries: int) -> bool:
    return _took_pair(place, into, entries) or _took_whole(place, into, entries)


def _took_pair(place: Path, into: Path, entries: int) -> bool:
    vocabulary, merges = (place / name for name in CLIP_FILES)
    if not (vocabulary.is_file() and merges.is_file()):
        return False
    try:
        words: object = json.loads(vocabulary.read_text("utf-8"))
    except (OSError, ValueError):
        return False
    if not isinstance(words, dict) or len(cast("dict[str, int]", words)) != entries:
        return False
    for file in (vocabulary, merges):
        shutil.copyfile(file, into / file.name)
    return True


def _took_whole(place: Path, into: Path, entries: int) -> bool:
    """The same from a ``tokenizer.json``, which is all that transformers 5 writes."""
    try:
        model: Any = json.loads((place / WHOLE_FILE).read_text("utf-8"))["model"]
        words, merges = model["vocab"], model["merges"]
        if model["type"] != "BPE" or len(words) != entries or _CLIP_END not in words:
            return False
        lines = [one if isinstance(one, str) else " ".join(one) for one in merges]
    except (OSError, ValueError, LookupError, TypeError):
        return False
    _write_clip(into, words, lines)
    return True


def _took_t5(place: Path, into: Path, entries: int) -> bool:
    """Whether it is T5's: many other models have a ``tokenizer.json`` in the same cache."""
    file = place / WHOLE_FILE
    if not file.is_file():
        return False
    try:
        content: Any = json.loads(file.read_text("utf-8"))
        model = content["model"]
        words = [str(piece[0]) for piece in model["vocab"]] if model["type"] == "Unigram" else []
    except (OSError, ValueError, LookupError, TypeError):
        return False
    if words[:3] != _T5_FIRST or not entries - _T5_PADDING < len(words) <= entries:
        return False
    shutil.copyfile(file, into / WHOLE_FILE)
    return True


def _took_open_clip(into: Path, entries: int) -> bool:
    """The same vocabulary as the package open_clip ships it, where that is installed."""
    found = importlib.util.find_spec("open_clip")
    places = found.submodule_search_locations if found else None
    file = Path(next(iter(places))) / _OPEN_CLIP_FILE if places else None
    if file is None or not file.is_file():
        return False
    merges = gzip.decompress(file.read_bytes()).decode("utf-8").split("\n")[1 : _CLIP_MERGES + 1]
    letters = byte_letters()
    words = [*letters, *(f"{letter}</w>" for letter in letters)]
    words += ["".join(pair.split()) for pair in merges]
    words += ["<|startoftext|>", _CLIP_END]
    if len(words) != entries:
        return False
    _write_clip(into, {word: number for number, word in enumerate(words)}, merges)
    return True


def _write_clip(into: Path, words: Mapping[str, int], merges: Sequence[str]) -> None:
    """CLIP's two files."""
    (into / CLIP_FILES[0]).write_text(json.dumps(words, ensure_ascii=False), "utf-8")
    (into / CLIP_FILES[1]).write_text("\n".join(["#version: 0.2", *merges, ""]), "utf-8")


def byte_letters() -> list[str]:
    """One printable letter for each byte, printable bytes first (GPT-2, encoder.py: bytes_to_unicode)."""
    own = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in own]
    return [chr(byte) for byte in own] + [chr(256 + i) for i in range(len(others))]
