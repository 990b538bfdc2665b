"""What a checkpoint is, read from its JSON alone: no torch, no weights, no code of its own.

A checkpoint is a folder in the diffusers layout or a single file, of one of the families; some of its
parts may lie elsewhere.
"""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast, get_args

from underpaint.errors import ModelError, Notice
from underpaint.geometry import Size
from underpaint.levels import FlowSchedule, Schedule, read_schedule
from underpaint.models.distilled import assumed, named, named_steps
from underpaint.models.families import Family, classes_of, family_of
from underpaint.models.fingerprint import fingerprint
from underpaint.models.headers import GGUF_ENDING, PICKLE_ENDINGS, read_header
from underpaint.models.hub import HubPlace, fetch_weights, is_hub_name, names
from underpaint.models.hub import find as find_on_hub
from underpaint.models.json_files import read_json
from underpaint.models.parts import Given, GivenParts, Part, SingleFile, check_parts, given, part_of
from underpaint.models.preferences import Defaults, has_preferences, preferences, seen_area
from underpaint.models.recognition import recognise
from underpaint.request import Distilled, Told

CONFIGS = Path(__file__).parent / "configs"
SHIPPED: Mapping[str, Path] = {"gesso": Path(__file__).parent / "gesso"}
DEFAULT_MODEL = "gesso"
SD_SCALE = 0.18215  # of latents, Rombach et al. 2022, appendix G


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
        taught: How many times it was taught by its name or its family, where they are not its distillation's usual.
        longest_px: The longest side whose places its network knows; None where it reckons them.
        notices: What was assumed about it.
        file: The single file that holds its weights, where it is one.
        hub: Where it came from, where that is a hub; its weights may still have to be fetched.
        parts: Parts that were given beside it, by role.
        told_prediction: What its network was said to predict, where somebody had to say.
        told_distilled: How it was said to be distilled, where somebody had to.
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
    taught: int | None = None
    longest_px: int | None = None
    notices: tuple[Notice, ...] = ()
    file: SingleFile | None = None
    hub: HubPlace | None = None
    parts: GivenParts = field(default_factory=dict[str, Given])
    told_prediction: Told | None = None
    told_distilled: Distilled | None = None

    @cached_property
    def schedule(self) -> Schedule:
        """Its noise levels at the size that suits it; some flows shift them for others."""
        side = math.isqrt(self.defaults.comfortable_area)
        return self.schedule_at(Size(side, side))

    @property
    def is_flow(self) -> bool:
        """Whether its pictures and noise are mixed to keep their sum and not their variance."""
        return isinstance(self.schedule, FlowSchedule)

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

    def has(self, parts: Mapping[str, str]) -> bool:
        """Whether these, and no others, were given beside it; names or places by role."""
        return parts.keys() == self.parts.keys() and all(
            self.parts[role].is_at(place) for role, place in parts.items()
        )

    @property
    def place(self) -> Path:
        """What to open it by again: its folder or its file, in full."""
        return (self.folder if self.file is None else self.file.path).resolve()

    @property
    def part_names(self) -> dict[str, str]:
        """What a recipe calls the parts that were given."""
        return {role: one.name for role, one in self.parts.items()}

    def part(self, role: str) -> Part:
        """Where the weights of that role lie, and its config."""
        return part_of(role, self.folder, self.file, self.parts)

    def fetch(self) -> None:
        """Makes sure that the weights are on this machine.

        Raises:
            ModelError: they are on a hub and do not come.
        """
        if self.hub is not None:
            own = self.classes.keys() - self.parts.keys()
            fetch_weights(self.hub, sorted(role for role in own if "tokenizer" not in role))

    @cached_property
    def sha256(self) -> str:
        """One hash over the files that decide pixels: the JSON, the scheduler and the loaded roles."""
        self.fetch()
        return fingerprint(
            self.folder,
            ("scheduler", *self.classes),
            elsewhere=self.parts,
            whole=None if self.file is None else self.file.path,
        )


def folder_of(model: str | Path) -> Path:
    """Where a shipped name, a written folder or a path leads; a path is never a name."""
    shipped = SHIPPED.get(model) if isinstance(model, str) else None
    return shipped or Path(os.path.expanduser(model))  # noqa: PTH111  never raises


def find(
    model: str | Path | None,
    *,
    prediction: Told | None = None,
    distilled: Distilled | None = None,
    parts: Mapping[str, str | Path] | None = None,
) -> Checkpoint:
    """The checkpoint of that name, folder or file; the shipped default for None.

    Args:
        model: A shipped name, a folder, a single file, or a name on a hub.
        prediction: What its network predicts, where its scheduler says otherwise.
        distilled: How it was distilled, where it cannot tell or its name misleads.
        parts: Parts that lie elsewhere, such as ``{"vae": "ae.safetensors"}``: each a folder in the
            diffusers layout, a single file or a name on a hub; they take the place of the model's own.

    Raises:
        ModelError: there is no such model, its folder is incomplete or damaged, or it names classes
            that are not loaded.
    """
    for name, value, known in (
        ("prediction", prediction, get_args(Told)), ("distilled", distilled, get_args(Distilled))
    ):  # fmt: skip
        if value is not None and value not in known:
            raise ModelError(f"{name} must be one of {', '.join(known)}, got {value!r}")
    if not isinstance(cast("object", model), str | Path | None):
        raise ModelError(f"a model is a name, a folder or a file, got {type(model).__name__}")
    if not isinstance(cast("object", parts), Mapping | None):
        raise ModelError(
            f"parts must hold a place for each role, such as {{'vae': PATH}}, got {parts!r}"
        )
    found = _found(model or DEFAULT_MODEL, prediction, distilled, given(parts or {}))
    return replace(found, told_prediction=prediction, told_distilled=distilled)


def _found(
    asked: str | Path, prediction: Told | None, distilled: Distilled | None, parts: GivenParts
) -> Checkpoint:
    if isinstance(asked, str) and is_hub_name(asked):
        return _found_on_hub(find_on_hub(asked), prediction, distilled, parts)
    folder = folder_of(asked)
    try:
        if folder.is_file():
            return _read_file(folder, prediction, distilled, parts)
        _check_folder(folder)
        return _read(_name_of(asked, folder), folder, prediction, distilled, parts)
    except ModelError:
        raise
    except (OSError, ValueError, TypeError, LookupError, ArithmeticError) as problem:
        reason = " ".join(str(problem).split())[:200]
        raise ModelError(
            f"the model {str(asked)[:200]!r} cannot be read ({reason}); its configuration is damaged"
        ) from None


def find_cached(place: HubPlace) -> Checkpoint:
    """The checkpoint that lies there in the hub's cache, as its name would find it; no network.

    Raises:
        ModelError: as ``find``.
    """
    return _found_on_hub(place, None, None, {})


def _found_on_hub(
    place: HubPlace, prediction: Told | None, distilled: Distilled | None, parts: GivenParts
) -> Checkpoint:
    if not (place.folder / "model_index.json").is_file():
        raise ModelError(
            f"{place.repo} on the hub is no whole model in the diffusers layout; download its .safetensors file and "
            "give that, or name it with --part if it is a part of one"
        )
    found = _found(place.folder, prediction, distilled, parts)
    way, notices = found.distilled, found.notices
    if distilled is None and way == "none":  # a snapshot is called by its commit
        way = named(place.repo.rpartition("/")[2])
        if way != "none":
            found = _found(place.folder, prediction, way, parts)
            notices = (*notices, assumed(place.repo, way))
    return replace(found, name=place.name, notices=notices, hub=place)


def _name_of(asked: str | Path, folder: Path) -> str:
    return asked if isinstance(asked, str) and asked in SHIPPED else folder.resolve().name


def _read_file(
    path: Path, prediction: Told | None, distilled: Distilled | None, parts: GivenParts
) -> Checkpoint:
    if path.suffix not in {".safetensors", GGUF_ENDING}:
        raise ModelError(_why_not_a_folder(path))
    found = recognise(read_header(path))
    told = prediction or found.prediction
    made = _read(path.stem, CONFIGS / found.variant, told, distilled, parts)
    held = {*found.parts, *parts}
    if needed := [role for role in found.missing if role not in {*held, *made.family.optional}]:
        raise ModelError(
            f"{path.name} holds no {' and no '.join(needed)}; give the whole model, or a folder or a "
            f".safetensors file for each: --part {needed[0]}=PATH, in Python parts={{{needed[0]!r}: PATH}}"
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
        defaults = replace(defaults, comfortable_area=512 * 512, seen_area=seen_area(512))
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
    parts: GivenParts,
) -> Checkpoint:
    index = read_json(folder / "model_index.json")
    family = family_of(index)
    check_parts(family, parts)
    vae = read_json(part_of("vae", folder, None, parts).config / "config.json")
    core = read_json(folder / family.core / "config.json")
    scheduler = read_json(folder / "scheduler" / "scheduler_config.json")
    if prediction is not None:
        scheduler["prediction_type"] = {"eps": "epsilon", "v": "v_prediction"}[prediction]
    way, notices = (distilled, ()) if distilled else _distilled(name, core, scheduler)
    classes = classes_of(_with_parts(index, vae, parts), family)
    if absent := [role for role in parts if role not in classes]:
        raise ModelError(
            f"the model {name} has no {absent[0]} that another could take the place of"
        )
    cell_px = _cell_px(vae)
    defaults = preferences(folder, family, core, cell_px=cell_px, distilled=way)
    if (steps := named_steps(name, way)) and not has_preferences(folder):
        defaults = replace(defaults, steps_over_all=steps)
    checkpoint = Checkpoint(
        name=name,
        folder=folder,
        family=family,
        classes=classes,
        scheduler=scheduler,
        defaults=defaults,
        latents=_latents(vae),
        cell_px=cell_px,
        multiple_px=cell_px * _cells(core),
        embeds_guidance=bool(core.get("guidance_embeds") or core.get("time_cond_proj_dim")),
        distilled=way,
        taught=steps or family.distilled_steps,
        longest_px=_longest_cells(core) * cell_px or None,
        notices=notices,
        parts=parts,
    )
    taken, channels = core.get("in_channels"), int(checkpoint.latents[0])
    if taken not in {None, channels, 4 * channels}:  # FLUX's take patches of 2x2
        raise ModelError(
            f"the autoencoder of {name} makes latents of {channels} channels, and its network takes {taken}; give one "
            "that was made for this family"
        )
    _ = checkpoint.schedule  # a scheduler that cannot be read is refused now
    return checkpoint


def _with_parts(
    index: Mapping[str, Any], vae: Mapping[str, Any], parts: GivenParts
) -> dict[str, Any]:
    """The index as it would be, had the model been saved with the autoencoder that was given."""
    if "vae" not in parts or not parts["vae"].path.is_dir():
        return dict(index)
    return {**index, "vae": ["diffusers", vae.get("_class_name")]}


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
    unsaid = 1.0 if vae.get("_class_name") == "AutoencoderTiny" else SD_SCALE  # as in diffusers
    scale, shift = vae.get("scaling_factor", unsaid), vae.get("shift_factor")
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


def _longest_cells(core: Mapping[str, Any]) -> int:
    """The cells a side whose places the network has in a table; 0 where it reckons them."""
    if core.get("_class_name") == "SD3Transformer2DModel":
        return int(core["pos_embed_max_size"]) * _cells(core)
    if core.get("_class_name") == "ZImageTransformer2DModel":
        return min(int(one) for one in core["axes_lens"][1:]) * _cells(core)
    return 0


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise ModelError(
            f"{_why_not_a_folder(folder)}; give a shipped name ({', '.join(SHIPPED)}), a folder in the "
            "diffusers layout, a .safetensors file or a name on the hub, such as owner/name"
        )


def _why_not_a_folder(path: Path) -> str:
    if path.suffix in {".safetensors", GGUF_ENDING} and not path.exists():
        return f"there is no file {str(path)!r}; check the path"
    if path.suffix in PICKLE_ENDINGS:
        return (
            f"{path.name} is a pickle, which can run code when it is opened, and is never loaded; "
            "convert it to safetensors"
        )
    if path.is_file():
        return f"{path.name} is no .safetensors or .gguf file"
    return f"no model is called {str(path)!r}"
