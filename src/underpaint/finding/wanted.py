"""How much of a source is to be kept: a number, or as much as an example kept; no torch."""

import os
from typing import SupportsFloat

from underpaint import pixels
from underpaint.errors import PictureError, RequestError
from underpaint.fidelity import compare
from underpaint.recipe import Recipe


def check_keep(keep: object) -> float:
    """``keep``, if it is a share of structure.

    Raises:
        RequestError: it is not.
    """
    if isinstance(keep, bool) or not isinstance(keep, SupportsFloat) or not 0 <= float(keep) <= 1:
        raise RequestError(
            f"keep must lie in [0, 1], got {keep!r}; 1 keeps all of the source's structure"
        )
    return float(keep)


def wanted_share(
    keep: float | None,
    like: str | os.PathLike[str] | None,
    like_source: pixels.Source | pixels.Picture | None = None,
    *,
    dashes: str = "",
) -> float:
    """How much structure is to be kept, by a number or by an example.

    Args:
        keep: The number.
        like: The example.
        like_source: What that was made from.
        dashes: What stands before the names of these in a sentence.

    Raises:
        RequestError: neither way or both were chosen, or the number is none.
        PictureError: the example cannot be read, or does not tell.
    """
    if keep is None and like is None:
        raise RequestError(
            f"find needs either {dashes}keep, a share of structure such as 0.8, or {dashes}like, an example"
        )
    if keep is not None and like is not None:
        raise RequestError(
            f"{dashes}keep and {dashes}like both say how far to stray; give one of them"
        )
    if like is not None:
        return kept_by(like, like_source)
    if like_source is not None:
        raise RequestError(
            f"what the example was made from tells nothing alone; give {dashes}like as well"
        )
    return check_keep(keep)


def kept_by(
    example: str | os.PathLike[str] | bytes, before: pixels.Source | pixels.Picture | None = None
) -> float:
    """How much structure ``example`` kept of the picture it was made from.

    Args:
        example: A result.
        before: What it was made from; without it, its recipe tells what was measured then.

    Raises:
        PictureError: one cannot be read, their shapes differ, or the recipe does not tell.
    """
    if before is not None:
        return compare(before, example).structure
    packet, _ = pixels.read_metadata(example)
    recipe = Recipe.from_xmp(packet or b"")
    if recipe is None or recipe.fidelity is None:
        raise PictureError(
            "the example carries no recipe that tells how far it strayed; name the picture that it "
            "was made from with --like-source"
        )
    return recipe.fidelity.structure
