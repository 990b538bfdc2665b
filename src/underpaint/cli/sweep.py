"""``underpaint sweep``."""

import time
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from underpaint.cli import interrupted
from underpaint.cli.options import Wish, command_with, read_source
from underpaint.cli.reporting import Meter, facts_of, progress, show_json, show_line, show_notices
from underpaint.levels import Spacing
from underpaint.request import SAMPLER_NAMES
from underpaint.results import Finished, Planned, Step
from underpaint.startup import heap_settled
from underpaint.sweeping.axes import Axis, check_count, read_axis
from underpaint.sweeping.planning import DEFAULT_STRENGTHS, Sweep, plan_sweep

if TYPE_CHECKING:
    from underpaint.sweeping.running import InCell

_VALUES = "Values with commas, or LOW:HIGH:COUNT."
_NAMES = "Names with commas."


@dataclass(frozen=True, slots=True, kw_only=True)
class Axes:
    """The options of ``sweep`` that take several values, and those about its folder."""

    strength: Annotated[
        str,
        typer.Option("--strength", "-s", help=f"Where runs start. {_VALUES}", metavar="VALUES"),
    ] = DEFAULT_STRENGTHS
    more_prompts: Annotated[
        list[str] | None, typer.Option("--prompt", help="Another prompt; may be repeated.")
    ] = None
    guidance_scale: Annotated[
        str | None, typer.Option("--guidance-scale", "-g", help=_VALUES, metavar="VALUES")
    ] = None
    steps: Annotated[str | None, typer.Option("--steps", "-n", help=_VALUES, metavar="VALUES")] = (
        None
    )
    seed: Annotated[
        str | None,
        typer.Option(
            "--seed", help=f"{_VALUES} Default: one random seed for all.", metavar="VALUES"
        ),
    ] = None
    sampler: Annotated[
        str | None,
        typer.Option("--sampler", help=f"{_NAMES} {', '.join(SAMPLER_NAMES)}.", metavar="NAMES"),
    ] = None
    spacing: Annotated[
        str | None,
        typer.Option(
            "--spacing", help=f"{_NAMES} {', '.join(get_args(Spacing))}.", metavar="NAMES"
        ),
    ] = None
    variation_seed: Annotated[
        int | None,
        typer.Option(
            "--variation-seed", help="Names the noise that --variation turns to, which needs it."
        ),
    ] = None
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            help="A folder for everything; made, in one that is there, if need be.",
            metavar="DIR",
        ),
    ]
    yes: Annotated[bool, typer.Option("--yes", help="More than 400 pictures are wanted.")] = False

    def axes(self, prompt: str) -> dict[str, Axis]:
        """Each axis that was given, checked.

        Raises:
            RequestError: one of them cannot be used.
        """
        names = ("strength", "guidance_scale", "steps", "seed", "sampler", "spacing")
        typed = {name: getattr(self, name) for name in names}
        axes = {name: read_axis(name, text) for name, text in typed.items() if text is not None}
        axes["prompt"] = read_axis("prompt", [prompt, *(self.more_prompts or [])])
        check_count(axes, allowed=self.yes)
        return axes


def sweep(wish: Wish, own: Axes) -> None:
    """Re-render SOURCE with every combination of the values given.

    Two parameters with several values make a grid, three make pages. DIR gets the pictures, a contact
    sheet, sweep.json and a web page to compare them on. Run again after an interruption, it goes on.
    """
    begun = time.perf_counter()
    planned = _planned(wish, own)
    speaks = not (wish.json or wish.quiet)
    if speaks:
        show_notices(planned.notices)
    found = 0
    with progress(quiet=wish.quiet) as meter:
        meter.begin("loading the model", 0)
        from underpaint.sweeping.running import Published, Resumed, run  # noqa: PLC0415

        engine = wish.engine(planned.checkpoint)
        stop = partial(bool, interrupted)
        for event in run(planned, engine, overwrite=wish.overwrite, cancelled=stop):
            match event:
                case Resumed(found):
                    if found and speaks:
                        show_line(f"{found} of {event.of} pictures are there already")
                case Published():
                    pass
                case _:
                    _tell(event, planned, meter, wish)
    seconds = time.perf_counter() - begun
    if wish.json:
        show_json(_summary(planned, found, seconds))
    elif not wish.quiet:
        pictures = f"{len(planned.cells)} pictures in {planned.folder}"
        show_line(f"{pictures}, {seconds:.1f} s; compare them in {planned.page}")


command = command_with(Axes, sweep, without=frozenset({"count", "mask", "output", "no_metadata"}))


def _planned(wish: Wish, own: Axes) -> Sweep:
    axes = own.axes(wish.prompt)
    wish = replace(wish, variation_seed=own.variation_seed)
    if "sampler" in axes:  # what else was typed may depend on it
        wish = replace(wish, sampler=axes["sampler"].values[0])
    request = wish.request()
    checkpoint = wish.checkpoint()
    return plan_sweep(
        request,
        axes,
        picture=read_source(wish.source),
        checkpoint=checkpoint,
        folder=own.output,
        source=wish.source,
        options={
            "--model": wish.model,
            "--part": wish.parts,
            "--device": wish.device if wish.device != "auto" else None,
            "--precision": wish.precision if wish.precision != "auto" else None,
            "--offload": wish.offload if wish.offload != "auto" else None,
            "--exact": wish.exact,
        },
        many=own.yes,
        overwrite=wish.overwrite,
    )


def _tell(told: "InCell", planned: Sweep, meter: Meter, wish: Wish) -> None:
    event, name = told.event, str(planned.folder / told.cell.file)
    match event:
        case Planned():
            if event.index == 1:
                heap_settled()  # the model is loaded
            number = planned.cells.index(told.cell) + 1
            meter.begin(f"painting {number} of {len(planned.cells)}", event.plan.evaluations)
        case Step():
            meter.advance(event.evaluation)
        case Finished():
            fidelity = event.result.fidelity
            if wish.json:
                facts = {"output": name, "values": dict(told.cell.values)}
                facts |= facts_of(event.result.recipe)
                show_json({**facts, "fidelity": asdict(fidelity) if fidelity else None})
            elif not wish.quiet:
                kept = f", structure {fidelity.structure:.2f}" if fidelity else ""
                show_line(f"{name}: {event.evaluations} steps{kept}")


def _summary(planned: Sweep, found: int, seconds: float) -> dict[str, Any]:
    return {
        "page": str(planned.page),
        "sheets": [str(place) for place in planned.sheets],
        "facts": str(planned.facts),
        "pictures": len(planned.cells),
        "found": found,
        "notices": [asdict(notice) for notice in planned.notices],
        "seconds": round(seconds, 3),
    }
