"""The process of one way of ``benchmarks.compare_sd15``: tasks in, what they took out, a line of JSON each.

It imports nothing that its way would not, because its cold start and its memory are measured.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch

STRENGTH, GUIDANCE = 0.6, 7.5
SAMPLER = (
    "ddim"  # of those that both libraries have, diffusers walks this one on Underpaint's levels
)


@dataclass(frozen=True)
class Opening:
    """What is opened, and stays open; ``library`` may be ``gemm``, which paints nothing."""

    library: str
    precision: str
    channels_last: bool
    compiled: bool
    checkpoint: str
    device: str
    gemm_side: int

    @property
    def dtype(self) -> torch.dtype:
        """Its numbers."""
        return getattr(torch, self.precision)


@dataclass(frozen=True)
class Task:
    """One picture."""

    source: str
    output: str
    prompt: str
    seed: int
    evaluations: int


@dataclass(frozen=True)
class Measured:
    """What one picture took.

    Attributes:
        picture_s: From the source's file to the result's.
        network_s: Of it, inside the network.
        rows: Rows of each network call; a guided evaluation is two.
        peak_bytes: The most memory that the process has held until now.
        gpu_peak_bytes: The most of the GPU's; 0 on CPUs.
    """

    picture_s: float
    network_s: float
    rows: tuple[int, ...]
    peak_bytes: int
    gpu_peak_bytes: int


Painter = Callable[[Task], None]


def main() -> None:
    """Answers until its input ends: a task with ``Measured``, null with a GEMM rate, or an error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print is no answer
    opening = Opening(**json.loads(sys.argv[1]))
    answer: Callable[[Any], Any] | None = None
    for line in sys.stdin:
        try:
            answer = answer or _opened(opening)
            reply = {"answer": answer(json.loads(line))}
        except Exception as problem:  # noqa: BLE001  the table tells what became of each way
            first_line = (str(problem).strip() or "without a word").splitlines()[0]
            reply = {"error": f"{type(problem).__name__}: {first_line[:300]}"}
        print(json.dumps(reply), file=answers, flush=True)


def _opened(opening: Opening) -> Callable[[Any], Any]:
    device = torch.device(opening.device)
    if opening.library == "gemm":
        return lambda _: _gemm_rate(device, opening.dtype, opening.gemm_side)
    openers = {"underpaint": _underpaint, "diffusers": _diffusers, "openvino": _openvino}
    network, paint = openers[opening.library](opening)
    if opening.compiled:
        _compile(network, device)
    watch = Watch(network, device)
    return lambda task: asdict(_measured(paint, watch, Task(**task)))


@dataclass
class Watch:
    """Counts and times every call of a network, whoever makes it."""

    network: torch.nn.Module
    device: torch.device
    rows: list[int] = field(default_factory=list)
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self._forward = self.network.forward
        self.network.forward = self.called

    def called(self, sample: torch.Tensor, *given: Any, **named: Any) -> Any:
        """In place of the network's ``forward``."""
        _settle(self.device)
        begun = time.perf_counter()
        output = self._forward(sample, *given, **named)
        _settle(self.device)
        self.seconds += time.perf_counter() - begun
        self.rows.append(sample.shape[0])
        return output

    def restart(self) -> None:
        """Counts from nothing."""
        self.rows, self.seconds = [], 0.0


def _measured(paint: Painter, watch: Watch, task: Task) -> Measured:
    watch.restart()
    begun = time.perf_counter()
    paint(task)
    took = time.perf_counter() - begun
    on_gpu = watch.device.type == "cuda"
    gpu_peak = torch.cuda.max_memory_allocated(watch.device) if on_gpu else 0
    return Measured(took, watch.seconds, tuple(watch.rows), _peak_bytes(), gpu_peak)


def _settle(device: torch.device) -> None:
    if device.type != "cpu":
        getattr(torch, device.type).synchronize()


def _peak_bytes() -> int:
    """The most memory that this process has held."""
    try:  # on Linux getrusage begins with the peak of the process that started this one
        status = Path("/proc/self/status").read_text("utf-8")
        return 1024 * int(status.split("VmHWM:")[1].split()[0])
    except (OSError, IndexError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else 1024 * peak


def _gemm_rate(device: torch.device, dtype: torch.dtype, side: int) -> float:
    """Floating-point operations a second of a ``side``³ matrix product, the best of three."""
    left, right = (torch.rand(side, side, device=device).to(dtype) for _ in range(2))
    product = left @ right
    seconds: list[float] = []
    for _ in range(3):
        _settle(device)
        begun = time.perf_counter()
        torch.mm(left, right, out=product)
        _settle(device)
        seconds.append(time.perf_counter() - begun)
    return 2 * side**3 / min(seconds)


def _compile(network: torch.nn.Module, device: torch.device) -> None:
    """Lets the whole network be compiled at its first call: on CPUs with its weights as constants."""
    import torch._inductor.config as inductor

    inductor.freezing = device.type == "cpu"
    mode = "default" if device.type == "cpu" else "max-autotune"
    network.forward = torch.compile(network.forward, mode=mode)


# --- Underpaint -----------------------------------------------------------------------------------


def _underpaint(opening: Opening) -> tuple[torch.nn.Module, Painter]:
    from underpaint import Engine, Request

    if opening.compiled:
        _make_traceable()
    engine = Engine(
        opening.checkpoint, device=opening.device, precision=opening.precision, offload="none"
    )

    def paint(task: Task) -> None:
        request = Request(
            source=task.source, prompt=task.prompt, seed=task.seed, strength=STRENGTH,
            steps=task.evaluations, guidance_scale=GUIDANCE, sampler=SAMPLER, work_size="native",
        )  # fmt: skip
        engine.render(request).save(task.output)

    denoiser: Any = engine.model.denoiser
    return denoiser.network, paint


def _make_traceable() -> None:
    """Leaves weights in torch's layout, for the compiler to pack, and makes attention in blocks one operator."""
    from underpaint.models import attention, onednn

    onednn.pack = _left_alone
    in_blocks = torch.library.custom_op(
        "underpaint::in_blocks", attention.in_blocks, mutates_args=()
    )
    in_blocks.register_fake(_as_query)
    attention.in_blocks = in_blocks


def _left_alone(network: torch.nn.Module) -> None:
    """In place of what packs a network's weights."""


def _as_query(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:  # noqa: ARG001
    """Attention's output, without content."""
    batch, heads, queries, width = query.shape
    return query.new_empty(batch, queries, heads, width).transpose(1, 2)


# --- diffusers ------------------------------------------------------------------------------------


def _diffusers(opening: Opening) -> tuple[torch.nn.Module, Painter]:
    pipeline = _pipeline(opening, opening.dtype).to(opening.device)
    if opening.channels_last:
        for network in (pipeline.unet, pipeline.vae):
            network.to(memory_format=torch.channels_last)
    return pipeline.unet, partial(_painted, pipeline)


def _pipeline(opening: Opening, dtype: torch.dtype) -> Any:
    from diffusers.pipelines.auto_pipeline import AutoPipelineForImage2Image
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler

    from benchmarks.quiet import quieten

    quieten()
    pipeline: Any = AutoPipelineForImage2Image.from_pretrained(
        opening.checkpoint, dtype=dtype, local_files_only=True
    )
    pipeline.set_progress_bar_config(disable=True)
    pipeline.scheduler = DDIMScheduler.from_config(
        pipeline.scheduler.config, timestep_spacing="trailing", set_alpha_to_one=True
    )
    pipeline.prepare_latents = partial(_noised_source, pipeline)
    return pipeline


def _painted(pipeline: Any, task: Task) -> None:
    from PIL import Image

    pipeline(
        task.prompt,
        image=Image.open(task.source).convert("RGB"),
        strength=STRENGTH,
        num_inference_steps=asked_steps(task.evaluations),
        guidance_scale=GUIDANCE,
        generator=torch.Generator("cpu").manual_seed(task.seed),
    ).images[0].save(task.output)


def asked_steps(evaluations: int) -> int:
    """The steps to ask diffusers for, of which ``evaluations`` run at the strength that is compared."""
    return next(n for n in range(evaluations, 1000) if int(n * STRENGTH) == evaluations)


def _noised_source(  # noqa: PLR0917  the pipeline's own arguments
    pipeline: Any,
    image: torch.Tensor,
    moment: torch.Tensor,
    batch_size: int,  # noqa: ARG001
    num_images_per_prompt: int,  # noqa: ARG001
    dtype: torch.dtype,
    device: torch.device,
    generator: torch.Generator,
    *others: object,  # noqa: ARG001  SDXL's adds whether there is noise at all
) -> torch.Tensor:
    """In place of the pipeline's ``prepare_latents``, which draws once more, and in other numbers.

    The autoencoder's posterior is taken at its mode and the noise drawn in float32, as in Underpaint.
    """
    encoded = pipeline.vae.encode(image.to(device, dtype)).latent_dist.mode()
    latents = encoded.float().cpu() * pipeline.vae.config.scaling_factor
    noise = torch.randn(latents.shape, generator=generator)
    return pipeline.scheduler.add_noise(latents, noise, moment.cpu()).to(device, dtype)


# --- OpenVINO -------------------------------------------------------------------------------------


def _openvino(opening: Opening) -> tuple[torch.nn.Module, Painter]:
    """A pipeline of diffusers in which OpenVINO computes the UNet and both halves of the autoencoder."""
    pipeline = _pipeline(opening, torch.float32)
    precision = "bf16" if opening.precision == "bfloat16" else "f32"
    for network in (pipeline.unet, pipeline.vae.encoder, pipeline.vae.decoder):
        network.forward = Converted(network, precision).called
    return pipeline.unet, partial(_painted, pipeline)


@dataclass
class Converted:
    """A network that OpenVINO compiles at its first call, for the shapes of that call."""

    network: torch.nn.Module
    precision: str
    compiled: Any = None

    def called(
        self,
        sample: torch.Tensor,
        *given: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        **named: Any,
    ) -> Any:
        """In place of the network's ``forward``; a tuple where the caller asks a UNet for one."""
        words = () if encoder_hidden_states is None else (encoder_hidden_states,)
        tensors = (sample, *given, *words)
        if self.compiled is None:
            self.compiled = self._compiled(tensors)
        output = torch.from_numpy(self.compiled([one.numpy() for one in tensors])[0].copy())
        return output if named.get("return_dict", True) else (output,)

    def _compiled(self, tensors: tuple[torch.Tensor, ...]) -> Any:
        import openvino

        model = openvino.convert_model(
            Positional(self.network),
            example_input=tensors,
            input=[list(one.shape) for one in tensors],
        )
        options = {
            "INFERENCE_PRECISION_HINT": self.precision,
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        }
        return openvino.Core().compile_model(model, "CPU", options)


class Positional(torch.nn.Module):
    """A network as tracing wants it: tensors in by their position, one tensor out."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network
        self.plain: Callable[..., Any] = type(network).forward  # the instance's is replaced

    def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
        """What the network makes of them."""
        output = self.plain(self.network, *tensors)
        return output if isinstance(output, torch.Tensor) else output.sample


if __name__ == "__main__":
    main()
