"""A refinement with one call from Python."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from underpaint import pixels
from underpaint.errors import Notice
from underpaint.models.memory import Offload
from underpaint.refining.planning import COUNT, plan_refinement
from underpaint.rendering import engine_for
from underpaint.results import Finished, Result


@dataclass(frozen=True, slots=True, eq=False)
class Refined:
    """Pictures close to one that nearly worked.

    Attributes:
        results: The pictures, in the order of their seeds.
        notices: What a person should know of them all; each result has its own besides.
    """

    results: tuple[Result, ...]
    notices: tuple[Notice, ...]


def refine(
    near: str | os.PathLike[str] | Result,
    *,
    variation: float | None = None,
    strength: float | None = None,
    count: int = COUNT,
    seed: int | None = None,
    prompt: str | None = None,
    source: pixels.Source | pixels.Picture | None = None,
    model: str | Path | None = None,
    parts: Mapping[str, str | Path] | None = None,
    refiner: str | Path | None = None,
    device: str = "auto",
    precision: str | None = None,
    offload: Offload = "auto",
) -> Refined:
    """Pictures close to ``near``, from its own recipe: words, sampler, guidance and size are kept.

    Its source is rendered again and the noise turned a little, which decides the whole a little
    anew; or, with ``strength``, ``near`` itself is the source, which keeps its composition and decides
    the detail anew.

    Args:
        near: A result that nearly works, or the path of one.
        variation: How far to turn the noise, above 0 to 1; a fifth if left out.
        strength: Start from ``near`` itself instead; .2 to .4 keeps its composition.
        count: How many pictures.
        seed: Names the other noise; counted up; drawn and recorded if left out.
        prompt: Other words than its own.
        source: What it was made from; a file's is looked for beside it, a result remembers its own.
        model: The checkpoint's folder, where it is neither shipped nor on the hub.
        parts: Parts of it that lay elsewhere, where they are not on the hub.
        refiner: The refiner's folder, where there was one that is not on the hub.
        device: Where it runs.
        precision: In which numbers; the recipe's if left out.
        offload: Whether text encoders leave memory once a prompt is read, as ``Engine`` says.

    Raises:
        InputError: something cannot be used; the message says what can.
    """
    planned = plan_refinement(
        near, variation=variation, strength=strength, count=count, seed=seed, prompt=prompt,
        source=source, model=model, parts=parts, refiner=refiner,
        precision=precision,
    )  # fmt: skip
    engine = engine_for(
        planned.request,
        planned.checkpoint,
        device=device,
        precision=planned.precision,
        offload=offload,
    )
    events = engine.stream([planned.request])
    results = tuple(event.result for event in events if isinstance(event, Finished))
    return Refined(results, planned.notices)
