"""Models that many people have, by their names on the hub; and the licences of those on disk; no torch."""

import re
from dataclasses import dataclass
from pathlib import Path

from underpaint.models.families import FAMILIES, Family
from underpaint.request import Distilled

_FRONT_MATTER_BYTES = 8192
_SAID = re.compile(r"^(license|license_name): *[\"']?([\w.+-]+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model that is not on this disk.

    Attributes:
        name: What ``--model`` fetches it by.
        family_name: Its family.
        parameters: Of all its parts, in billions.
        licence: As its page calls it.
        distilled: How it was distilled.
        gated: Whether its terms must be accepted on its page first.
    """

    name: str
    family_name: str
    parameters: float
    licence: str
    distilled: Distilled = "none"
    gated: bool = False

    @property
    def family(self) -> Family:
        """Its family, which knows what suits it."""
        return FAMILIES[self.family_name]

    @property
    def size_bytes(self) -> int:
        """How large its files are in numbers of 16 bits, roughly."""
        return round(self.parameters * 2e9)


_SD, _XL, _SD3 = "stable-diffusion", "stable-diffusion-xl", "stable-diffusion-3"

KNOWN: tuple[KnownModel, ...] = (
    KnownModel("stable-diffusion-v1-5/stable-diffusion-v1-5", _SD, 1.07, "creativeml-openrail-m"),
    KnownModel("stabilityai/stable-diffusion-xl-base-1.0", _XL, 3.47, "openrail++"),
    KnownModel(
        "stabilityai/stable-diffusion-xl-refiner-1.0",
        "stable-diffusion-xl-refiner",
        3.0,
        "openrail++",
    ),
    KnownModel("stabilityai/sdxl-turbo", _XL, 3.47, "sai-nc-community", "turbo"),
    KnownModel(
        "stabilityai/stable-diffusion-3.5-medium",
        _SD3,
        8.1,
        "stabilityai-ai-community",
        gated=True,
    ),
    KnownModel(
        "stabilityai/stable-diffusion-3.5-large",
        _SD3,
        13.7,
        "stabilityai-ai-community",
        gated=True,
    ),
    KnownModel(
        "black-forest-labs/FLUX.1-dev",
        "flux",
        16.9,
        "flux-1-dev-non-commercial-license",
        gated=True,
    ),
    KnownModel("black-forest-labs/FLUX.1-schnell", "flux", 16.9, "apache-2.0", "turbo"),
    KnownModel("lodestones/Chroma1-HD", "chroma", 13.7, "apache-2.0"),
    KnownModel("Tongyi-MAI/Z-Image-Turbo", "z-image", 10.3, "apache-2.0", "turbo"),
    KnownModel("Qwen/Qwen-Image", "qwen-image", 28.8, "apache-2.0"),
)


def licence_of(name: str, folder: Path) -> str | None:
    """What the model's card says, or what is known of that name on the hub; None where neither does.

    Args:
        name: Its name, with a revision if need be.
        folder: Where it lies; its ``README.md`` is the card.
    """
    try:
        with (folder / "README.md").open("rb") as card:
            front = card.read(_FRONT_MATTER_BYTES).decode("utf-8", "replace")
    except OSError:
        front = ""
    if front.startswith("---"):
        said = dict(_SAID.findall(front[3:].partition("\n---")[0]))
        if told := said.get("license_name") or said.get("license"):
            return str(told)
    repo = name.partition("@")[0]
    return next((one.licence for one in KNOWN if one.name == repo), None)
