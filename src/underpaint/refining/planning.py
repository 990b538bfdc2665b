"""A refinement before anything runs: which request, on which model, in which numbers; no torch."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from underpaint import pixels
from underpaint.errors import Notice, RequestError
from underpaint.models.catalog import Checkpoint
from underpaint.origins import (
    find_model,
    find_refiner,
    find_source,
    model_notices,
    recipe_of,
    source_notices,
)
from underpaint.planning import PRECISIONS
from underpaint.recipe import Recipe
from underpaint.refining.neighbours import VARIATION, continued, turned, turned_notices
from underpaint.request import Request
from underpaint.results import Result

COUNT = 4  # enough to choose from at a glance


@dataclass(frozen=True, slots=True, eq=False)
class Refinement:
    """What will be rendered around a near-miss.

    Attributes:
        request: Its source is read and its seeds are drawn.
        checkpoint: The model that made the near-miss, or the one that was named instead.
        precision: The numbers to compute in.
        notices: What to know before.
        source: The file that it starts from; None where that is none.
    """

    request: Request
    checkpoint: Checkpoint
    precision: str
    notices: tuple[Notice, ...]
    source: Path | None


def plan_refinement(
    near: str | os.PathLike[str] | Result,
    *,
    variation: float | None = None,
    strength: float | None = None,
    count: int = COUNT,
    seed: int | None = None,
    prompt: str | None = None,
    source: pixels.Source | pixels.Picture | None = None,
    model: str | Path | None = None,
    parts: Mapping[str, str | Path] | None = None,
    refiner: str | Path | None = None,
    precision: str | None = None,
) -> Refinement:
    """What ``refine`` will render; ``refining.calling.refine`` tells what each argument means.

    Raises:
        InputError: something cannot be used; the message says what can.
    """
    if not isinstance(cast("object", near), Result | str | os.PathLike):
        raise RequestError(
            f"refine takes a Result or the path of one, because its recipe is in the file, got {type(near).__name__}"
        )
    recipe = near.recipe if isinstance(near, Result) else recipe_of(near)
    notices: tuple[Notice, ...] = ()
    if strength is not None:
        if variation is not None:
            raise RequestError(
                "variation renders the source again and strength starts from the result; choose one"
            )
        if source is not None:
            raise RequestError("strength starts from the result, so there is no use for a source")
        place = near.image if isinstance(near, Result) else near
        result = pixels.read(place)
        request = continued(
            recipe, result, strength=strength, seed=seed, count=count, prompt=prompt
        )
    else:
        share = VARIATION if variation is None else variation
        if share == 0:
            raise RequestError("variation must lie above 0 to make another picture, got 0")
        place = _source_of(near, recipe) if source is None else source
        before = pixels.read(place)
        request = turned(recipe, before, variation=share, seed=seed, count=count, prompt=prompt)
        told = place if isinstance(place, str | os.PathLike) else "the source"
        notices = (*source_notices(recipe, before, told), *turned_notices(recipe))
    request = request.model_copy(update={"refiner": find_refiner(recipe, refiner)})
    checkpoint = find_model(recipe, model, parts)
    notices = (*notices, *model_notices(recipe, checkpoint))
    file = Path(place) if isinstance(place, str | os.PathLike) else None
    return Refinement(request, checkpoint, precision or _known_precision(recipe), notices, file)


def _source_of(
    near: str | os.PathLike[str] | Result, recipe: Recipe
) -> pixels.Source | pixels.Picture:
    """What it was made from: a result remembers, a file has it beside itself."""
    if isinstance(near, Result):
        return recipe.request.source
    return find_source(recipe, Path(near))


def _known_precision(recipe: Recipe) -> str:
    return recipe.build.precision if recipe.build.precision in PRECISIONS else "auto"
