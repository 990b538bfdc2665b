"""``underpaint replay``."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from underpaint import pixels
from underpaint.cli import OUR_FAULT
from underpaint.cli.options import JsonFlag, QuietFlag
from underpaint.cli.painting import painted
from underpaint.cli.reporting import progress, show_json, show_line, show_notices
from underpaint.errors import Notice, PictureError, RecipeError, RequestError
from underpaint.models import catalog
from underpaint.models.hub import is_hub_name
from underpaint.pixels.sniffing import HEAD_BYTES, Kind, sniff
from underpaint.recipe import Build, Recipe
from underpaint.results import Result

SUFFIXES: Mapping[Kind, str] = {
    "PNG": ".png",
    "JPEG": ".jpg",
    "WebP": ".webp",
    "AVIF": ".avif",
}
MOST_NEIGHBOURS = 2000  # files of the folder that are looked at for a renamed source
PICTURE_ENDINGS = frozenset(
    [
        ".png",
        ".apng",
        ".jpg",
        ".jpeg",
        ".mpo",
        ".webp",
        ".avif",
        ".gif",
        ".bmp",
        ".tif",
        ".tiff",
        ".heic",
        ".heif",
    ]
)


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
        str | None, typer.Option("--model", "-m", help="The checkpoint's folder, if it was one.")
    ] = None,
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
    recipe, original = recipe_of(file)
    own_suffix = SUFFIXES[sniff(original[:HEAD_BYTES])]
    suffix = own_suffix if output is None else pixels.suffix_of(output)
    if output is not None:
        pixels.check_destination(output, overwrite=overwrite)
    found = source if source is not None else find_source(recipe, Path(file).parent)
    picture = pixels.read(found)
    checkpoint = catalog.find(
        model if model is not None else known_model(recipe),
        prediction=recipe.request.prediction,
        distilled=recipe.request.distilled,
    )
    same_source, same_model = _is_source(recipe, picture), checkpoint.sha256 == recipe.model.sha256
    notices: list[Notice] = []
    if not same_source:
        sentence = f"{str(found)!r} is not the file that the picture was made from"
        notices.append(Notice("other-source", sentence))
    if not same_model:
        sentence = f"the model {checkpoint.name!r} has other weights or settings now"
        notices.append(Notice("other-model", sentence))
    result, build = _render_again(recipe, picture, checkpoint, refiner=refiner, quiet=quiet)
    # Names are no part of what is painted: the source or the model may have been renamed since.
    if same_source:
        result = replace(result, recipe=replace(result.recipe, source=recipe.source))
    if same_model:
        result = replace(result, recipe=_with_model_of(recipe, result.recipe))
    others = _differences(recipe.build, build)
    if others:
        notices.append(Notice("other-build", f"this build is another one: {others}"))
    data = result.encode(suffix)
    same = result.encode(own_suffix) == original
    if output is not None:
        pixels.write_atomically(output, data, overwrite=overwrite)
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
    return OUR_FAULT if not same and not others else 0


def recipe_of(file: str) -> tuple[Recipe, bytes]:
    """What the picture carries, and its bytes.

    Raises:
        RecipeError: it carries nothing of ours.
    """
    packet, _ = pixels.read_metadata(file)
    recipe = Recipe.from_xmp(packet) if packet else None
    if recipe is None:
        raise RecipeError(
            f"{file!r} carries no underpaint recipe, so it cannot be rendered again; "
            "inspect shows what else it carries"
        )
    return recipe, Path(file).read_bytes()


def find_source(recipe: Recipe, folder: Path) -> Path:
    """The source in ``folder``: the file of its name or of its hash, else the one of its name.

    What cannot be opened is passed over.

    Raises:
        PictureError: there is none.
    """
    named = folder / recipe.source.name if recipe.source.name else None
    if named is not None and named.name != recipe.source.name:
        named = None  # a name that leads elsewhere: the recipe is someone else's writing
    candidates = [named] if named is not None and os.path.isfile(named) else []  # noqa: PTH113  Path's can raise
    for one in (*candidates, *_neighbours(folder)):
        if _sha256(one) == recipe.source.sha256:
            return one
    if candidates:
        return candidates[0]
    raise PictureError(
        f"the source {recipe.source.name or ''!r} is not beside the picture, under that name or "
        "another; name it with --source"
    )


def _neighbours(folder: Path) -> Iterator[Path]:
    try:
        everything = sorted(folder.iterdir())
    except OSError:
        return
    pictures = (one for one in everything if one.suffix.lower() in PICTURE_ENDINGS)
    for one, _ in zip(pictures, range(MOST_NEIGHBOURS), strict=False):
        if os.path.isfile(one):  # noqa: PTH113  Path's can raise
            yield one


def _sha256(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def known_model(recipe: Recipe) -> str:
    """The shipped model that made it.

    Raises:
        RequestError: it was another.
    """
    if recipe.model.name not in catalog.SHIPPED and not is_hub_name(recipe.model.name):
        raise RequestError(
            f"the picture was made with the model {recipe.model.name!r}, which is not shipped; "
            "name its folder with --model"
        )
    return recipe.model.name


def _is_source(recipe: Recipe, picture: pixels.Picture) -> bool:
    """Whether it was made from that file, or from those pixels where it was made in Python."""
    if picture.sha256 == recipe.source.sha256:
        return True
    return pixels.read(np.asarray(picture.to_pil())).sha256 == recipe.source.sha256


def _with_model_of(recipe: Recipe, made: Recipe) -> Recipe:
    names = {"model": recipe.request.model, "refiner": recipe.request.refiner}
    return replace(made, request=made.request.model_copy(update=names), model=recipe.model)


def _render_again(
    recipe: Recipe,
    picture: pixels.Picture,
    checkpoint: catalog.Checkpoint,
    *,
    refiner: str | None,
    quiet: bool,
) -> tuple[Result, Build]:
    """The recipe's request on the device and in the numbers that it names, where there are such."""
    second = refiner if refiner is not None else recipe.request.refiner
    fresh = {"source": picture, "model": None, "refiner": second}
    request = recipe.request.model_copy(update=fresh)
    with progress(quiet=quiet) as meter:
        meter.begin("loading the model", 0)
        from underpaint.engine import Engine  # noqa: PLC0415  torch, only once all is checked

        engine = Engine(
            checkpoint.place,  # in full: of "./gesso" only a shipped name would remain
            device=_device_of(recipe.build),
            precision=recipe.build.precision,
            prediction=request.prediction,
            distilled=request.distilled,
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
