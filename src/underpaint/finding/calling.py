"""A search with one call from Python."""

import os
from collections.abc import Mapping
from pathlib import Path

from underpaint import pixels
from underpaint.errors import RequestError
from underpaint.finding.running import Found
from underpaint.finding.running import find as searched
from underpaint.finding.wanted import wanted_share
from underpaint.models.memory import Offload
from underpaint.rendering import engine_for
from underpaint.request import Request


def find(
    source: pixels.Source | pixels.Picture,
    prompt: str,
    *,
    keep: float | None = None,
    like: str | os.PathLike[str] | None = None,
    like_source: pixels.Source | pixels.Picture | None = None,
    steps: int | None = None,
    seed: int | None = None,
    shared: Mapping[str, object] | None = None,
    model: str | Path | None = None,
    device: str = "auto",
    precision: str = "auto",
    offload: Offload = "auto",
) -> Found:
    """The picture whose strength was searched so that it keeps so much of the source's structure.

    Args:
        source: A path, a file's bytes, a PIL image or a uint8 array.
        prompt: What the result should look like.
        keep: Structure kept, 0 to 1, as ``compare`` measures it; give this or ``like``.
        like: A result that strayed as far as this one should.
        like_source: What that one was made from, where its recipe does not tell how far it strayed.
        steps: Network evaluations of the picture; fewer run on the way to it.
        seed: Names the noise, the same on the whole way; drawn and recorded if left out.
        shared: Other fields of ``Request``.
        model: A shipped name, a folder, a single file or a name on the hub.
        device: Where it runs.
        precision: In which numbers.
        offload: Whether text encoders leave memory once a prompt is read, as ``Engine`` says.

    Raises:
        InputError: something cannot be used, or no strength keeps that much or little.
    """
    wanted = wanted_share(keep, like, like_source)
    extra = dict(shared or {})
    if own := sorted({"source", "prompt", "steps", "seed"} & extra.keys()):
        raise RequestError(f"shared holds {own[0]}, which find takes itself; give it as {own[0]}=…")
    if own := sorted({"strength", "count"} & extra.keys()):
        raise RequestError(
            f"find looks for one picture and its strength itself; leave {own[0]} out of shared"
        )
    request = Request(source=source, prompt=prompt, steps=steps, seed=seed, **extra)
    engine = engine_for(request, model, device=device, precision=precision, offload=offload)
    *_, last = searched(request, wanted, engine)
    assert isinstance(last, Found)  # noqa: S101  a search that raises nothing ends so
    return last
