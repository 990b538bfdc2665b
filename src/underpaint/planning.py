"""What a request becomes for one model and one picture: every None resolved; no torch."""

import math
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from underpaint.errors import Notice, RequestError
from underpaint.geometry import Size, fit_box, working_size
from underpaint.levels import Schedule
from underpaint.models.catalog import Checkpoint, find
from underpaint.models.distilled import off_trained_times
from underpaint.models.preferences import Defaults
from underpaint.models.prompt_syntax import parse
from underpaint.peers import copied_steps
from underpaint.plan import Plan, default_steps, make_plan, starting_point
from underpaint.request import Request
from underpaint.survival import Spectrum

Precision = Literal["auto", "float32", "bfloat16", "float16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
LEAST_SEEN = 0.98  # of a side; less is a cut that one sees
RANDOM_SEEDS = 2**32  # a seed drawn for someone should be short enough to type


@dataclass(frozen=True, slots=True)
class Resolved:
    """What will run for one picture.

    Attributes:
        request: The request with every None resolved.
        plan: Its start, levels and notices.
        size: The result's size.
        working_size: The size rendered at, without the margins that the networks need.
        refiner: The model that takes over, if one does; the request has its name alone.
    """

    request: Request
    plan: Plan
    size: Size
    working_size: Size
    refiner: Checkpoint | None = None


def seeded(asked: Request) -> Request:
    """The request with its seed drawn, where it names none."""
    return asked if asked.seed is not None else asked.model_copy(update={"seed": draw_seed()})


def needs_spectrum(asked: Request) -> bool:
    """Whether its plan cannot be made without the source's spectrum."""
    return asked.strength_scale == "calibrated" and 0 < asked.strength < 1


def settle(asked: Request, checkpoint: Checkpoint) -> Request:
    """The request with every None resolved but the steps, which the plan decides.

    Raises:
        RequestError: the request asks for another model.
    """
    own = checkpoint.defaults
    turns_to = draw_seed() if asked.variation and asked.variation_seed is None else None
    return asked.model_copy(
        update={
            "model": _model_of(asked, checkpoint),
            "parts": checkpoint.part_names or None,
            "prediction": asked.prediction or checkpoint.told_prediction,
            "distilled": asked.distilled or checkpoint.told_distilled,
            "guidance_scale": (
                own.guidance_scale if asked.guidance_scale is None else asked.guidance_scale
            ),
            "sampler": asked.sampler or own.sampler,
            "spacing": asked.spacing or "model",
            "seed": seeded(asked).seed,
            "variation_seed": asked.variation_seed if turns_to is None else turns_to,
        }
    )


def resolve(
    asked: Request,
    checkpoint: Checkpoint,
    picture: Size,
    *,
    notices: Sequence[Notice] = (),
    spectrum: Spectrum | None = None,
) -> Resolved:
    """What ``asked`` becomes for a picture of that size.

    Args:
        asked: The request.
        checkpoint: The model that will render it.
        picture: The source's own size.
        notices: What was noticed while the source was read; they join the plan's.
        spectrum: The source's; only asked for where ``needs_spectrum`` says so.

    Raises:
        RequestError: the request asks for another model, or its spectrum is missing.
    """
    own, request = checkpoint.defaults, settle(asked, checkpoint)
    size, work = sizes(asked, checkpoint, picture)
    schedule = checkpoint.schedule_at(work)
    scale, said = _scale(asked, spectrum)
    steps, copied = _steps(request, checkpoint, schedule, scale)
    plan = make_plan(
        schedule,
        strength=asked.strength,
        steps=steps,
        sampler=request.sampler or own.sampler,
        spacing=request.spacing or "model",
        prompt=asked.prompt,
        spectrum=scale,
    )
    if asked.steps_like is None:  # else the count is made again from what was asked
        request = request.model_copy(update={"steps": plan.evaluations or asked.steps})
    if not plan.evaluations:
        work = size
    known: tuple[Notice, ...] = ()
    if own.vocabulary and plan.evaluations:
        known = own.vocabulary.notices(parse(asked.prompt).plain)
    refiner = refiner_of(asked, checkpoint)
    if refiner is not None:
        request = request.model_copy(update={"refiner": refiner.name})
    off = off_trained_times(
        checkpoint.distilled,
        schedule,
        plan.levels,
        taught=checkpoint.taught,
        sampler=request.sampler or own.sampler,
        spacing=request.spacing or "model",
        calibrated=scale is not None,
    )
    everything = (
        *(checkpoint.notices if plan.evaluations else ()),
        *plan.notices, *said, *(copied if plan.evaluations else ()), *off, *known,
        *_unheard(request, checkpoint, schedule, plan),
        *_turns(request, schedule, plan, refiner),
        *notices,
        *_cut_off(asked, picture),
        *(_size_notices(asked, size, work, own) if plan.evaluations else ()),
    )  # fmt: skip
    return Resolved(request, replace(plan, notices=everything), size, work, refiner)


def refiner_of(asked: Request, checkpoint: Checkpoint) -> Checkpoint | None:
    """The model that takes over, None where none is asked for.

    Raises:
        ModelError: there is no such model.
        RequestError: its latents are not the first one's.
    """
    if asked.refiner is None:
        return None
    second = find(asked.refiner)
    if second.latents != checkpoint.latents:
        raise RequestError(
            f"the refiner {second.name!r} has other latents than {checkpoint.name!r}, so it cannot go "
            "on with its picture; give a model of the same family"
        )
    if checkpoint.is_flow != second.is_flow:
        raise RequestError(
            f"of {checkpoint.name!r} and the refiner {second.name!r} one is a flow and one is none, so they "
            "take pictures at other scales; give a refiner of the same kind"
        )
    if checkpoint.embeds_guidance or second.embeds_guidance:
        raise RequestError(
            "a refiner cannot be combined with a model that takes the guidance scale as an input; "
            "leave refiner out"
        )
    return second


def sizes(asked: Request, checkpoint: Checkpoint, picture: Size) -> tuple[Size, Size]:
    """The result's size, and the size that a run is rendered at."""
    size = asked.size or picture
    return size, _working_size(asked, checkpoint, size)


def _scale(asked: Request, spectrum: Spectrum | None) -> tuple[Spectrum | None, tuple[Notice, ...]]:
    """The spectrum that makes the scale, None for the schedule's own; and what to say about it."""
    if not needs_spectrum(asked):
        return None, ()
    if spectrum is None:
        raise RequestError(
            "a calibrated strength is measured on the source, whose spectrum is missing; take it "
            "from Engine.spectrum"
        )
    return (None, (NO_STRUCTURE,)) if spectrum.is_flat else (spectrum, ())


NO_STRUCTURE = Notice(
    "no-structure",
    "the source is one flat colour, so there are no shapes that could survive; its strength is "
    "taken on the model's own schedule",
)


def _steps(
    request: Request, checkpoint: Checkpoint, schedule: Schedule, scale: Spectrum | None
) -> tuple[int, tuple[Notice, ...]]:
    if request.steps is None and request.steps_like is not None:
        raise RequestError(
            f"steps_like copies what {request.steps_like} makes of a number of steps, and none is "
            "given; give steps as well"
        )
    if request.steps is None:
        _, start_t = starting_point(schedule, request.strength, scale)
        return default_steps(start_t, over_all=checkpoint.defaults.steps_over_all), ()
    if request.steps_like is None or request.strength == 0:
        return request.steps, ()
    count, notice = copied_steps(
        request.steps_like,
        steps=request.steps,
        strength=request.strength,
        sampler=request.sampler or checkpoint.defaults.sampler,
        schedule=schedule,
        consistency=checkpoint.embeds_guidance and not checkpoint.is_flow,
    )
    return count, (notice,)


def draw_seed() -> int:
    """A seed for someone who named none."""
    return secrets.randbelow(RANDOM_SEEDS)


def _model_of(asked: Request, checkpoint: Checkpoint) -> str:
    if asked.model not in {None, checkpoint.name} and not checkpoint.is_at(asked.model):
        raise RequestError(
            f"this engine holds the model {checkpoint.name!r}, and the request asks for "
            f"{asked.model!r}; open an Engine with that model"
        )
    held = {"prediction": checkpoint.schedule.prediction, "distilled": checkpoint.distilled}
    for name, one in held.items():
        if getattr(asked, name) not in {None, one}:
            raise RequestError(
                f"this engine holds the model with {name} {one!r}, and the request says "
                f"{getattr(asked, name)!r}; open an Engine with that {name}"
            )
    if asked.parts and not checkpoint.has(asked.parts):
        raise RequestError(
            f"this engine holds the model with {_listed(checkpoint.part_names)} from elsewhere, and the "
            f"request asks for {_listed(asked.parts)}; open an Engine with these parts"
        )
    return checkpoint.name


def _listed(parts: Mapping[str, str]) -> str:
    return ", ".join(f"{role} {place!r}" for role, place in parts.items())[:200] or "no part"


def _working_size(asked: Request, checkpoint: Checkpoint, size: Size) -> Size:
    longest = checkpoint.longest_px
    match asked.work_size:
        case "native":
            work = size
        case "auto":
            work = working_size(size, comfortable_area=checkpoint.defaults.comfortable_area)
            if longest is not None and max(work) > longest:
                return fit_box(work, Size(longest, longest), "contain").size
        case within:
            work = fit_box(size, within, "contain").size
    if longest is not None and max(work) > longest and asked.strength > 0:
        raise RequestError(
            f"the model knows places up to {longest} px a side, and the picture would be rendered at {work}; "
            "give a smaller work_size, or leave it at auto"
        )
    return work


def hears_negative(request: Request, checkpoint: Checkpoint) -> bool:
    """Whether runs of that resolved request have a second half that reads its negative prompt."""
    return not checkpoint.embeds_guidance and request.guidance_scale != 1


def _unheard(
    request: Request, checkpoint: Checkpoint, schedule: Schedule, plan: Plan
) -> Iterator[Notice]:
    """What to say of options that nothing hears where the network runs once a step."""
    low, high = request.guidance_interval
    first, last = schedule.level(low), schedule.level(high)
    if not plan.evaluations:
        return
    if checkpoint.embeds_guidance:
        why = "this model takes the guidance scale as an input and runs once a step"
    elif request.guidance_scale == 1:
        why = "guidance is off at scale 1"
    elif any(first.at_or_below(level) and level.at_or_below(last) for level in plan.levels[:-1]):
        return
    else:
        why = f"no level of the run lies in the guidance interval {low:g}:{high:g}"
    if request.negative_prompt:
        yield Notice("negative-unheard", f"the negative prompt does nothing, because {why}")
    shaped = {
        "guidance_interval": request.guidance_interval != (0, 1),
        "guidance_rescale": request.guidance_rescale > 0,
    }
    if given := [name for name, is_given in shaped.items() if is_given]:
        do = "does" if len(given) == 1 else "do"
        yield Notice("guidance-unheard", f"{' and '.join(given)} {do} nothing, because {why}")


def _turns(
    request: Request, schedule: Schedule, plan: Plan, refiner: Checkpoint | None
) -> Iterator[Notice]:
    """What to say where one of the model and its refiner never gets a turn.

    Raises:
        RequestError: the refiner predicts noise and would begin where nothing else is left.
    """
    if refiner is None or not plan.evaluations:
        return
    below, levels = schedule.level(request.refiner_start), plan.levels[:-1]
    theirs = [level.at_or_below(below) for level in levels]
    if theirs[0] and levels[0].alpha == 0 and refiner.schedule.prediction == "eps":
        raise RequestError(
            f"the refiner {refiner.name!r} predicts noise, and at strength 1 this model begins with nothing but "
            "noise, of which that says nothing; lower refiner_start"
        )
    start = f"takes over at t = {request.refiner_start:g}"
    if not any(theirs):
        lowest = schedule.t(levels[-1])
        yield Notice(
            "refiner-unheard",
            f"the refiner {start} and never has a turn, because the run's last level is {lowest:.3g}; "
            f"take more steps, or a refiner_start of {math.ceil(100 * lowest) / 100:g}",
        )
    elif all(theirs):
        yield Notice(
            "base-unheard",
            f"the refiner {start} and the run starts at {schedule.t(levels[0]):.3g}, so all of it is the "
            "refiner's; lower refiner_start, or raise the strength",
        )


def _cut_off(asked: Request, picture: Size) -> Iterator[Notice]:
    """What to say where a size of another shape costs some of the picture."""
    if asked.size is None or asked.fit != "cover":
        return
    across, down = asked.size.width / picture.width, asked.size.height / picture.height
    seen = min(across, down) / max(across, down)
    if seen < LEAST_SEEN:
        side = "width" if across < down else "height"
        message = (
            f"a result of {asked.size} shows {seen:.0%} of the {side} of a picture of {picture}; fit contain "
            "shows all of it between mirrored margins, stretch bends it"
        )
        yield Notice("cropped", message)


def _size_notices(asked: Request, size: Size, work: Size, own: Defaults) -> Iterator[Notice]:
    """What to say of the size rendered at."""
    if work != size:
        its = "the picture is" if asked.size is None else "the result is to be"
        message = f"{its} {size} and is rendered at {work}, then brought to {size}"
        yield Notice("work-size", message)
    side = math.isqrt(own.comfortable_area)
    least, most = own.seen_area
    if work.area > most:
        message = (
            f"the model was made for about {side}x{side} and is asked for {work}, where it may repeat "
            "things; leave work_size at auto, or keep the strength low"
        )
        yield Notice("larger-than-trained", message)
    if work.area < least:
        message = (
            f"the model was made for about {side}x{side} and is asked for {work}, where it draws "
            f"coarsely; work_size={side}x{side} renders it larger and brings it back"
        )
        yield Notice("smaller-than-trained", message)
