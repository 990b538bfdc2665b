"""``underpaint replay``."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from underpaint import pixels
from underpaint.cli import OUR_FAULT
from underpaint.cli.options import JsonFlag, PartOption, QuietFlag, parts_of
from underpaint.cli.painting import painted
from underpaint.cli.reporting import progress, show_json, show_line, show_notices
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
from underpaint.pixels.sniffing import HEAD_BYTES, Kind, sniff
from underpaint.recipe import Build, Recipe
from underpaint.results import Result

SUFFIXES: Mapping[Kind, str] = {
    "PNG": ".png",
    "JPEG": ".jpg",
    "WebP": ".webp",
    "AVIF": ".avif",
}


def command(
    file: Annotated[str, typer.Argument(help="A picture that underpaint made.", metavar="FILE")],
    *,
    source: Annotated[
        str | None,
        typer.Option("--source", help="Its source. Default: looked for beside it.", metavar="PATH"),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", help="Where to write it. Default: compare only.", metavar="PATH"
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
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUTPUT.")] = False,
    json: JsonFlag = False,
    quiet: QuietFlag = False,
) -> int:
    """Render a picture again from its own recipe, and say whether every byte is the same.

    The source is looked for beside FILE, by its name and by its SHA-256. Without --output nothing
    is written. Ends with 1 where the bytes differ on the same build.
    """
    recipe, original = recipe_of(file), Path(file).read_bytes()
    own_suffix = SUFFIXES[sniff(original[:HEAD_BYTES])]
    suffix = own_suffix if output is None else pixels.suffix_of(output)
    if output is not None:
        pixels.check_destination(output, overwrite=overwrite)
    found = source if source is not None else find_source(recipe, Path(file))
    if output is not None:
        pixels.check_source_stays(output, found)
    picture = pixels.read(found)
    checkpoint = find_model(recipe, model, parts_of(part))
    of_source = source_notices(recipe, picture, found)
    of_model = model_notices(recipe, checkpoint)
    result, build = _render_again(recipe, picture, checkpoint, refiner=refiner, quiet=quiet)
    notices: list[Notice] = [*of_source, *of_model, *_refiner_notices(recipe, result.recipe)]
    result = _as_it_was(recipe, result, same_source=not of_source, same_model=not of_model)
    others = _differences(recipe.build, build)
    if others:
        notices.append(Notice("other-build", f"this build is another one: {others}"))
    data = result.encode(suffix)
    same = result.encode(own_suffix) == original
    shared = not same and not notices and recipe.build.rows_per_call > 1
    if shared:
        sentence = (
            f"up to {recipe.build.rows_per_call} pictures shared a network call when it was made, which can "
            "change last bits, and here it was alone; --exact avoids that"
        )
        notices.append(Notice("shared-calls", sentence))
    if output is not None:
        pixels.write_atomically(output, data, overwrite=overwrite)
        notices += result.lost_in(suffix)
    verdict = {
        "file": file,
        "source": str(found),
        "output": output,
        "identical": same,
        "same_build": not others,
        "notices": [asdict(notice) for notice in notices],
    }
    if json:
        show_json(verdict)
    elif not quiet:
        show_notices(notices)
        show_line(f"{file}: {'every byte is the same' if same else 'the bytes differ'}")
    return OUR_FAULT if not same and not others and not shared else 0


def _refiner_notices(recipe: Recipe, again: Recipe) -> tuple[Notice, ...]:
    then, now = recipe.refiner, again.refiner
    if then is None or now is None or then.sha256 == now.sha256:
        return ()
    sentence = f"the refiner {now.name!r} has other weights or settings now"
    return (Notice("other-model", sentence),)


def _as_it_was(recipe: Recipe, result: Result, *, same_source: bool, same_model: bool) -> Result:
    """The result with what is no part of what is painted as it was: names, and what one run noticed."""
    made = result.recipe
    if same_source:  # it may have been renamed since
        made = replace(made, source=recipe.source)
    if same_model:
        made = _with_model_of(recipe, made)
    if recipe.makes_the_same_as(made):
        made = replace(made, plan=replace(made.plan, notices=recipe.plan.notices))
    return replace(result, recipe=made)


def _with_model_of(recipe: Recipe, made: Recipe) -> Recipe:
    asked = recipe.request
    names = {"model": asked.model, "parts": asked.parts, "refiner": asked.refiner}
    return replace(made, request=made.request.model_copy(update=names), model=recipe.model)


def _render_again(
    recipe: Recipe,
    picture: pixels.Picture,
    checkpoint: Checkpoint,
    *,
    refiner: str | None,
    quiet: bool,
) -> tuple[Result, Build]:
    """The recipe's request on the device and in the numbers that it names, where there are such."""
    second = find_refiner(recipe, refiner)
    fresh = {"source": picture, "model": None, "parts": None, "refiner": second}
    request = recipe.request.model_copy(update=fresh)
    with progress(quiet=quiet) as meter:
        meter.begin("loading the model", 0)
        from underpaint.engine import Engine  # noqa: PLC0415  torch, only once all is checked

        engine = Engine(
            checkpoint,
            device=_device_of(recipe.build),
            precision=recipe.build.precision,
            rows_per_call=recipe.build.rows_per_call,
            threads=recipe.build.threads,
        )
        (finished,) = painted(engine, request, meter)
    return finished.result, engine.build


def _device_of(build: Build) -> str:
    from underpaint.devices import find_device  # noqa: PLC0415  torch

    try:
        find_device(build.device)
    except RequestError:
        return "auto"
    return build.device


def _differences(then: Build, now: Build) -> str:
    before, after = asdict(then), asdict(now)
    return ", ".join(
        f"{name} {before[name]} then and {after[name]} now"
        for name in before
        if before[name] != after[name]
    )
