"""What a request becomes for one model and one picture: every None resolved; no torch."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from underpaint.errors import Notice, RequestError
from underpaint.geometry import Size, fit_box, working_size
from underpaint.models.catalog import Checkpoint
from underpaint.plan import Plan, default_steps, make_plan
from underpaint.request import Request

Precision = Literal["auto", "float32", "bfloat16", "float16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
RANDOM_SEEDS = 2**32  # a seed drawn for someone should be short enough to type


@dataclass(frozen=True, slots=True)
class Resolved:
    """What will run for one picture.

    Attributes:
        request: The request with every None resolved.
        plan: Its start, levels and notices.
        size: The result's size.
        working_size: The size rendered at, without the margins that the networks need.
    """

    request: Request
    plan: Plan
    size: Size
    working_size: Size


def resolve(
    asked: Request, checkpoint: Checkpoint, picture: Size, *, notices: Sequence[Notice] = ()
) -> Resolved:
    """What ``asked`` becomes for a picture of that size.

    Args:
        asked: The request.
        checkpoint: The model that will render it.
        picture: The source's own size.
        notices: What was noticed while the source was read; they join the plan's.

    Raises:
        RequestError: the request asks for another model.
    """
    own = checkpoint.defaults
    sampler = asked.sampler or own.sampler
    spacing = asked.spacing or "model"
    plan = make_plan(
        checkpoint.schedule,
        strength=asked.strength,
        steps=asked.steps or default_steps(asked.strength, over_all=own.steps_over_all),
        sampler=sampler,
        spacing=spacing,
        prompt=asked.prompt,
    )
    request = asked.model_copy(
        update={
            "model": _model_of(asked, checkpoint),
            "steps": plan.evaluations or asked.steps,
            "guidance_scale": (
                own.guidance_scale if asked.guidance_scale is None else asked.guidance_scale
            ),
            "sampler": sampler,
            "spacing": spacing,
            "seed": draw_seed() if asked.seed is None else asked.seed,
            "variation_seed": (
                draw_seed()
                if asked.variation and asked.variation_seed is None
                else asked.variation_seed
            ),
        }
    )
    size = asked.size or picture
    work = _working_size(asked, checkpoint, size) if plan.evaluations else size
    said = own.vocabulary.notices(asked.prompt) if own.vocabulary and plan.evaluations else ()
    everything = (*plan.notices, *said, *notices, *_size_notices(size, work))
    return Resolved(request, replace(plan, notices=everything), size, work)


def draw_seed() -> int:
    """A seed for someone who named none."""
    return secrets.randbelow(RANDOM_SEEDS)


def _model_of(asked: Request, checkpoint: Checkpoint) -> str:
    if asked.model not in {None, checkpoint.name} and not checkpoint.is_at(asked.model):
        raise RequestError(
            f"this engine holds the model {checkpoint.name!r}, and the request asks for "
            f"{asked.model!r}; open an Engine with that model"
        )
    return checkpoint.name


def _working_size(asked: Request, checkpoint: Checkpoint, size: Size) -> Size:
    match asked.work_size:
        case "native":
            return size
        case "auto":
            return working_size(size, comfortable_area=checkpoint.defaults.comfortable_area)
        case within:
            return fit_box(size, within, "contain").size


def _size_notices(size: Size, work: Size) -> tuple[Notice, ...]:
    if work == size:
        return ()
    message = f"the picture is {size} and is rendered at {work}, then brought back to its own size"
    return (Notice("work-size", message),)
