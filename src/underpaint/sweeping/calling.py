"""A sweep with one call from Python."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from underpaint import pixels
from underpaint.errors import RequestError
from underpaint.models.memory import Offload
from underpaint.rendering import engine_for
from underpaint.request import Request, SamplerName
from underpaint.sweeping.axes import NAMES, read_axis
from underpaint.sweeping.planning import DEFAULT_STRENGTHS, plan_sweep
from underpaint.sweeping.publishing import Made
from underpaint.sweeping.running import Published, run

Several = str | float | Sequence[float]


def sweep(
    source: pixels.Source | pixels.Picture,
    prompt: str | Sequence[str],
    output: str | Path,
    *,
    strength: Several = DEFAULT_STRENGTHS,
    guidance_scale: Several | None = None,
    steps: Several | None = None,
    seed: Several | None = None,
    sampler: SamplerName | Sequence[SamplerName] | None = None,
    spacing: str | Sequence[str] | None = None,
    shared: Mapping[str, object] | None = None,
    model: str | Path | None = None,
    device: str = "auto",
    precision: str = "auto",
    offload: Offload = "auto",
    many: bool = False,
    overwrite: bool = False,
) -> tuple[Made, ...]:
    """Every picture of a sweep, after writing it to the folder ``output`` with all that shows it.

    A parameter takes one value, a sequence of them or, for numbers, ``"LOW:HIGH:COUNT"``. One seed is
    drawn for all pictures if none is given. A folder that holds a part of the sweep is completed.

    Args:
        source: A path, a file's bytes, a PIL image or a uint8 array.
        prompt: What the results should look like; several make an axis.
        output: The folder; made if need be.
        strength: Where runs start, 0 to 1.
        guidance_scale: Classifier-free guidance.
        steps: Network evaluations that run.
        seed: Names the noise.
        sampler: How the levels are walked, as in ``render``.
        spacing: How they lie, as in ``render``.
        shared: Other fields of ``Request``, the same for all pictures.
        model: A shipped name, a folder, a single file or a name on the hub.
        device: Where it runs.
        precision: In which numbers.
        offload: Whether text encoders leave memory once a prompt is read, as ``Engine`` says.
        many: Whether more than 400 pictures are wanted indeed.
        overwrite: Whether files may be replaced that hold something else.

    Raises:
        InputError: something cannot be used; the message says what can.
    """
    given = {
        "strength": strength, "guidance_scale": guidance_scale, "steps": steps, "seed": seed,
        "sampler": sampler, "spacing": spacing, "prompt": prompt,
    }  # fmt: skip
    axes = {name: read_axis(name, value) for name, value in given.items() if value is not None}
    if "prompt" not in axes:
        raise RequestError("a sweep needs a prompt, got None; give a text or several")
    first = axes["prompt"].values[0]
    extra = dict(shared or {})
    if own := sorted({"source", *NAMES} & extra.keys()):
        raise RequestError(
            f"shared holds {own[0]}, which sweep takes itself; give it as {own[0]}=…"
        )
    if "sampler" in axes:  # what is shared may depend on it
        extra["sampler"] = axes["sampler"].values[0]
    request = Request(source=None, prompt=first, **extra)
    engine = engine_for(request, model, device=device, precision=precision, offload=offload)
    picture = pixels.read(source)
    planned = plan_sweep(
        request,
        axes,
        picture=picture,
        checkpoint=engine.checkpoint,
        folder=output,
        source=os.fspath(source) if isinstance(source, str | os.PathLike) else "SOURCE.png",
        options={
            "--model": None if model is None else str(model),
            "--part": [f"{role}={place}" for role, place in (request.parts or {}).items()],
            "--device": None if device == "auto" else device,
            "--precision": None if precision == "auto" else precision,
            "--offload": None if offload == "auto" else offload,
        },
        many=many,
        overwrite=overwrite,
    )
    *_, last = run(planned, engine, overwrite=overwrite)
    assert isinstance(last, Published)  # noqa: S101  a run that raises nothing ends so
    return last.made
