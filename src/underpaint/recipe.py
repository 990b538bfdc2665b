"""Everything that made a picture, as data: it travels in the result's own metadata.

A recipe holds no time of day, no duration and no absolute path, so the same run writes the same
bytes, and the bytes can be made again from the recipe alone.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any, cast

from underpaint.errors import Notice, RecipeError
from underpaint.geometry import Size
from underpaint.infotext import Infotext, write_infotext
from underpaint.levels import Level
from underpaint.plan import Plan
from underpaint.request import Request
from underpaint.xmp import read_packet, write_packet

VERSION = 1  # of the layout of a recipe's JSON
VERSIONS_THAT_DECIDE = ("underpaint", "torch", "diffusers", "transformers", "numpy", "pillow")
_SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"

# What the web UI calls the same things.
_SAMPLER_LABELS = {
    "euler": "Euler",
    "heun": "Heun",
    "dpmpp_2m": "DPM++ 2M",
    "dpmpp_2m_sde": "DPM++ 2M SDE",
    "euler_ancestral": "Euler a",
    "unipc": "UniPC",
    "ddim": "DDIM",
    "lcm": "LCM",
}
_SPACING_LABELS = {"model": "Uniform", "karras": "Karras", "log_snr": "Exponential"}


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """Which picture it was: its file name without folders, the hash of its file or pixels, its size."""

    name: str | None
    sha256: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """Which model it was: name, family and one hash over all of its files."""

    name: str
    family: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Build:
    """What else decides the bytes: versions, instruction set, threads, precision, batching."""

    underpaint: str
    torch: str
    diffusers: str
    transformers: str
    numpy: str
    pillow: str
    instruction_set: str
    device: str
    precision: str
    threads: int
    rows_per_call: int
    compiled: bool = False


@dataclass(frozen=True, slots=True)
class Recipe:
    """One finished picture's making.

    Attributes:
        request: What was asked for, with every None resolved and count 1.
        plan: The start and the levels that ran, and every notice.
        source: Which picture it started from.
        model: Which model ran.
        build: On what it ran.
        working_size: The size it was rendered at.
        size: The result's size.
    """

    request: Request
    plan: Plan
    source: SourceFacts
    model: ModelFacts
    build: Build
    working_size: Size
    size: Size

    @property
    def digital_source_type(self) -> str | None:
        """IPTC's word for where the pixels come from, a full URI.

        A composite with trained media, or wholly trained media where the source was ignored. At
        strength 0 no model ran: the pixels are the source's, whose origin is not ours to state.
        """
        if self.request.strength == 0:
            return None
        whole = self.request.strength == 1
        return _SOURCE_TYPES + (
            "trainedAlgorithmicMedia" if whole else "compositeWithTrainedAlgorithmicMedia"
        )

    def to_dict(self) -> dict[str, Any]:
        """The recipe as plain values, as they stand in its JSON."""
        return {
            "recipe": VERSION,
            "request": self.request.model_dump(mode="json"),
            "plan": asdict(self.plan),
            "source": asdict(self.source),
            "model": asdict(self.model),
            "build": asdict(self.build),
            "working_size": list(self.working_size),
            "size": list(self.size),
        }

    def to_json(self) -> str:
        """The recipe as one line of JSON with sorted keys: equal recipes give equal text."""
        return json.dumps(self.to_dict(), sort_keys=True, ensure_ascii=False, separators=(",", ":"))

    def to_xmp(self) -> bytes:
        """The XMP packet that carries the recipe and marks the picture as made with a model."""
        return write_packet(self.to_json(), self.digital_source_type)

    def to_infotext(self) -> str:
        """What other programs read: prompt, negative prompt and the settings they know."""
        asked = self.request
        settings = {
            "Steps": self.plan.evaluations,
            "Sampler": _SAMPLER_LABELS.get(asked.sampler or "", asked.sampler),
            "Schedule type": _SPACING_LABELS.get(asked.spacing or "", asked.spacing),
            "CFG scale": asked.guidance_scale,
            "Seed": asked.seed,
            "Size": f"{self.size.width}x{self.size.height}",
            "Model hash": self.model.sha256[:10],
            "Model": self.model.name,
            "Denoising strength": asked.strength,
            "Version": f"underpaint {self.build.underpaint}",
        }
        written = {key: str(value) for key, value in settings.items() if value is not None}
        return write_infotext(Infotext(asked.prompt, asked.negative_prompt, written))

    @classmethod
    def from_json(cls, text: str, *, source: object = None) -> "Recipe":
        """The recipe that ``to_json`` wrote, its request pointing at ``source``.

        Raises:
            RecipeError: the text is no recipe, or one of a later version.
        """
        try:
            content = cast("dict[str, Any]", json.loads(text))
            _check_version(content["recipe"])
            return cls(
                request=Request(source=source, **content["request"]),
                plan=_plan(content["plan"]),
                source=SourceFacts(**content["source"]),
                model=ModelFacts(**content["model"]),
                build=Build(**content["build"]),
                working_size=Size(*map(int, content["working_size"])),
                size=Size(*map(int, content["size"])),
            )
        except RecipeError:
            raise
        except (ValueError, KeyError, TypeError, RecursionError):
            raise RecipeError(
                "the file's underpaint recipe is damaged and cannot be read"
            ) from None

    @classmethod
    def from_xmp(cls, packet: bytes, *, source: object = None) -> "Recipe | None":
        """The recipe in a packet that anyone may have written, or None where it holds none.

        Raises:
            RecipeError: it holds one that cannot be read.
        """
        try:
            found = read_packet(packet).recipe
        except ValueError:
            return None
        return None if found is None else cls.from_json(found, source=source)


def _check_version(version: object) -> None:
    if version != VERSION:
        raise RecipeError(
            f"the recipe is of version {version!r:.20} and this build reads version {VERSION}; "
            "install a later one"
        )


def _plan(content: dict[str, Any]) -> Plan:
    return Plan(
        start=Level(**content["start"]),
        levels=tuple(Level(**level) for level in content["levels"]),
        evaluations=int(content["evaluations"]),
        notices=tuple(Notice(**notice) for notice in content["notices"]),
    )
