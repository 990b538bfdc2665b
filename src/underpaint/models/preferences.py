"""What a checkpoint prefers where a request says nothing: its own ``underpaint.json``, else its family's."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

from underpaint.errors import ModelError
from underpaint.models.distilled import DISTILLATIONS
from underpaint.models.families import Family
from underpaint.models.json_files import read_json
from underpaint.plan import STEPS_OVER_ALL
from underpaint.request import SAMPLER_NAMES, Distilled, SamplerName
from underpaint.survival import LEARNED, Recovery
from underpaint.vocabulary import Vocabulary

# Of the area that a model was trained at, where its makers name no range: it smears what is smaller and
# repeats things in what is larger. From a little more than half of its sides to 1.6 times.
SEEN_SHARES = (0.3, 2.5)
FILE = "underpaint.json"
LCM_SCALE = 8.5  # what Luo et al. 2023 feed a network that takes the guidance scale as an input


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
        seen_area: The least and the largest picture area that it can be trusted with.
    """

    steps_over_all: int = STEPS_OVER_ALL
    guidance_scale: float = 7.5  # what SD 1.5 is commonly run with
    sampler: SamplerName = "dpmpp_2m"
    comfortable_area: int = 512 * 512  # what SD 1.x was trained at
    minimum_px: int = 64
    vocabulary: Vocabulary | None = None
    recovery: Recovery = LEARNED
    longest_chunks: int | None = None
    seen_area: tuple[float, float] = (0, math.inf)


def preferences(
    folder: Path, family: Family, core: Mapping[str, Any], *, cell_px: int, distilled: Distilled
) -> Defaults:
    """What suits the checkpoint: what its ``underpaint.json`` says, else what suits its family.

    Args:
        folder: The checkpoint's.
        family: Its family.
        core: The JSON of its network.
        cell_px: How many pixels a latent cell is wide.
        distilled: How it was distilled, or ``none``.

    Raises:
        ModelError: its ``underpaint.json`` cannot be used.
    """
    known = _of_family(family, core, cell_px, distilled)
    if not has_preferences(folder):
        return known
    said = read_json(folder / FILE)
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
        or not all(isinstance(one, int) and one >= 1 for one in (area, side, steps))
        or not (chunks is None or (isinstance(chunks, int) and chunks >= 1))
    ):
        raise ModelError(
            "the checkpoint's underpaint.json must hold a guidance_scale of 0 or more, a sampler of "
            f"{', '.join(SAMPLER_NAMES)}, and whole positive comfortable_px, min_px, steps_over_all and longest_chunks"
        )
    return Defaults(
        steps, float(scale), sampler, area, side, _vocabulary(said), _recovery(said), chunks
    )


def has_preferences(folder: Path) -> bool:
    """Whether a checkpoint says itself what suits it."""
    return (folder / FILE).is_file()


def _of_family(
    family: Family, core: Mapping[str, Any], cell_px: int, distilled: Distilled
) -> Defaults:
    """What suits a model of this family that says nothing about it."""
    cells = core.get("sample_size") if family.core == "unet" else None
    side = cells * cell_px if isinstance(cells, int) else family.native_px
    steps, scale, sampler = suited(family, distilled)
    if core.get("time_cond_proj_dim"):
        scale = LCM_SCALE
    elif core.get(
        "guidance_embeds"
    ):  # a condition, which costs nothing and is no sum of two halves
        scale = family.guidance_scale
    seen = family.seen_area or seen_area(side)
    return Defaults(steps, scale, sampler, side * side, seen_area=seen)


def seen_area(side: int) -> tuple[float, float]:
    """The least and the largest area that a model trained at squares of that side can be trusted with."""
    least, most = SEEN_SHARES
    return least * side * side, most * side * side


def suited(family: Family, distilled: Distilled) -> tuple[int, float, SamplerName]:
    """Steps of a run at strength 1, guidance scale and sampler of models like that."""
    suits = family if distilled == "none" else DISTILLATIONS[distilled]
    steps = suits.steps_over_all
    if distilled != "none" and family.distilled_steps is not None:
        steps = family.distilled_steps
    return steps, suits.guidance_scale, suits.sampler


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
