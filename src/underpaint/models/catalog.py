"""What a checkpoint is, read from its JSON alone: no torch, no weights, no code of its own.

A checkpoint is a folder in the diffusers layout. Only the (library, class) pairs listed here are
ever loaded, so a ``model_index.json`` cannot name code to run.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from underpaint.errors import ModelError
from underpaint.levels import Schedule, read_schedule
from underpaint.request import SAMPLER_NAMES, SamplerName

SHIPPED: Mapping[str, Path] = {"gesso": Path(__file__).parent / "gesso"}
DEFAULT_MODEL = "gesso"
CONFIG_LIMIT_BYTES = 4 * 1024 * 1024  # real configs are a few kilobytes, vocabularies one or two MB

# role: {(library, class), ...}
LOADABLE: Mapping[str, frozenset[tuple[str, str]]] = {
    "unet": frozenset({("diffusers", "UNet2DConditionModel")}),
    "vae": frozenset({("diffusers", "AutoencoderKL"), ("diffusers", "AutoencoderTiny")}),
    "text_encoder": frozenset({("transformers", "CLIPTextModel")}),
    "tokenizer": frozenset({("transformers", "CLIPTokenizer")}),
}


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a model prefers where a request says nothing.

    Attributes:
        guidance_scale: Classifier-free guidance.
        sampler: The sampler's name.
        comfortable_area: The picture area, in pixels, up to which the model works well.
        minimum_px: The shortest side that it works at.
    """

    guidance_scale: float = 7.5  # what SD 1.5 is commonly run with
    sampler: SamplerName = "dpmpp_2m"
    comfortable_area: int = 512 * 512  # what SD 1.x was trained at
    minimum_px: int = 64


@dataclass(frozen=True)
class Checkpoint:
    """A folder that holds a model, and what its JSON says.

    Attributes:
        name: How it was asked for: a shipped name, or the folder's own name.
        folder: Where it lies.
        classes: The class of each role, such as ``{"unet": "UNet2DConditionModel"}``.
        schedule: Its noise levels.
        defaults: What it prefers.
    """

    name: str
    folder: Path
    classes: Mapping[str, str]
    schedule: Schedule
    defaults: Defaults

    @property
    def family(self) -> str:
        """The family whose adapter runs it."""
        return "stable-diffusion"

    @cached_property
    def multiple_px(self) -> int:
        """What both sides of a picture must be a multiple of: autoencoder times UNet."""
        vae = read_json(self.folder / "vae" / "config.json")
        unet = read_json(self.folder / "unet" / "config.json")
        blocks = cast(
            "list[int]", vae.get("encoder_block_out_channels") or vae.get("block_out_channels")
        )
        halvings = len(blocks) - 1 + len(cast("list[int]", unet["block_out_channels"])) - 1
        return int(2**halvings)

    @cached_property
    def sha256(self) -> str:
        """One hash over every file of the folder that decides pixels: names and contents."""
        digest = hashlib.sha256()
        for path in sorted(self.folder.rglob("*")):
            if path.suffix in {".safetensors", ".json", ".txt"} and path.is_file():
                with path.open("rb") as file:
                    inner = hashlib.file_digest(file, "sha256").hexdigest()
                digest.update(f"{path.relative_to(self.folder).as_posix()}\0{inner}\n".encode())
        return digest.hexdigest()


def find(model: str | None) -> Checkpoint:
    """The checkpoint of that name or folder; the shipped default for None.

    Raises:
        ModelError: there is no such model, its folder is incomplete, or it names classes that are
            not loaded.
    """
    name = model or DEFAULT_MODEL
    folder = SHIPPED.get(name) or Path(name).expanduser()
    if not folder.is_dir():
        kind = _why_not_a_folder(folder)
        raise ModelError(
            f"{kind}; give a shipped name ({', '.join(SHIPPED)}) or a folder in the diffusers layout"
        )
    index = read_json(folder / "model_index.json")
    return Checkpoint(
        name=name if name in SHIPPED else folder.resolve().name,
        folder=folder,
        classes=_checked_classes(index),
        schedule=read_schedule(read_json(folder / "scheduler" / "scheduler_config.json")),
        defaults=_defaults(folder),
    )


def _why_not_a_folder(path: Path) -> str:
    if path.suffix in {".ckpt", ".pt", ".pth", ".bin"}:
        return (
            f"{path.name} is a pickle, which can run code when it is opened, and is never loaded; "
            "convert it to safetensors"
        )
    if path.is_file():
        return f"{path.name} is a single file, which is not read yet"
    return f"no model is called {str(path)!r}"


def _checked_classes(index: Mapping[str, Any]) -> dict[str, str]:
    classes: dict[str, str] = {}
    for role, allowed in LOADABLE.items():
        match index.get(role):
            case [str() as library, str() as name] if (library, name) in allowed:
                classes[role] = name
            case given:
                raise ModelError(
                    f"model_index.json gives {given!r} for {role}; loaded are "
                    f"{', '.join(sorted(f'{a}.{b}' for a, b in allowed))}"
                )
    return classes


def _defaults(folder: Path) -> Defaults:
    own = folder / "underpaint.json"
    if not own.is_file():
        return Defaults()
    said = read_json(own)
    known = Defaults()
    scale = said.get("guidance_scale", known.guidance_scale)
    sampler = said.get("sampler", known.sampler)
    area, side = (
        said.get("comfortable_px", known.comfortable_area),
        said.get("min_px", known.minimum_px),
    )
    if (
        not (isinstance(scale, int | float) and scale >= 0)
        or sampler not in SAMPLER_NAMES
        or not all(isinstance(one, int) and one >= 1 for one in (area, side))
    ):
        raise ModelError(
            "the checkpoint's underpaint.json must hold a guidance_scale of 0 or more, a sampler of "
            f"{', '.join(SAMPLER_NAMES)}, and whole positive comfortable_px and min_px"
        )
    return Defaults(float(scale), sampler, area, side)


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
