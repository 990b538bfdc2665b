"""``underpaint replay``."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from underpaint import pixels
from underpaint.cli import OUR_FAULT, interrupted
from underpaint.cli.options import JsonFlag, QuietFlag
from underpaint.cli.reporting import progress, show_json, show_line, show_notices
from underpaint.errors import Notice, PictureError, RecipeError, RequestError
from underpaint.models import catalog
from underpaint.pixels.sniffing import HEAD_BYTES, Kind, sniff
from underpaint.recipe import Build, Recipe
from underpaint.results import Finished, Planned, Result, Step
from underpaint.startup import heap_settled

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
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUTPUT.")] = False,
    json: JsonFlag = False,
    quiet: QuietFlag = False,
) -> int:
    """Render a picture again from its own recipe, and say whether every byte is the same.

    The source is looked for beside FILE, by its name and by its SHA-256. Without --output nothing
    is written. Ends with 1 where the bytes differ on the same build.
    """
    recipe, original = _recipe_of(file)
    own_suffix = SUFFIXES[sniff(original[:HEAD_BYTES])]
    suffix = own_suffix if output is None else pixels.suffix_of(output)
    if output is not None:
        pixels.check_destination(output, overwrite=overwrite)
    found = source if source is not None else find_source(recipe, Path(file).parent)
    picture = pixels.read(found)
    checkpoint = catalog.find(model if model is not None else _known_model(recipe))
    notices = [
        *_source_notices(recipe, found, picture),
        *_model_notices(recipe, checkpoint),
    ]
    result, build = _render_again(recipe, picture, checkpoint, quiet=quiet)
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


def _recipe_of(file: str) -> tuple[Recipe, bytes]:
    packet, _ = pixels.read_metadata(file)
    recipe = Recipe.from_xmp(packet) if packet else None
    if recipe is None:
        raise RecipeError(
            f"{file!r} carries no underpaint recipe, so it cannot be replayed; "
            "inspect shows what else it carries"
        )
    return recipe, Path(file).read_bytes()


def find_source(recipe: Recipe, folder: Path) -> Path:
    """The source in ``folder``: the file of its name or of its hash, else the one of its name.

    Raises:
        PictureError: there is none.
    """
    named = folder / recipe.source.name if recipe.source.name else None
    if named is not None and named.name != recipe.source.name:
        named = None  # a name that leads elsewhere: the recipe is someone else's writing
    candidates = [named] if named is not None and named.is_file() else []
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
    pictures = (one for one in sorted(folder.iterdir()) if one.suffix.lower() in PICTURE_ENDINGS)
    for one, _ in zip(pictures, range(MOST_NEIGHBOURS), strict=False):
        if one.is_file():
            yield one


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _known_model(recipe: Recipe) -> str:
    if recipe.model.name not in catalog.SHIPPED:
        raise RequestError(
            f"the picture was made with the model {recipe.model.name!r}, which is not shipped; "
            "name its folder with --model"
        )
    return recipe.model.name


def _source_notices(recipe: Recipe, found: str | Path, picture: pixels.Picture) -> list[Notice]:
    if picture.sha256 == recipe.source.sha256:
        return []
    return [
        Notice("other-source", f"{str(found)!r} is not the file that the picture was made from")
    ]


def _model_notices(recipe: Recipe, checkpoint: catalog.Checkpoint) -> list[Notice]:
    if checkpoint.sha256 == recipe.model.sha256:
        return []
    return [
        Notice("other-model", f"the model {checkpoint.name!r} has other weights or settings now")
    ]


def _render_again(
    recipe: Recipe, picture: pixels.Picture, checkpoint: catalog.Checkpoint, *, quiet: bool
) -> tuple[Result, Build]:
    """The recipe's request on the device and in the numbers that it names, where there are such."""
    request = recipe.request.model_copy(update={"source": picture, "model": checkpoint.name})
    with progress(quiet=quiet) as meter:
        meter.begin("loading the model", 0)
        from underpaint.engine import Engine  # noqa: PLC0415  torch, only once all is checked

        engine = Engine(
            checkpoint.folder if checkpoint.name not in catalog.SHIPPED else checkpoint.name,
            device=_device_of(recipe.build),
            precision=recipe.build.precision,
            rows_per_call=recipe.build.rows_per_call,
            threads=recipe.build.threads,
        )
        result = None
        for event in engine.stream([request], cancelled=lambda: bool(interrupted)):
            match event:
                case Planned():
                    heap_settled()
                    meter.begin("painting", event.plan.evaluations)
                case Step():
                    meter.advance(event.evaluation)
                case Finished():
                    result = event.result
    if result is None:
        raise RuntimeError("the stream ended without a picture")
    # A name is no part of what is painted: the source may have been renamed since.
    renamed = replace(result.recipe, source=replace(result.recipe.source, name=recipe.source.name))
    return replace(result, recipe=renamed), engine.build


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
