"""``underpaint refine``."""

import time
from dataclasses import asdict
from typing import Annotated

import typer

from underpaint.cli.destinations import Destination, destinations, write
from underpaint.cli.options import JsonFlag, OffloadOption, PartOption, QuietFlag, parts_of
from underpaint.cli.painting import painted
from underpaint.cli.reporting import facts_of, progress, show_json, show_line, show_notices
from underpaint.errors import Notice, OutputError
from underpaint.planning import Precision, needs_spectrum, resolve
from underpaint.refining.neighbours import VARIATION
from underpaint.refining.planning import COUNT, plan_refinement
from underpaint.results import Finished


def command(
    file: Annotated[str, typer.Argument(help="A result that nearly works.", metavar="RESULT")],
    *,
    variation: Annotated[
        float | None,
        typer.Option(
            "--variation",
            help="Render its source again and turn the noise so far towards another seed's, "
            f"above 0 to 1. Default: {VARIATION:g}, without --strength.",
        ),
    ] = None,
    strength: Annotated[
        float | None,
        typer.Option(
            "--strength", "-s", help="Start from RESULT itself instead; 0.2 to 0.4 keeps it."
        ),
    ] = None,
    count: Annotated[int, typer.Option("--count", help="How many pictures.")] = COUNT,
    seed: Annotated[
        int | None,
        typer.Option("--seed", help="Names the other noise; counted up. Default: a random one."),
    ] = None,
    prompt: Annotated[
        str | None, typer.Option("--prompt", help="Other words. Default: the recipe's.")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option("--source", help="Its source. Default: looked for beside it.", metavar="PATH"),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            help="A file or a folder. Default: <stem>-<seed>.png in this folder, with -1, -2, … for "
            "several.",
            metavar="PATH",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model", "-m", help="The checkpoint, where it is neither shipped nor on the hub."
        ),
    ] = None,
    part: PartOption = None,
    refiner: Annotated[
        str | None, typer.Option("--refiner", help="The refiner's folder, if there was one.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing files.")] = False,
    precision: Annotated[
        Precision | None,
        typer.Option("--precision", help="Default: the recipe's."),
    ] = None,
    offload: OffloadOption = "auto",
    json: JsonFlag = False,
    quiet: QuietFlag = False,
) -> None:
    """Render pictures close to RESULT, from its own recipe.

    Words, sampler, guidance and size are kept. Turning the noise decides the whole a little anew;
    starting from RESULT itself keeps its composition and decides the detail anew.
    """
    planned = plan_refinement(
        file, variation=variation, strength=strength, count=count, seed=seed, prompt=prompt,
        source=source, model=model, parts=parts_of(part), refiner=refiner,
        precision=precision,
    )  # fmt: skip
    request, checkpoint, notices = planned.request, planned.checkpoint, planned.notices
    if not needs_spectrum(request):  # else it is planned once the source is encoded
        plan = resolve(request, checkpoint, request.source.size).plan
        notices = (*notices, *request.source.notices, *plan.notices)
    other = request.variation_seed if request.variation else request.seed
    if output == "-":
        raise OutputError("refine renders several pictures; name a file or a folder with --output")
    places = destinations(
        output, source=file, seed=other or 0, count=count, overwrite=overwrite, as_json=json,
        painted_from=planned.source,
    )  # fmt: skip
    speaks = not (json or quiet)
    if speaks:
        show_notices(notices)
    said = set(notices)
    with progress(quiet=quiet) as meter:
        meter.begin("loading the model", 0)
        from underpaint.rendering import engine_for  # noqa: PLC0415  torch, only once all is checked

        engine = engine_for(request, checkpoint, precision=planned.precision, offload=offload)
        begun = time.perf_counter()
        for place, event in zip(places, painted(engine, request, meter), strict=True):
            of_file = write(event.result, place, overwrite=overwrite)
            new, said = [one for one in of_file if one not in said], said | set(of_file)
            if speaks:
                show_notices(new)
            seconds, begun = time.perf_counter() - begun, time.perf_counter()
            if json:
                show_json(_facts(file, event, place, (*notices, *of_file), seconds))
            elif speaks:
                show_line(_sentence(event, place, seconds))


def _facts(
    file: str,
    event: Finished,
    place: Destination,
    notices: tuple[Notice, ...],
    seconds: float,
) -> dict[str, object]:
    recipe = event.result.recipe
    return {
        "output": str(place),
        "source": file,
        **facts_of(recipe),
        "variation": recipe.request.variation,
        "variation_seed": recipe.request.variation_seed,
        "fidelity": None if recipe.fidelity is None else asdict(recipe.fidelity),
        "notices": [asdict(one) for one in dict.fromkeys(notices)],
        "seconds": round(seconds, 3),
    }


def _sentence(event: Finished, place: Destination, seconds: float) -> str:
    asked = event.result.recipe.request
    how = (
        f"seed {asked.seed} turned {asked.variation:g} towards {asked.variation_seed}"
        if asked.variation
        else f"strength {asked.strength:g}, seed {asked.seed}"
    )
    return f"{place}: {how}, {seconds:.1f} s"
