"""What a result was made from, by the recipe that it carries: its source and its model; no torch."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from underpaint import pixels
from underpaint.errors import Notice, PictureError, RecipeError, RequestError
from underpaint.models import catalog
from underpaint.models.hub import is_hub_name
from underpaint.recipe import Recipe

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


def recipe_of(file: str | os.PathLike[str]) -> Recipe:
    """What the picture carries.

    Raises:
        PictureError: the file cannot be read.
        RecipeError: it carries nothing of ours.
    """
    packet, _ = pixels.read_metadata(file)
    recipe = Recipe.from_xmp(packet) if packet else None
    if recipe is None:
        raise RecipeError(
            f"{os.fspath(file)!r} carries no underpaint recipe, so it cannot be rendered again; "
            "inspect shows what else it carries"
        )
    return recipe


def find_source(recipe: Recipe, result: Path) -> Path:
    """The source beside ``result``: the file of its name or of its hash, else the one of its name.

    A file of its name and its hash is also taken from the folder above, where sweeps leave it, and from where one is.
    What cannot be opened is passed over, and so is the result itself, which may have its source's name.

    Raises:
        PictureError: there is none.
    """
    name, beside = recipe.source.name, result.parent
    if name and Path(name).name != name:
        name = None  # it leads elsewhere: the recipe is someone else's writing
    above = Path(os.path.abspath(result)).parent.parent  # noqa: PTH100  links stay
    places = [folder / name for folder in (beside, above, Path())] if name else []
    there = [one for one in places if os.path.isfile(one) and not _is(one, result)]  # noqa: PTH113  Path's can raise
    for one in (*there, *_neighbours(beside)):
        if not _is(one, result) and _sha256(one) == recipe.source.sha256:
            return one
    if name and beside / name in there:
        return beside / name
    which = f" {recipe.source.name!r}" if recipe.source.name else ""
    raise PictureError(
        f"the source{which} is not beside the picture, under {'that' if which else 'any'} name"
        f"{' or another, nor in the folder above or this one' if which else ''}; name it with --source, or source= in "
        "Python"
    )


def is_source(recipe: Recipe, picture: pixels.Picture) -> bool:
    """Whether it was made from that file, or from those pixels where it was made in Python."""
    if picture.sha256 == recipe.source.sha256:
        return True
    return pixels.read(np.asarray(picture.to_pil())).sha256 == recipe.source.sha256


def source_notices(recipe: Recipe, picture: pixels.Picture, place: object) -> tuple[Notice, ...]:
    """What to say where ``picture``, read from ``place``, is not what it was made from."""
    if is_source(recipe, picture):
        return ()
    sentence = f"{str(place)!r} is not the file that the picture was made from"
    return (Notice("other-source", sentence),)


def model_notices(recipe: Recipe, checkpoint: catalog.Checkpoint) -> tuple[Notice, ...]:
    """What to say where the model is another one, or its files have changed."""
    if checkpoint.sha256 == recipe.model.sha256:
        return ()
    sentence = f"the model {checkpoint.name!r} has other weights or settings now"
    return (Notice("other-model", sentence),)


def find_model(
    recipe: Recipe,
    named: str | Path | None = None,
    parts: Mapping[str, str | Path] | None = None,
) -> catalog.Checkpoint:
    """The model that made it, or the one ``named`` instead, read as the recipe tells.

    Args:
        recipe: The picture's.
        named: The model, where it is neither shipped nor on the hub.
        parts: Its parts that lie elsewhere, where they are not on the hub.

    Raises:
        ModelError: there is no such model, or it cannot be read.
        RequestError: the model or one of its parts has to be named.
    """
    name = recipe.model.name
    if named is None and name not in catalog.SHIPPED and not is_hub_name(name):
        raise RequestError(
            f"the picture was made with the model {name!r}, which is not shipped; "
            "name its folder with --model, or model= in Python"
        )
    return catalog.find(
        name if named is None else named,
        prediction=recipe.request.prediction,
        distilled=recipe.request.distilled,
        parts=_parts_of(recipe, parts or {}),
    )


def find_refiner(recipe: Recipe, named: str | Path | None = None) -> str | None:
    """Where the model is that took over, None where none did.

    Raises:
        RequestError: none is named, and it is neither shipped nor on the hub.
    """
    name = recipe.request.refiner
    if named is not None or name is None:
        return None if named is None else str(named)
    if name not in catalog.SHIPPED and not is_hub_name(name):
        raise RequestError(
            f"the picture was made with the refiner {name!r}, which is not shipped; name its folder with "
            "--refiner, or refiner= in Python"
        )
    return name


def _parts_of(recipe: Recipe, named: Mapping[str, str | Path]) -> dict[str, str | Path]:
    """Where each part is that was given when the picture was made."""
    then = recipe.request.parts or {}
    for role, name in then.items():
        if role not in named and not is_hub_name(name):
            raise RequestError(
                f"the picture was made with {name!r} as the model's {role}; say where it is with "
                f"--part {role}=PATH, or parts= in Python"
            )
    return {**then, **named}


def _neighbours(folder: Path) -> Iterator[Path]:
    try:
        everything = sorted(folder.iterdir())
    except OSError:
        return
    pictures = (one for one in everything if one.suffix.lower() in PICTURE_ENDINGS)
    for one, _ in zip(pictures, range(MOST_NEIGHBOURS), strict=False):
        if os.path.isfile(one):  # noqa: PTH113  Path's can raise
            yield one


def _is(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def _sha256(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
