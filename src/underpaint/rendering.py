"""One picture with one call, and the engine that a call opens."""

from collections.abc import Mapping
from pathlib import Path

from underpaint.engine import Engine
from underpaint.geometry import Fit, Size
from underpaint.levels import Spacing
from underpaint.models.catalog import Checkpoint
from underpaint.models.memory import Offload
from underpaint.peers import Peer
from underpaint.request import Distilled, Request, SamplerName, StrengthScale, Told, WorkSize
from underpaint.results import Result


def render(
    source: object,
    prompt: str,
    *,
    strength: float | None = None,
    strength_scale: StrengthScale | None = None,
    steps: int | None = None,
    steps_like: Peer | None = None,
    guidance_scale: float | None = None,
    guidance_interval: tuple[float, float] | None = None,
    guidance_rescale: float | None = None,
    negative_prompt: str | None = None,
    seed: int | None = None,
    variation: float | None = None,
    variation_seed: int | None = None,
    sampler: SamplerName | None = None,
    eta: float | None = None,
    spacing: Spacing | None = None,
    model: str | Path | None = None,
    parts: Mapping[str, str | Path] | None = None,
    refiner: str | Path | None = None,
    refiner_start: float | None = None,
    clip_skip: int | None = None,
    prediction: Told | None = None,
    distilled: Distilled | None = None,
    work_size: WorkSize | str | None = None,
    size: Size | str | None = None,
    fit: Fit | None = None,
    device: str = "auto",
    precision: str = "auto",
    offload: Offload = "auto",
) -> Result:
    """One picture: ``source`` re-rendered after ``prompt``; what is None takes ``Request``'s default.

    An ``Engine`` made once is faster for many pictures: this loads the model each time.

    Args:
        source: A path, a file's bytes, a PIL image or a uint8 array [H, W], [H, W, 3] or [H, W, 4].
        prompt: What the result should look like.
        strength: Where the run starts, 0 (the source itself) to 1 (the source is ignored).
        strength_scale: ``schedule``, the model's own time, or ``calibrated``, the same on every model.
        steps: Network evaluations that run.
        steps_like: Run as many as ``diffusers``, ``a1111`` or ``comfyui`` makes of steps and strength.
        guidance_scale: Classifier-free guidance; 1 is none.
        guidance_interval: The part of t in which guidance acts.
        guidance_rescale: Pulls the contrast of guided predictions back, 0 to 1.
        negative_prompt: What guidance steers away from.
        seed: Names the noise; drawn and recorded if left out.
        variation: How far that noise is turned towards another's, 0 to 1.
        variation_seed: Names the other; drawn and recorded if left out.
        sampler: How the levels are walked: ``euler``, ``heun``, ``dpmpp_2m``, ``dpmpp_2m_sde``, ``euler_ancestral``,
            ``unipc``, ``ddim`` or ``lcm``.
        eta: The share of fresh noise that ddim adds.
        spacing: How they lie: ``model``, ``karras`` or ``log_snr``.
        model: A shipped name, a folder, a single file or a name on the hub.
        parts: Parts of it that lie elsewhere, such as ``{"vae": "ae.safetensors"}``.
        refiner: A second model with the same latents that takes over.
        refiner_start: The t at which it does.
        clip_skip: How many layers earlier than usual CLIP's states are taken.
        prediction: What the model predicts, ``eps`` or ``v``, where its file cannot tell.
        distilled: How it was distilled to few steps, where its file cannot tell.
        work_size: The size rendered at: ``auto``, ``native``, ``"640x480"`` or (640, 480).
        size: The size of the result, such as ``"640x480"`` or (640, 480).
        fit: How a source of another shape is brought to ``size``: ``cover``, ``contain`` or ``stretch``.
        device: Where it runs.
        precision: In which numbers.
        offload: Whether text encoders leave memory once a prompt is read, as ``Engine`` says.

    Raises:
        InputError: something cannot be used; the message says what can.
    """
    options = {
        "strength": strength,
        "strength_scale": strength_scale,
        "steps": steps,
        "steps_like": steps_like,
        "guidance_scale": guidance_scale,
        "guidance_interval": guidance_interval,
        "guidance_rescale": guidance_rescale,
        "negative_prompt": negative_prompt,
        "seed": seed,
        "variation": variation,
        "variation_seed": variation_seed,
        "sampler": sampler,
        "eta": eta,
        "spacing": spacing,
        "parts": parts,
        "refiner": None if refiner is None else str(refiner),
        "refiner_start": refiner_start,
        "clip_skip": clip_skip,
        "prediction": prediction,
        "distilled": distilled,
        "work_size": work_size,
        "size": size,
        "fit": fit,
    }
    given = {name: value for name, value in options.items() if value is not None}
    request = Request(source=source, prompt=prompt, **given)
    engine = engine_for(request, model, device=device, precision=precision, offload=offload)
    return engine.render(request)


def engine_for(
    request: Request,
    model: str | Path | Checkpoint | None,
    *,
    device: str = "auto",
    precision: str = "auto",
    offload: Offload = "auto",
) -> Engine:
    """An engine with ``model``, which is read as ``request`` says, unless it was found already.

    Raises:
        ModelError: there is no such model.
        RequestError: there is no such device, precision or offload.
    """
    return Engine(
        model,
        device=device,
        precision=precision,
        offload=offload,
        prediction=request.prediction,
        distilled=request.distilled,
        parts=request.parts,
    )
