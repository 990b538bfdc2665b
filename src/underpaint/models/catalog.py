"""What a checkpoint is, read from its JSON alone: no torch, no weights, no code of its own.

A checkpoint is a folder in the diffusers layout or a single file, of one of the families; some of its
parts may lie elsewhere.
"""

import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

from underpaint.errors import ModelError, Notice
from underpaint.geometry import Size
from underpaint.levels import Schedule, read_schedule
from underpaint.models.distilled import DISTILLATIONS, assumed, named
from underpaint.models.families import Family, classes_of, family_of
from underpaint.models.headers import PICKLE_ENDINGS, read_header
from underpaint.models.hub import HubPlace, fetch_weights, is_hub_name, names
from underpaint.models.hub import find as find_on_hub
from underpaint.models.parts import Part, Places, SingleFile, check_places, part_of
from underpaint.models.recognition import recognise
from underpaint.plan import STEPS_OVER_ALL
from underpaint.request import SAMPLER_NAMES, Distilled, SamplerName, Told
from underpaint.survival import LEARNED, Recovery
from underpaint.vocabulary import Vocabulary

CONFIGS = Path(__file__).parent / "configs"
SHIPPED: Mapping[str, Path] = {"gesso": Path(__file__).parent / "gesso"}
DEFAULT_MODEL = "gesso"
LCM_SCALE = 8.5  # what Luo et al. 2023 feed a network that takes the guidance scale as an input
SLOW_BYTES = 64 * 1024 * 1024  # takes a tenth of a second to hash
CONFIG_LIMIT_BYTES = 4 * 1024 * 1024  # real configs are a few kilobytes, vocabularies one or two MB


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a model prefers where a request says nothing.

    Attributes:
        steps_over_all: Steps of a run at strength 1; shorter runs take their share.
        guidance_scale: Classifier-free guidance.
        sampler: The sampler's name.
        comfortable_area: The picture area, in pixels, up to which the model works well.
        minimum_px: The shortest side that it works at.
        vocabulary: The words it was taught; None for models that read anything.
        recovery: How well it makes out what noise covers.
        longest_chunks: How many readings of its text encoder it can follow; None for any number.
    """

    steps_over_all: int = STEPS_OVER_ALL
    guidance_scale: float = 7.5  # what SD 1.5 is commonly run with
    sampler: SamplerName = "dpmpp_2m"
    comfortable_area: int = 512 * 512  # what SD 1.x was trained at
    minimum_px: int = 64
    vocabulary: Vocabulary | None = None
    recovery: Recovery = LEARNED
    longest_chunks: int | None = None


@dataclass(frozen=True)
class Checkpoint:
    """A model on disk, and what its JSON says.

    Attributes:
        name: A shipped name, the folder's or file's own, or a hub's name with its commit.
        folder: Where it lies; for a single file, where the small configuration of its kind lies.
        family: The family whose adapter runs it.
        classes: The class of each role, such as ``{"unet": "UNet2DConditionModel"}``.
        scheduler: Its scheduler's JSON.
        defaults: What it prefers.
        latents: What its latents are: channels, and how its autoencoder scales and shifts them.
        cell_px: How many pixels a latent cell is wide.
        multiple_px: What both sides of a picture must be a multiple of: autoencoder times network.
        embeds_guidance: Whether the guidance scale is an input of the network, which then runs once.
        distilled: How it was taught to arrive in few steps, or ``none``.
        notices: What was assumed about it.
        file: The single file that holds its weights, where it is one.
        hub: Where it came from, where that is a hub; its weights may still have to be fetched.
        places: Where parts lie that were given beside it: folders or single files, by role.
    """

    name: str
    folder: Path
    family: Family
    classes: Mapping[str, str]
    scheduler: Mapping[str, Any]
    defaults: Defaults
    latents: tuple[float, ...]
    cell_px: int
    multiple_px: int
    embeds_guidance: bool = False
    distilled: Distilled = "none"
    notices: tuple[Notice, ...] = ()
    file: SingleFile | None = None
    hub: HubPlace | None = None
    places: Places = field(default_factory=dict[str, Path])

    @cached_property
    def schedule(self) -> Schedule:
        """Its noise levels at the size that suits it; some flows shift them for others."""
        side = math.isqrt(self.defaults.comfortable_area)
        return self.schedule_at(Size(side, side))

    def schedule_at(self, work: Size) -> Schedule:
        """Its noise levels for a picture rendered at that size."""
        tokens = math.ceil(work.width / self.multiple_px) * math.ceil(
            work.height / self.multiple_px
        )
        return read_schedule(self.scheduler, image_tokens=tokens)

    def is_at(self, model: str | None) -> bool:
        """Whether ``model``, a shipped name or a folder however spelt, is this checkpoint."""
        if model is not None and self.hub is not None and names(model, self.hub):
            return True
        own = self.folder if self.file is None else self.file.path
        return model is not None and folder_of(model).resolve() == own.resolve()

    @property
    def place(self) -> Path:
        """What to open it by again: its folder or its file, in full."""
        return (self.folder if self.file is None else self.file.path).resolve()

    def part(self, role: str) -> Part:
        """Where the weights of that role lie, and its config."""
        return part_of(role, self.folder, self.file, self.places)

    def fetch(self) -> None:
        """Makes sure that the weights are on this machine.

        Raises:
            ModelError: they are on a hub and do not come.
        """
        if self.hub is not None:
            own = self.classes.keys() - self.places.keys()
            fetch_weights(self.hub, sorted(role for role in own if "tokenizer" not in role))

    @cached_property
    def sha256(self) -> str:
        """One hash over the files that decide pixels: the JSON, the scheduler and the loaded roles."""
        self.fetch()
        digest = hashlib.sha256()
        for name, path in self._files():
            digest.update(f"{name}\0{_sha256(path).hex()}\n".encode())
        if self.file is not None:
            digest.update(_sha256(self.file.path))
        return digest.hexdigest()

    def _files(self) -> Iterator[tuple[str, Path]]:
        """Every file that is hashed but the single one, under the name that it has in a folder."""
        named = {name: self.folder / name for name in ("model_index.json", "underpaint.json")}
        for role in ("scheduler", *self.classes):
            place = self.places.get(role, self.folder / role)
            inside = place.iterdir() if place.is_dir() else [place]
            named |= {f"{role}/{path.name}": path for path in inside}
        for name in sorted(named, key=lambda name: name.split("/")):
            if named[name].is_file():
                yield name, named[name]


def _sha256(path: Path) -> bytes:
    """The hash of a file; that of a large one is remembered while its size and time stay."""
    facts = path.stat()
    if facts.st_size < SLOW_BYTES:
        return _hashed(path)
    return _remembered(path, facts.st_size, facts.st_mtime_ns)


@lru_cache(maxsize=32)
def _remembered(path: Path, _size: int, _time: int) -> bytes:
    return _hashed(path)


def _hashed(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def folder_of(model: str | Path) -> Path:
    """Where a shipped name, a written folder or a path leads; a path is never a name."""
    shipped = SHIPPED.get(model) if isinstance(model, str) else None
    return shipped or Path(os.path.expanduser(model))  # noqa: PTH111  never raises


def find(
    model: str | Path | None,
    *,
    prediction: Told | None = None,
    distilled: Distilled | None = None,
    places: Places | None = None,
) -> Checkpoint:
    """The checkpoint of that name, folder or file; the shipped default for None.

    Args:
        model: A shipped name, a folder, a single file, or a name on a hub.
        prediction: What its network predicts, where its scheduler says otherwise.
        distilled: How it was distilled, where it cannot tell or its name misleads.
        places: Parts that lie elsewhere, such as ``{"vae": Path("ae.safetensors")}``: each a folder in
            the diffusers layout or a single file; they take the place of the model's own.

    Raises:
        ModelError: there is no such model, its folder is incomplete or damaged, or it names classes
            that are not loaded.
    """
    asked = model or DEFAULT_MODEL
    if isinstance(asked, str) and is_hub_name(asked):
        place = find_on_hub(asked)
        found = find(place.folder, prediction=prediction, distilled=distilled, places=places)
        way, notices = found.distilled, found.notices
        if distilled is None and way == "none":  # a snapshot is called by its commit
            way = named(place.repo)
            if way != "none":
                found = find(place.folder, prediction=prediction, distilled=way, places=places)
                notices = (*notices, assumed(place.repo, way))
        return replace(found, name=place.name, notices=notices, hub=place)
    folder = folder_of(asked)
    try:
        if folder.is_file():
            return _read_file(folder, prediction, distilled, places or {})
        _check_folder(folder)
        return _read(_name_of(asked, folder), folder, prediction, distilled, places or {})
    except ModelError:
        raise
    except (OSError, ValueError, TypeError, LookupError) as problem:
        reason = " ".join(str(problem).split())[:200]
        raise ModelError(
            f"the model {str(asked)[:200]!r} cannot be read ({reason}); its configuration is damaged"
        ) from None


def _name_of(asked: str | Path, folder: Path) -> str:
    return asked if isinstance(asked, str) and asked in SHIPPED else folder.resolve().name


def _read_file(
    path: Path, prediction: Told | None, distilled: Distilled | None, places: Places
) -> Checkpoint:
    if path.suffix != ".safetensors":
        raise ModelError(_why_not_a_folder(path))
    found = recognise(read_header(path))
    told = prediction or found.prediction
    made = _read(path.resolve().stem, CONFIGS / found.variant, told, distilled, places)
    held = {*found.parts, *places}
    if needed := [role for role in found.missing if role not in {*held, *made.family.optional}]:
        raise ModelError(
            f"{path.name} holds no {' and no '.join(needed)}; give the whole model, or in Python "
            f"places={{{needed[0]!r}: PATH, ...}} with a folder or a .safetensors file for each"
        )
    classes = {
        role: name
        for role, name in made.classes.items()
        if role.replace("tokenizer", "text_encoder") in held
    }
    scheduler = {**made.scheduler, **({"rescale_betas_zero_snr": True} if found.zero_snr else {})}
    notices = () if prediction else found.notices
    defaults = made.defaults
    if found.variant == "sd-2" and told == "eps":  # the base was trained at 512
        defaults = replace(defaults, comfortable_area=512 * 512)
    return replace(
        made,
        classes=classes,
        scheduler=scheduler,
        defaults=defaults,
        notices=(*notices, *made.notices),
        file=SingleFile(path, found.parts),
    )


def _read(
    name: str,
    folder: Path,
    prediction: Told | None,
    distilled: Distilled | None,
    places: Places,
) -> Checkpoint:
    index = read_json(folder / "model_index.json")
    family = family_of(index)
    check_places(family, places)
    vae = read_json(part_of("vae", folder, None, places).config / "config.json")
    core = read_json(folder / family.core / "config.json")
    scheduler = read_json(folder / "scheduler" / "scheduler_config.json")
    if prediction is not None:
        scheduler["prediction_type"] = {"eps": "epsilon", "v": "v_prediction"}[prediction]
    way, notices = (distilled, ()) if distilled else _distilled(name, core, scheduler)
    classes = classes_of(_with_places(index, vae, places), family)
    if absent := [role for role in places if role not in classes]:
        raise ModelError(
            f"the model {name} has no {absent[0]} that another could take the place of"
        )
    cell_px = _cell_px(vae)
    checkpoint = Checkpoint(
        name=name,
        folder=folder,
        family=family,
        classes=classes,
        scheduler=scheduler,
        defaults=_defaults(folder, _of_family(family, core, cell_px, way)),
        latents=_latents(vae),
        cell_px=cell_px,
        multiple_px=cell_px * _cells(core),
        embeds_guidance=bool(core.get("guidance_embeds") or core.get("time_cond_proj_dim")),
        distilled=way,
        notices=notices,
        places=places,
    )
    _ = checkpoint.schedule  # a scheduler that cannot be read is refused now
    return checkpoint


def _with_places(
    index: Mapping[str, Any], vae: Mapping[str, Any], places: Places
) -> dict[str, Any]:
    """The index as it would be, had the model been saved with the autoencoder that was given."""
    given = places.get("vae")
    told = {"vae": ["diffusers", vae.get("_class_name")]} if given and given.is_dir() else {}
    return {**index, **told}


def _distilled(
    name: str, core: Mapping[str, Any], scheduler: Mapping[str, Any]
) -> tuple[Distilled, tuple[Notice, ...]]:
    """What the checkpoint itself says of it, else what its name says, with a notice."""
    if core.get("time_cond_proj_dim") or scheduler.get("_class_name") == "LCMScheduler":
        return "lcm", ()
    flux = core.get("_class_name") == "FluxTransformer2DModel"
    if flux and core.get("guidance_embeds") is False:  # schnell
        return "turbo", ()
    way = named(name)
    return way, () if way == "none" else (assumed(name, way),)


def _latents(vae: Mapping[str, Any]) -> tuple[float, ...]:
    if vae.get("_class_name") == "AutoencoderKLQwenImage":
        return (int(vae["z_dim"]), *vae["latents_std"], *vae["latents_mean"])
    scale, shift = vae.get("scaling_factor", 1.0), vae.get("shift_factor")
    return int(vae.get("latent_channels", 4)), float(scale), float(shift or 0.0)


def _cell_px(vae: Mapping[str, Any]) -> int:
    """How many pixels a latent cell is wide."""
    if "temperal_downsample" in vae:  # diffusers' spelling, of autoencoders that began with videos
        return int(2 ** len(vae["temperal_downsample"]))
    of_vae = vae.get("encoder_block_out_channels") or vae["block_out_channels"]
    return int(2 ** (len(of_vae) - 1))


def _cells(core: Mapping[str, Any]) -> int:
    """How many cells the network needs a side to be a multiple of: its halvings, or its patch."""
    if "block_out_channels" in core:
        return int(2 ** (len(core["block_out_channels"]) - 1))
    if core["_class_name"] in {"FluxTransformer2DModel", "ChromaTransformer2DModel"}:
        return 2  # packed outside of it: its own patch_size is 1
    if "all_patch_size" in core:
        return int(core["all_patch_size"][0])
    return int(core["patch_size"])


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise ModelError(
            f"{_why_not_a_folder(folder)}; give a shipped name ({', '.join(SHIPPED)}) or a "
            "folder in the diffusers layout"
        )


def _why_not_a_folder(path: Path) -> str:
    if path.suffix in PICKLE_ENDINGS:
        return (
            f"{path.name} is a pickle, which can run code when it is opened, and is never loaded; "
            "convert it to safetensors"
        )
    if path.is_file():
        return f"{path.name} is no .safetensors file"
    return f"no model is called {str(path)!r}"


def _of_family(
    family: Family, core: Mapping[str, Any], cell_px: int, distilled: Distilled
) -> Defaults:
    """What suits a model of this family that says nothing about it."""
    cells = core.get("sample_size") if family.core == "unet" else None
    side = cells * cell_px if isinstance(cells, int) else family.native_px
    suits = family if distilled == "none" else DISTILLATIONS[distilled]
    scale = suits.guidance_scale
    if core.get("time_cond_proj_dim"):
        scale = LCM_SCALE
    steps = suits.steps_over_all
    if distilled != "none" and family.distilled_steps is not None:
        steps = family.distilled_steps
    return Defaults(steps, scale, suits.sampler, side * side)


def _defaults(folder: Path, known: Defaults) -> Defaults:
    own = folder / "underpaint.json"
    if not own.is_file():
        return known
    said = read_json(own)
    scale = said.get("guidance_scale", known.guidance_scale)
    sampler = said.get("sampler", known.sampler)
    area, side = (
        said.get("comfortable_px", known.comfortable_area),
        said.get("min_px", known.minimum_px),
    )
    steps = said.get("steps_over_all", known.steps_over_all)
    chunks = said.get("longest_chunks")
    if (
        not (isinstance(scale, int | float) and scale >= 0)
        or sampler not in SAMPLER_NAMES
        or not all(isinstance(one, int) and one >= 1 for one in (area, side, steps, chunks or 1))
    ):
        raise ModelError(
            "the checkpoint's underpaint.json must hold a guidance_scale of 0 or more, a sampler of "
            f"{', '.join(SAMPLER_NAMES)}, and whole positive comfortable_px, min_px, steps_over_all and longest_chunks"
        )
    return Defaults(
        steps, float(scale), sampler, area, side, _vocabulary(said), _recovery(said), chunks
    )


def _recovery(said: Mapping[str, Any]) -> Recovery:
    match said.get("recovery"):
        case None:
            return LEARNED
        case {"beta": int() | float() as beta, "p": int() | float() as p} if (
            0 < beta < math.inf and 0 < p < math.inf
        ):
            return Recovery(float(beta), float(p))
        case _:
            raise ModelError(
                "the recovery in the checkpoint's underpaint.json must hold beta and p, both above 0"
            )


def _vocabulary(said: Mapping[str, Any]) -> Vocabulary | None:
    match said.get("vocabulary"):
        case None:
            return None
        case {"phrases": [*phrases], "near": {**near}} if all(
            isinstance(text, str) for text in (*phrases, *near, *near.values())
        ):
            return Vocabulary(
                tuple(cast("list[str]", phrases)), MappingProxyType(cast("dict[str, str]", near))
            )
        case _:
            raise ModelError(
                "the vocabulary in the checkpoint's underpaint.json must hold phrases, a list of "
                "texts, and near, an object of texts"
            )


def read_json(path: Path) -> dict[str, Any]:
    """A small JSON object from a checkpoint.

    Raises:
        ModelError: it is missing, not a regular file, too large or not an object.
    """
    place = f"{path.parent.name}/{path.name}"
    if not path.is_file():
        raise ModelError(f"the checkpoint has no {place}; the diffusers layout needs it")
    if path.stat().st_size > CONFIG_LIMIT_BYTES:
        raise ModelError(f"{place} is larger than any real config; the checkpoint is damaged")
    try:
        content: object = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError):
        raise ModelError(f"{place} is not JSON; the checkpoint is damaged") from None
    if not isinstance(content, dict):
        raise ModelError(f"{place} holds no JSON object; the checkpoint is damaged")
    return cast("dict[str, Any]", content)
