"""``underpaint plan``."""

from dataclasses import asdict, dataclass, replace
from typing import Annotated

import typer

from underpaint import pixels
from underpaint.cli.destinations import destinations
from underpaint.cli.options import STANDARD, Wish, command_with, read_source
from underpaint.cli.reporting import facts_of, show_json, show_line, show_notices, show_pairs
from underpaint.cli.survival_chart import survival_chart, survival_facts
from underpaint.models.catalog import Checkpoint
from underpaint.planning import Resolved, needs_spectrum, resolve
from underpaint.survival import Spectrum, survival


@dataclass(frozen=True, slots=True, kw_only=True)
class Views:
    """The options of ``plan`` that ``render`` has not."""

    prompt: Annotated[
        str, typer.Argument(help="What the result should look like.", metavar="[PROMPT]")
    ] = ""
    survival: Annotated[
        bool,
        typer.Option(
            "--survival", help="Show which shapes of SOURCE survive at the start; loads the model."
        ),
    ] = False
    preview: Annotated[
        str | None,
        typer.Option(
            "--preview",
            help="Write SOURCE as the model can still make it out at the start; loads the model.",
            metavar="FILE",
        ),
    ] = None


def plan(wish: Wish, views: Views) -> None:
    """Show what render would do with the same words, and do nothing.

    Loads no model, unless SOURCE must be measured: for --survival, for --preview, and for a
    calibrated strength.
    """
    wish = replace(wish, prompt=views.prompt)
    asked = wish.request()
    checkpoint = wish.checkpoint()
    picture = read_source(wish.source)
    if views.preview is not None:
        pixels.suffix_of(views.preview)
        pixels.check_destination(views.preview, overwrite=wish.overwrite)
        if wish.source != STANDARD:
            pixels.check_source_stays(views.preview, wish.source)
    found: Spectrum | None = None
    if views.survival or views.preview is not None or needs_spectrum(asked):
        found = _measured(wish, views, checkpoint, picture)
    resolved = resolve(asked, checkpoint, picture.size, notices=picture.notices, spectrum=found)
    if wish.output is not None:
        destinations(
            wish.output,
            source=wish.source,
            seed=resolved.request.seed or 0,
            count=asked.count,
            overwrite=wish.overwrite,
            as_json=wish.json,
        )
    shown = found if views.survival else None
    if wish.json:
        _show_as_json(wish, resolved, shown)
    else:
        _show(wish, resolved, shown)


command = command_with(Views, plan, without=frozenset())


def _measured(
    wish: Wish, views: Views, checkpoint: Checkpoint, picture: pixels.Picture
) -> Spectrum:
    """The source's spectrum; its preview is written on the way."""
    engine = wish.engine(checkpoint)
    request = wish.request().model_copy(update={"source": picture})
    if views.preview is not None:
        data = pixels.encode(engine.what_survives(request), pixels.suffix_of(views.preview))
        pixels.write_atomically(views.preview, data, overwrite=wish.overwrite)
    return engine.spectrum(request)


def _show_as_json(wish: Wish, resolved: Resolved, found: Spectrum | None) -> None:
    seen = None if found is None else survival(found, resolved.plan.start)
    show_json(
        {
            "source": wish.source,
            **facts_of(resolved),
            "seed": wish.seed,
            "count": wish.count,
            "levels": [asdict(level) for level in resolved.plan.levels],
            **({} if found is None or seen is None else {"survival": survival_facts(found, seen)}),
        }
    )


def _show(wish: Wish, resolved: Resolved, found: Spectrum | None) -> None:
    made, request, start = resolved.plan, resolved.request, resolved.plan.start
    calibrated = ", calibrated" if request.strength_scale == "calibrated" else ""
    show_pairs(
        {
            "source": wish.source,
            "result": f"{resolved.size}, {request.count} of them" if request.count > 1
            else str(resolved.size),
            "rendered at": resolved.working_size,
            "strength": f"{request.strength:g}" + calibrated,
            "start": f"alpha {start.alpha:.4f}, sigma {start.sigma:.4f}: {start.signal_share:.1%} "
            "of the source's signal",
            "steps": f"{made.evaluations} evaluations of the network",
            "sampler": f"{request.sampler}, spacing {request.spacing}",
            "guidance": f"{request.guidance_scale:g}",
            "model": request.model,
            "sigmas": " ".join(f"{level.sigma:.4f}" for level in made.levels) or "none",
        }
    )  # fmt: skip
    if found is not None:
        for line in survival_chart(found, survival(found, start)):
            show_line(line)
    show_notices(made.notices)
