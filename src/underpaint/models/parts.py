"""Where the weights of each part of a checkpoint lie; no torch."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from underpaint.errors import ModelError
from underpaint.models.families import Family
from underpaint.models.headers import GGUF_ENDING, PRECISIONS, Header, check_weights, read_header
from underpaint.models.hub import HubPlace, fetch_part, is_hub_name, names


@dataclass(frozen=True, slots=True)
class Given:
    """A part that was given beside a model.

    Attributes:
        path: A folder in the diffusers layout, or a single file.
        name: What a recipe calls it: without folders, or a hub's name with its commit.
        hub: Where it lies on a hub; None where it lies on this machine.
    """

    path: Path
    name: str
    hub: HubPlace | None = None

    def is_at(self, place: str) -> bool:
        """Whether ``place`` names it: by its name, on a hub with any that leads there, or by where it lies."""
        if place == self.name or (self.hub is not None and names(place, self.hub)):
            return True
        return Path(os.path.expanduser(place)).resolve() == self.path.resolve()  # noqa: PTH111


GivenParts = Mapping[str, Given]


@dataclass(frozen=True, slots=True)
class SingleFile:
    """A checkpoint in one file.

    Attributes:
        path: The file.
        prefixes: What the key names of each part begin with.
    """

    path: Path
    prefixes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Part:
    """Where the weights of one role lie.

    Attributes:
        config: The folder with its ``config.json``.
        file: The single file that holds its weights; None where they lie beside the config.
        prefix: What its key names begin with in that file.
    """

    config: Path
    file: Path | None = None
    prefix: str = ""

    @property
    def is_quantised(self) -> bool:
        """Whether it is a GGUF file, whose numbers stay as they are stored."""
        return self.file is not None and self.file.suffix == GGUF_ENDING

    def headers(self) -> list[Header]:
        """The headers of its files; of those in several precisions, of the plain one.

        Raises:
            ModelError: a file is missing or damaged.
        """
        if self.file is not None:
            return [read_header(self.file)]
        return [read_header(file) for file in check_weights(self.config)]

    def parameters(self) -> int:
        """How many numbers it has; a single file may hold others, such as running means."""
        return sum(header.count(self._is_own) for header in self.headers())

    def stored_bytes(self) -> int:
        """How many bytes it takes as it is stored, 8-bit numbers doubled."""
        if self.is_quantised and self.file is not None:
            return self.file.stat().st_size
        return sum(
            math.prod(shape) * max(16, PRECISIONS[header.precisions[name]]) // 8
            for header in self.headers()
            for name, shape in header.shapes.items()
            if self._is_own(name)
        )

    def _is_own(self, name: str) -> bool:
        return name.startswith(self.prefix)


def part_of(role: str, folder: Path, whole: SingleFile | None, parts: GivenParts) -> Part:
    """Where ``role`` lies: in the place that was given for it, else in the checkpoint itself.

    Args:
        role: The part.
        folder: The checkpoint's, or the small configuration of its kind.
        whole: The single file, where the checkpoint is one.
        parts: What was given.
    """
    own = folder / role
    if role in parts:
        path = parts[role].path
        return Part(path) if path.is_dir() else Part(own, path, _prefix(path, role))
    if whole is not None and role in whole.prefixes:
        return Part(own, whole.path, whole.prefixes[role])
    return Part(own)


# What a whole checkpoint calls its autoencoder; one in a file of its own has no prefix.
_VAE_PREFIXES = ("first_stage_model.", "vae.")


def _prefix(file: Path, role: str) -> str:
    if role != "vae":
        return ""
    names = read_header(file).shapes
    return next((one for one in _VAE_PREFIXES if any(n.startswith(one) for n in names)), "")


def given(parts: Mapping[str, str | Path]) -> GivenParts:
    """Where each of these places is: a folder, a file, or a name on a hub, whose files are fetched.

    Raises:
        ModelError: it is on a hub and does not come.
    """
    return {role: _given(place) for role, place in parts.items()}


def _given(place: str | Path) -> Given:
    if isinstance(place, str) and is_hub_name(place):
        found = fetch_part(place)
        return Given(found.folder, found.name, found)
    path = Path(os.path.expanduser(place))  # noqa: PTH111  never raises
    return Given(path, path.name)


def check_parts(family: Family, parts: GivenParts) -> None:
    """Makes sure that ``parts`` names parts of the family, and what exists.

    Raises:
        ModelError: it does not.
    """
    known = sorted(family.roles.keys() - {family.core})
    for role, one in parts.items():
        place = one.path
        if role not in known:
            raise ModelError(
                f"{role[:80]!r} is no part of {family.name} that can be given; these are: "
                f"{', '.join(known)}"
            )
        if not place.exists():
            raise ModelError(
                f"there is no file or folder {str(place)!r}, which is given as the {role}; check the path"
            )
        if role.startswith("tokenizer") and not place.is_dir():
            raise ModelError(f"the {role} is given as {place.name}; give the folder of a tokenizer")
        if not (place.is_dir() or (place.is_file() and place.suffix == ".safetensors")):
            raise ModelError(
                f"the {role} is given as {place.name}, which is neither a folder in the diffusers "
                "layout nor a .safetensors file; give one of them"
            )
