"""Models that many people have, by their names on the hub; and what licences models have; no torch."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from underpaint.errors import ModelError
from underpaint.models.catalog import Checkpoint
from underpaint.models.families import FAMILIES, Family
from underpaint.request import Distilled

_FRONT_MATTER_BYTES = 8192
_SAID = re.compile(r"^(license|license_name):[ \t]*[\"']?([\w.+-]+)", re.MULTILINE)
_UNSAID = frozenset({"other", "unknown"})  # what the hub calls those that are not in its list


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model of the hub.

    Attributes:
        name: What ``--model`` fetches it by.
        family_name: Its family.
        gigabytes: About how much that fetches.
        licence: As its page calls it.
        distilled: How it was distilled.
        gated: Whether its terms must be accepted on its page first.
    """

    name: str
    family_name: str
    gigabytes: float
    licence: str
    distilled: Distilled = "none"
    gated: bool = False

    @property
    def family(self) -> Family:
        """Its family, which knows what suits it."""
        return FAMILIES[self.family_name]


_SD, _XL, _XL_REFINER, _SD3 = (
    "stable-diffusion", "stable-diffusion-xl", "stable-diffusion-xl-refiner", "stable-diffusion-3",
)  # fmt: skip
_STABILITY, _DEV = "stabilityai-ai-community", "flux-1-dev-non-commercial-license"

# The first of each family has the licence that is usual in it.
KNOWN: tuple[KnownModel, ...] = (
    KnownModel("stable-diffusion-v1-5/stable-diffusion-v1-5", _SD, 4.3, "creativeml-openrail-m"),
    KnownModel("stabilityai/stable-diffusion-xl-base-1.0", _XL, 13.9, "openrail++"),
    KnownModel("stabilityai/sdxl-turbo", _XL, 13.9, "sai-nc-community", "turbo"),
    KnownModel("stabilityai/stable-diffusion-xl-refiner-1.0", _XL_REFINER, 12.2, "openrail++"),
    KnownModel("stabilityai/stable-diffusion-3.5-medium", _SD3, 16, _STABILITY, gated=True),
    KnownModel("stabilityai/stable-diffusion-3.5-large", _SD3, 27, _STABILITY, gated=True),
    KnownModel("black-forest-labs/FLUX.1-dev", "flux", 33.7, _DEV, gated=True),
    KnownModel("black-forest-labs/FLUX.1-schnell", "flux", 33.7, "apache-2.0", "turbo"),
    KnownModel("lodestones/Chroma1-HD", "chroma", 27.5, "apache-2.0"),
    KnownModel("Tongyi-MAI/Z-Image-Turbo", "z-image", 32.9, "apache-2.0", "turbo"),
    KnownModel("Qwen/Qwen-Image", "qwen-image", 57.7, "apache-2.0"),
)


@dataclass(frozen=True, slots=True)
class Licence:
    """What a model's licence is called, and how that is known.

    Attributes:
        name: Its name; that of a file to read where ``source`` is ``file``.
        source: The model's ``card``, its weights' own ``metadata``, a licence ``file`` beside it, its
            name on the ``hub``, or only what is ``usual`` in its family.
    """

    name: str
    source: Literal["card", "metadata", "file", "hub", "usual"]

    def __str__(self) -> str:
        """As a person reads it."""
        match self.source:
            case "usual":
                return f"usually {self.name}"
            case "file":
                return f"see {self.name}"
            case _:
                return self.name


def licence_of(found: Checkpoint) -> Licence:
    """The licence of a model on disk, as well as it can be told without a network."""
    return next(_licences(found))


def _licences(found: Checkpoint) -> Iterator[Licence]:
    """All that tells of it, the surest first; the last one always comes."""
    whole = found.file is None
    if whole and (said := _said_by_card(found.folder)):
        yield Licence(said, "card")
    if said := _said_by_weights(found):
        yield Licence(said, "metadata")
    repo = None if found.hub is None else found.hub.repo
    if known := next((one for one in KNOWN if one.name == repo), None):
        yield Licence(known.licence, "hub")
    if whole and (file := _licence_file(found.folder)):
        yield Licence(file, "file")
    alike = [one for one in KNOWN if one.family is found.family]
    # FLUX.1 dev's does not hold for schnell, nor the other way round
    nearest = next((one for one in alike if one.distilled == found.distilled), alike[0])
    yield Licence(nearest.licence, "usual")


def _said_by_card(folder: Path) -> str | None:
    """What the front matter of its ``README.md`` says."""
    try:
        with (folder / "README.md").open("rb") as card:
            front = card.read(_FRONT_MATTER_BYTES).decode("utf-8-sig", "replace")
    except OSError:
        return None
    if not front.startswith("---"):
        return None
    said = dict(_SAID.findall(front[3:].partition("\n---")[0]))
    told = [said.get("license_name"), said.get("license")]
    return next((one for one in told if one and one not in _UNSAID), None)


def _said_by_weights(found: Checkpoint) -> str | None:
    """What the headers of its weights say, as far as they are there."""
    try:
        headers = found.part(found.family.core).headers()
    except ModelError:
        return None
    told = (header.metadata.get("modelspec.license") for header in headers)
    return next((one for one in told if one), None)


def _licence_file(folder: Path) -> str | None:
    names = sorted(one.name for one in folder.glob("*") if one.is_file())
    return next((one for one in names if one.lower().startswith(("license", "licence"))), None)
