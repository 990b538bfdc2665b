"""The requests around a picture that nearly works, made from its recipe; no torch.

Two ways. ``turned`` renders the same source again and turns its noise a little, so that the whole is
decided anew in the same manner. ``continued`` starts from the result itself at a low strength, so that
its composition stays and its detail is decided anew.
"""

from underpaint import pixels
from underpaint.errors import Notice
from underpaint.planning import draw_seed
from underpaint.recipe import Recipe
from underpaint.request import Request

VARIATION = 0.2  # a fifth of the way to another picture: the same one at a glance


def turned(
    recipe: Recipe,
    source: pixels.Picture,
    *,
    variation: float = VARIATION,
    seed: int | None = None,
    count: int = 1,
    prompt: str | None = None,
) -> Request:
    """The request for ``count`` pictures whose noise is turned away from the recipe's.

    Args:
        recipe: The near-miss's; everything but the noise is kept.
        source: What it was made from.
        variation: How far to turn, above 0 to 1.
        seed: Names the noise to turn to; counted up; drawn if left out.
        count: How many pictures.
        prompt: Other words, if these were what was amiss.

    Raises:
        RequestError: a value is out of bounds.
    """
    kept = recipe.request.model_dump() | {"source": source, "model": None, "parts": None}
    if prompt is not None:
        kept["prompt"] = prompt
    other = draw_seed() if seed is None else seed
    return Request(**{**kept, "variation": variation, "variation_seed": other, "count": count})


def continued(
    recipe: Recipe,
    result: pixels.Picture,
    *,
    strength: float,
    seed: int | None = None,
    count: int = 1,
    prompt: str | None = None,
) -> Request:
    """The request for ``count`` pictures that start from the near-miss itself.

    Args:
        recipe: The near-miss's; its words, sampler and guidance are kept, its steps follow the strength.
        result: The near-miss.
        strength: Where the runs start; .2 to .4 keeps the composition.
        seed: Names the noise; counted up; drawn if left out.
        count: How many pictures.
        prompt: Other words, if these were what was amiss.

    Raises:
        RequestError: a value is out of bounds.
    """
    kept = recipe.request.model_dump() | {
        "source": result,
        "model": None,
        "parts": None,
        "size": None,
    }
    kept |= {"steps": None, "steps_like": None, "variation": 0.0, "variation_seed": None}
    if prompt is not None:
        kept["prompt"] = prompt
    first = draw_seed() if seed is None else seed
    return Request(**{**kept, "strength": strength, "seed": first, "count": count})


def turned_notices(recipe: Recipe) -> tuple[Notice, ...]:
    """What to know before turning a picture that was turned already."""
    if recipe.request.variation == 0:
        return ()
    sentence = (
        f"the picture is itself a variation of seed {recipe.request.seed}, and these turn from that "
        "seed, not from it; --strength 0.3 starts from the picture itself"
    )
    return (Notice("variation-of-variation", sentence),)
