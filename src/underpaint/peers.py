"""How many evaluations other tools make of the same steps and strength.

Each formula is the tool's own, floating point and all: ``int(50 * 0.58)`` is 28.
"""

from typing import Literal, get_args

from underpaint.errors import Notice, RequestError
from underpaint.levels import FlowSchedule, Schedule

Peer = Literal["diffusers", "a1111", "comfyui"]
PEERS: tuple[Peer, ...] = get_args(Peer)
_LCM_STEPS = 50  # LCMScheduler.set_timesteps: original_inference_steps


def copied_steps(
    peer: Peer,
    *,
    steps: int,
    strength: float,
    sampler: str,
    schedule: Schedule,
    consistency: bool = False,
) -> tuple[int, Notice]:
    """The evaluations that ``peer`` runs, and the notice that says so.

    Args:
        peer: The tool.
        steps: What a person asks it for.
        strength: What a person asks it for, above 0.
        sampler: Ours of the same name; Heun's n steps are 2 n - 1 evaluations everywhere.
        schedule: The model's: diffusers counts another way for flows.
        consistency: Whether it is a latent consistency model, for which diffusers has a pipeline of its own.

    Raises:
        RequestError: it would run none, and fails or gives the source back.
    """
    if peer == "diffusers" and consistency:
        # pipelines/latent_consistency_models: all of them, taken out of so many
        count = steps if int(_LCM_STEPS * strength) >= steps else 0
    else:
        count = _steps_that_run(peer, steps, strength, sampler, schedule)
    if count < 1:
        raise RequestError(
            f"{peer} makes no evaluation at all of {steps} steps at strength {strength:g}; ask for "
            "more steps or leave steps_like out"
        )
    evaluations = 2 * count - 1 if sampler == "heun" else count
    message = (
        f"{evaluations} evaluations run, as {peer} makes of {steps} steps at strength {strength:g}; "
        "the count is copied and not the start, which stays exact"
    )
    return evaluations, Notice("steps-copied", message)


def _steps_that_run(
    peer: Peer, steps: int, strength: float, sampler: str, schedule: Schedule
) -> int:
    match peer:
        case "diffusers" if isinstance(schedule, FlowSchedule):
            # pipelines/flux/pipeline_flux_img2img.py: get_timesteps
            return steps - int(max(steps - min(steps * strength, steps), 0))
        case "diffusers":
            # pipelines/stable_diffusion/pipeline_stable_diffusion_img2img.py: get_timesteps
            return min(int(steps * strength), steps)
        case "a1111":
            # modules/sd_samplers_common.py: setup_img2img_steps; sampling.py walks t_enc + 1 levels, and
            # sd_samplers_timesteps_impl.py takes t_enc times, of which ddim leaves one out
            t_enc = int(min(strength, 0.999) * steps)
            return t_enc + {"ddim": -1, "unipc": 0}.get(sampler, 1)
        case "comfyui":
            # comfy/samplers.py: KSampler.set_steps keeps the last `steps` of int(steps / strength)
            return steps
