"""Everything that made a picture, as data: it travels in the result's own metadata.

A recipe holds no time of day, no duration and no absolute path, so the same run writes the same
bytes, and the bytes can be made again from the recipe alone.
"""

import json
import math
from dataclasses import asdict, dataclass
from typing import Annotated, Any, cast

from pydantic import Field, TypeAdapter, ValidationError

from underpaint.errors import RecipeError, RequestError
from underpaint.fidelity import Comparison
from underpaint.geometry import Size
from underpaint.infotext import Infotext, write_infotext
from underpaint.plan import Plan
from underpaint.request import Request
from underpaint.xmp import read_packet, write_packet

VERSION = 1  # of the layout of a recipe's JSON
MOST_THREADS = 1024  # a recipe is read from files that anyone may have written
VERSIONS_THAT_DECIDE = ("underpaint", "torch", "diffusers", "transformers", "numpy", "pillow")
LARGEST_LEVEL = 1e9  # of noise, in a recipe that a run has written
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
    threads: Annotated[int, Field(ge=1, le=MOST_THREADS)]
    rows_per_call: Annotated[int, Field(ge=1)]
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
        fidelity: How far the result strayed from the source, both at the result's size; None in
            recipes of builds that did not measure it.
        refiner: Which model took over, if one did.
    """

    request: Request
    plan: Plan
    source: SourceFacts
    model: ModelFacts
    build: Build
    working_size: Size
    size: Size
    fidelity: Comparison | None = None
    refiner: ModelFacts | None = None

    def check_complete(self, written: object) -> None:
        """Makes sure that nothing is left for a model to decide and nothing ``written`` went unread.

        Raises:
            RecipeError: something is.
        """
        asked = self.request
        open_ends = {asked.guidance_scale, asked.sampler, asked.spacing, asked.seed, asked.model}
        if asked.variation:
            open_ends.add(asked.variation_seed)
        if None in open_ends or not _holds(json.loads(self.to_json()), written):
            raise RecipeError("the file's underpaint recipe is of another build and cannot be read")
        start = math.hypot(self.plan.start.alpha, self.plan.start.sigma)
        if asked.count != 1 or not 0 < start < LARGEST_LEVEL:
            raise ValueError("no run writes that")

    def makes_the_same_as(self, other: "Recipe") -> bool:
        """Whether ``other`` makes the same picture, bytes included, on the same build.

        Notices and measurements are what a run finds out; they follow from the rest.
        """
        one, two = self.to_dict(), other.to_dict()
        one["plan"].pop("notices")
        two["plan"].pop("notices")
        parts = ("request", "plan", "source", "model", "refiner", "build", "working_size", "size")
        return all(one[part] == two[part] for part in parts)

    @property
    def digital_source_type(self) -> str | None:
        """IPTC's word for where the pixels come from, a full URI.

        A composite with trained media, or wholly trained media where the source was ignored. At
        strength 0 no model ran: the pixels are the source's, whose origin is not ours to state.
        """
        if self.plan.evaluations == 0:
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
            "fidelity": None if self.fidelity is None else asdict(self.fidelity),
            "refiner": None if self.refiner is None else asdict(self.refiner),
        }

    def to_json(self) -> str:
        """The recipe as one line of JSON with sorted keys: equal recipes give equal text."""
        return json.dumps(self.to_dict(), sort_keys=True, ensure_ascii=False, separators=(",", ":"))

    def to_xmp(self) -> bytes:
        """The XMP packet that carries the recipe and marks the picture as made with a model."""
        return write_packet(self.to_json(), self.digital_source_type)

    @property
    def _counted_skip(self) -> int | None:
        """The layer as other programs count it, from the last; only where the last is the usual one."""
        skip = self.request.clip_skip
        return skip + 1 if skip and self.model.family == "stable-diffusion" else None

    def to_infotext(self) -> str:
        """What other programs read: prompt, negative prompt and the settings they know."""
        asked = self.request
        settings = {
            "Steps": self.plan.evaluations,
            "Sampler": _SAMPLER_LABELS.get(asked.sampler or "", asked.sampler),
            "Schedule type": _SPACING_LABELS.get(asked.spacing or "", asked.spacing),
            "CFG scale": asked.guidance_scale,
            "Eta": asked.eta,
            "Seed": asked.seed,
            "Variation seed": asked.variation_seed,
            "Variation seed strength": asked.variation or None,
            "Size": f"{self.size.width}x{self.size.height}",
            "Model hash": self.model.sha256[:10],
            "Model": self.model.name,
            "Denoising strength": asked.strength,
            "Clip skip": self._counted_skip,
            "Refiner": None if self.refiner is None else self.refiner.name,
            "Refiner switch at": None if self.refiner is None else 1 - asked.refiner_start,
            "Strength scale": None if asked.strength_scale == "schedule" else asked.strength_scale,
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
            parts = {name: value for name, value in content.items() if name != "recipe"}
            parts["request"] = {**content["request"], "source": source}
            recipe = _READER.validate_python(parts)
            recipe.check_complete(content)
            json.dumps(content, allow_nan=False)  # 1e999 is read as infinity
        except RecipeError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as problem:
            raise RecipeError(_refused(problem)) from None
        return recipe

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


def _refused(problem: Exception) -> str:
    """What to say of a recipe that cannot be read: which wish this build does not know, if it is that."""
    if isinstance(problem, ValidationError):
        for one in problem.errors():
            if isinstance(why := one.get("ctx", {}).get("error"), RequestError):
                return f"the file's underpaint recipe cannot be read by this build: {why}"
    return "the file's underpaint recipe is damaged and cannot be read"


def _check_version(version: object) -> None:
    if version != VERSION:
        raise RecipeError(
            f"the recipe is of version {version!r:.20} and this build reads version {VERSION}; "
            "install a later one"
        )


def _holds(ours: object, theirs: object) -> bool:
    """Whether everything that they wrote was read; what they left out took a default."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        known, given = cast("dict[str, object]", ours), cast("dict[str, object]", theirs)
        return all(key in known and _holds(known[key], value) for key, value in given.items())
    if isinstance(ours, list) and isinstance(theirs, list):
        mine, others = cast("list[object]", ours), cast("list[object]", theirs)
        return len(mine) == len(others) and all(map(_holds, mine, others))
    return ours == theirs


_READER = TypeAdapter(Recipe)
