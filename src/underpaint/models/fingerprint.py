"""One hash over the files of a checkpoint that decide pixels; no torch."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from underpaint.models.headers import PICKLE_ENDINGS, variant_of, weights_in
from underpaint.models.parts import GivenParts

# Files that lie beside weights and decide nothing: other frameworks' copies of them, and texts for people.
OTHER_FRAMEWORKS = frozenset({".msgpack", ".onnx", ".onnx_data", ".h5", ".xml", ".pb", ".md"})
SLOW_BYTES = 64 * 1024 * 1024  # takes a tenth of a second to hash


def fingerprint(
    folder: Path, roles: Iterable[str], *, elsewhere: GivenParts, whole: Path | None
) -> str:
    """The SHA-256 of the names and hashes of everything that is loaded, in hexadecimal.

    Args:
        folder: The checkpoint's, or the small configuration of its kind.
        roles: Which of its folders count.
        elsewhere: What was given in the place of some.
        whole: The single file, where the checkpoint is one.
    """
    digest = hashlib.sha256()
    for name, path in _files(folder, roles, elsewhere):
        digest.update(f"{name}\0{_sha256(path).hex()}\n".encode())
    if whole is not None:
        digest.update(_sha256(whole))
    return digest.hexdigest()


def _files(folder: Path, roles: Iterable[str], elsewhere: GivenParts) -> Iterator[tuple[str, Path]]:
    """Every file but the single one, under the name that it has in a folder."""
    named = {name: folder / name for name in ("model_index.json", "underpaint.json")}
    for role in roles:
        place = elsewhere[role].path if role in elsewhere else folder / role
        inside = _loaded(place) if place.is_dir() else [place]
        named |= {f"{role}/{path.name}": path for path in inside}
    for name in sorted(named, key=lambda name: name.split("/")):
        if named[name].is_file():
            yield name, named[name]


def _loaded(folder: Path) -> Iterator[Path]:
    """A role's files, without what other programs left there and without other variants of its weights."""
    own = {variant_of(file) for file in weights_in(folder)}
    for path in folder.iterdir():
        other = path.name.startswith(".") or path.suffix in PICKLE_ENDINGS | OTHER_FRAMEWORKS
        if not other and (".safetensors" not in path.name or variant_of(path) in own):
            yield path


def _sha256(path: Path) -> bytes:
    """The hash of a file; that of a large one is kept on disk while nothing about the file changes."""
    facts = path.stat()
    if facts.st_size < SLOW_BYTES:
        return _hashed(path)
    times = (facts.st_mtime_ns, facts.st_ctime_ns)
    key = hashlib.sha256(repr((str(path.resolve()), facts.st_size, *times)).encode()).hexdigest()
    kept = _cache() / key
    with suppress(OSError, ValueError):
        read = bytes.fromhex(kept.read_text("ascii"))
        if len(read) == hashlib.sha256().digest_size:
            return read
    found = _hashed(path)
    with suppress(OSError):  # it is computed again then
        kept.parent.mkdir(parents=True, exist_ok=True)
        unfinished = kept.with_suffix(f".{os.getpid()}.tmp")
        unfinished.write_text(found.hex(), "ascii")
        unfinished.replace(kept)
    return found


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111  never raises
    return Path(home) / "underpaint" / "hashes"


def _hashed(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
