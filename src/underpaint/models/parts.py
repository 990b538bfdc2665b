"""Where the weights of each part of a checkpoint lie; no torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from underpaint.errors import ModelError
from underpaint.models.families import Family
from underpaint.models.headers import read_header

Places = Mapping[str, Path]


@dataclass(frozen=True, slots=True)
class SingleFile:
    """A checkpoint in one file.

    Attributes:
        path: The file.
        parts: The prefix of each part's key names.
    """

    path: Path
    parts: Mapping[str, str]


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


def part_of(role: str, folder: Path, whole: SingleFile | None, places: Places) -> Part:
    """Where ``role`` lies: in the place that was given for it, else in the checkpoint itself.

    Args:
        role: The part.
        folder: The checkpoint's, or the small configuration of its kind.
        whole: The single file, where the checkpoint is one.
        places: Folders and files that were given.
    """
    own, given = folder / role, places.get(role)
    if given is not None:
        return Part(given) if given.is_dir() else Part(own, given, _prefix(given, role))
    if whole is not None and role in whole.parts:
        return Part(own, whole.path, whole.parts[role])
    return Part(own)


# What a whole checkpoint calls its autoencoder; one in a file of its own has no prefix.
_VAE_PREFIXES = ("first_stage_model.", "vae.")


def _prefix(file: Path, role: str) -> str:
    if role != "vae":
        return ""
    names = read_header(file).shapes
    return next((one for one in _VAE_PREFIXES if any(n.startswith(one) for n in names)), "")


def check_places(family: Family, places: Places) -> None:
    """Makes sure that ``places`` names parts of the family, and what exists.

    Raises:
        ModelError: it does not.
    """
    known = sorted(family.roles.keys() - {family.core})
    for role, place in places.items():
        if role not in known:
            raise ModelError(
                f"{role[:80]!r} is no part of {family.name} that can be given; these are: "
                f"{', '.join(known)}"
            )
        if role.startswith("tokenizer") and not place.is_dir():
            raise ModelError(f"the {role} is given as {place.name}; give the folder of a tokenizer")
        if not (place.is_dir() or (place.is_file() and place.suffix == ".safetensors")):
            raise ModelError(
                f"the {role} is given as {place.name}, which is neither a folder in the diffusers "
                "layout nor a .safetensors file; give one of them"
            )
