"""Loaded models and the pictures they are at work on: requests in, events out."""

import hashlib
import platform
import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from importlib.metadata import version
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor

from underpaint import pixels
from underpaint.codec import preview, preview_matrix
from underpaint.denoiser import Guidance, Prompt
from underpaint.errors import Notice, RequestError
from underpaint.geometry import Fit, Size, working_size
from underpaint.guidance import guided
from underpaint.img2img import Job, Repainted, Stepped, repaint
from underpaint.levels import Spacing
from underpaint.models import catalog
from underpaint.plan import Plan, default_steps, make_plan
from underpaint.recipe import Build, ModelFacts, Recipe, SourceFacts
from underpaint.request import Request, SamplerName, WorkSize
from underpaint.samplers import choose

if TYPE_CHECKING:
    from PIL import Image

    from underpaint.models.stable_diffusion import StableDiffusion

V = TypeVar("V")

RANDOM_SEEDS = 2**32  # a seed drawn for someone should be short enough to type
KEPT_SOURCES = 8  # latents of a 512² source take 256 kB
KEPT_PROMPTS = 64
ROWS_ON_GPU = 8  # pictures a call; the CPU's default is one, so that every surface gives equal bytes


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """A finished picture and how it was made."""

    image: "Image.Image"
    recipe: Recipe

    @property
    def notices(self) -> tuple[Notice, ...]:
        """What a person should know about it."""
        return self.recipe.plan.notices

    def save(
        self, path: str | Path, *, overwrite: bool = False, metadata: bool = True
    ) -> Path:
        """Writes the picture, in the format of the name's ending, and returns where.

        Raises:
            OutputError: the ending is unknown, the place cannot be written to, or a file is there.
        """
        target = Path(path)
        pixels.write_atomically(target, self.encode(target.suffix, metadata=metadata), overwrite=overwrite)
        return target

    def encode(self, suffix: str, *, metadata: bool = True) -> bytes:
        """The picture as a file's bytes, in the format of ``suffix`` (".png", ".jpg", …)."""
        xmp = self.recipe.to_xmp() if metadata else None
        infotext = self.recipe.to_infotext() if metadata else None
        return pixels.encode(self.image, suffix, xmp=xmp, infotext=infotext)

    def _repr_png_(self) -> bytes:
        buffer = BytesIO()
        self.image.save(buffer, format="PNG")
        return buffer.getvalue()


@dataclass(frozen=True, slots=True, eq=False)
class Planned:
    """Picture ``index`` is about to start: every None of its request is resolved."""

    index: int
    request: Request
    plan: Plan
    working_size: Size
    size: Size


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """Evaluation ``evaluation`` of ``evaluations`` is done for picture ``index``."""

    index: int
    evaluation: int
    evaluations: int
    _preview: Callable[[], "Image.Image"] = field(repr=False)

    def preview(self) -> "Image.Image":
        """A rough small picture of where the run stands; costs nothing unless called."""
        return self._preview()


@dataclass(frozen=True, slots=True, eq=False)
class Finished:
    """Picture ``index`` is done."""

    index: int
    result: Result
    evaluations: int


Event = Planned | Step | Finished


@dataclass(slots=True, eq=False)
class _UnderWay:
    """What belongs to one picture between its request and its result."""

    request: Request
    plan: Plan
    picture: pixels.Picture
    frame: pixels.Frame | None  # None where the source's own pixels are the result
    size: Size
    working_size: Size
    evaluations: int = 0


class Engine:
    """Keeps one model loaded and renders requests with it.

    Pictures are rendered one a network call on the CPU, so that a single render, a batch and a
    server's job are byte-equal; on other devices they share calls.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        device: str = "auto",
        precision: str = "auto",
        rows_per_call: int | None = None,
    ) -> None:
        """Finds the checkpoint; its weights are loaded when the first picture needs them.

        Args:
            model: A shipped name or a folder; the shipped default for None.
            device: ``auto``, or one of torch's, such as ``cpu`` or ``cuda``.
            precision: ``auto``, ``float32``, ``bfloat16`` or ``float16``.
            rows_per_call: Pictures that share a network call; the device's default for None.

        Raises:
            ModelError: there is no such model.
            RequestError: there is no such device or precision.
        """
        self.checkpoint = catalog.find(str(model) if model is not None else None)
        self.device = _device(device)
        self.dtype = _dtype(precision, self.device)
        self.rows_per_call = rows_per_call or (1 if self.device.type == "cpu" else ROWS_ON_GPU)
        self._model: StableDiffusion | None = None
        self._sources: OrderedDict[str, Tensor] = OrderedDict()
        self._prompts: OrderedDict[str, tuple[Prompt, tuple[Notice, ...]]] = OrderedDict()
        self._preview_matrix: Tensor | None = None

    def render(self, request: Request, *, cancelled: Callable[[], bool] = lambda: False) -> Result:
        """The one picture that ``request`` asks for.

        Raises:
            RequestError: it asks for more than one; ``stream`` renders those.
            PictureError: its source cannot be read.
            Cancelled: ``cancelled()`` was true between two steps.
        """
        if request.count != 1:
            raise RequestError(f"render makes one picture, got count {request.count}; use stream")
        *_, last = self.stream([request], cancelled=cancelled)
        assert isinstance(last, Finished)  # noqa: S101  a stream of one request ends in its picture
        return last.result

    def stream(
        self, requests: Iterable[Request], *, cancelled: Callable[[], bool] = lambda: False
    ) -> Iterator[Event]:
        """Events of every picture that the requests ask for, numbered in their order.

        A request is read and planned when its turn comes, so a long list costs no memory.
        """
        under_way: dict[int, _UnderWay] = {}
        announced: list[Planned] = []
        numbers = count()

        def jobs() -> Iterator[Job]:
            for request in requests:
                for one, job in self._prepare(request):
                    index = next(numbers)
                    under_way[index] = one
                    announced.append(
                        Planned(index, one.request, one.plan, one.working_size, one.size)
                    )
                    yield job

        running = repaint(
            jobs(),
            lambda rows: guided(self._loaded().denoiser)(rows),
            rows_per_call=self.rows_per_call,
            cancelled=cancelled,
        )
        for event in running:
            yield from announced
            announced.clear()
            one = under_way[event.index]
            match event:
                case Stepped():
                    one.evaluations += 1
                    yield Step(
                        event.index,
                        one.evaluations,
                        one.plan.evaluations,
                        partial(self._preview, event.x0, one),
                    )
                case Repainted():
                    del under_way[event.index]
                    result = self._finish(one, event.latents)
                    yield Finished(event.index, result, event.evaluations)

    # --- one picture's way in ---------------------------------------------------------------------

    def _prepare(self, asked: Request) -> Iterator[tuple[_UnderWay, Job]]:
        picture = pixels.read(asked.source)
        request = self._resolved(asked)
        size = request.size or picture.size
        work = self._working_size(request, size)
        plan = make_plan(
            self.checkpoint.schedule,
            strength=request.strength,
            steps=request.steps,
            sampler=_named(request.sampler),
            spacing=request.spacing or "model",
            prompt=request.prompt,
        )
        notices = [*plan.notices, *picture.notices, *_size_notices(size, work)]
        if plan.evaluations == 0:
            frame, latents, prompt, negative = None, torch.empty(0), Prompt(None), None
        else:
            tensor, frame = pixels.frame(
                picture,
                target=size,
                fit=request.fit,
                work=work,
                multiple=self.checkpoint.multiple_px,
                minimum=self.checkpoint.defaults.minimum_px,
            )
            latents = self._encoded(tensor)
            prompt, said = self._worded(request.prompt)
            negative, also_said = self._worded(request.negative_prompt)
            notices += [*said, *also_said]
        plan = replace(plan, notices=tuple(notices))
        first_seed = request.seed or 0
        for seed in range(first_seed, first_seed + asked.count):
            single = request.model_copy(update={"seed": seed, "count": 1})
            job = Job(
                latents,
                plan,
                choose(_named(request.sampler), evaluations=plan.evaluations, eta=request.eta or 0.0),
                seed,
                prompt,
                negative,
                self._guidance(request),
            )
            yield _UnderWay(single, plan, picture, frame, size, work), job

    def _resolved(self, asked: Request) -> Request:
        if asked.model not in (None, self.checkpoint.name, str(self.checkpoint.folder)):
            raise RequestError(
                f"this engine holds the model {self.checkpoint.name!r}, and the request asks for "
                f"{asked.model!r}; open an Engine with that model"
            )
        own = self.checkpoint.defaults
        return asked.model_copy(
            update={
                "model": self.checkpoint.name,
                "steps": asked.steps or default_steps(asked.strength),
                "guidance_scale": (
                    own.guidance_scale if asked.guidance_scale is None else asked.guidance_scale
                ),
                "sampler": asked.sampler or own.sampler,
                "spacing": asked.spacing or "model",
                "seed": secrets.randbelow(RANDOM_SEEDS) if asked.seed is None else asked.seed,
            }
        )

    def _guidance(self, request: Request) -> Guidance:
        low, high = request.guidance_interval
        level = self.checkpoint.schedule.level
        scale = 1.0 if request.guidance_scale is None else request.guidance_scale
        whole = Guidance(scale, rescale=request.guidance_rescale)
        return replace(
            whole,
            low=whole.low if low == 0 else level(low),
            high=whole.high if high == 1 else level(high),
        )

    def _working_size(self, request: Request, size: Size) -> Size:
        match request.work_size:
            case "native":
                return size
            case "auto":
                return working_size(size, comfortable_area=self.checkpoint.defaults.comfortable_area)
            case given:
                return given

    def _encoded(self, tensor: Tensor) -> Tensor:
        key = hashlib.sha256(tensor.numpy().tobytes()).hexdigest() + str(tuple(tensor.shape))
        return _kept(self._sources, key, lambda: self._loaded().codec.encode(tensor), KEPT_SOURCES)

    def _worded(self, text: str) -> tuple[Prompt, tuple[Notice, ...]]:
        return _kept(
            self._prompts, text, lambda: self._loaded().words.encode(text), KEPT_PROMPTS
        )

    def _loaded(self) -> "StableDiffusion":
        if self._model is None:
            from underpaint.models import stable_diffusion  # noqa: PLC0415  heavy: only when needed

            torch.set_flush_denormal(True)  # noqa: FBT003  torch's own signature
            self._model = stable_diffusion.load(
                self.checkpoint, device=self.device, dtype=self.dtype
            )
        return self._model

    # --- and out ----------------------------------------------------------------------------------

    def _preview(self, x0: Tensor, one: _UnderWay) -> "Image.Image":
        if self._preview_matrix is None:
            self._preview_matrix = preview_matrix(self._loaded().codec)
        return pixels.to_image(preview(x0, self._preview_matrix))

    def _finish(self, one: _UnderWay, latents: Tensor) -> Result:
        if one.frame is None:
            image = pixels.own_pixels(one.picture, one.size, one.request.fit)
        else:
            image = pixels.unframe(self._loaded().codec.decode(latents), one.frame, one.picture)
        picture = one.picture
        return Result(
            image,
            Recipe(
                request=one.request,
                plan=one.plan,
                source=SourceFacts(picture.name, picture.sha256, *picture.size),
                model=ModelFacts(
                    self.checkpoint.name, self.checkpoint.family, self.checkpoint.sha256
                ),
                build=self.build,
                working_size=tuple(one.working_size),
                size=tuple(one.size),
            ),
        )

    @cached_property
    def build(self) -> Build:
        """What this engine runs on, as far as it decides bytes."""
        return Build(
            **{
                name: version(name)
                for name in ("underpaint", "torch", "diffusers", "transformers", "numpy", "pillow")
            },
            instruction_set=f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
            device=str(self.device),
            precision=str(self.dtype).removeprefix("torch."),
            threads=torch.get_num_threads(),
            rows_per_call=self.rows_per_call,
        )


def _named(sampler: SamplerName | None) -> SamplerName:
    return sampler or "dpmpp_2m"


def _size_notices(size: Size, work: Size) -> list[Notice]:
    if work == size:
        return []
    return [
        Notice(
            "work-size",
            f"the picture is {size} and is rendered at {work}, where this model works well, and "
            "brought back to its own size; --work-size native renders every pixel",
        )
    ]


def _kept(kept: OrderedDict[str, V], key: str, make: Callable[[], V], most: int) -> V:
    """The value under ``key``, made if it is not kept; the least recently used one leaves."""
    if key not in kept:
        kept[key] = make()
        if len(kept) > most:
            kept.popitem(last=False)
    kept.move_to_end(key)
    return kept[key]


def _device(name: str) -> torch.device:
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise RequestError(
            f"the device {name!r} is not available here; auto picks one, cpu is always there"
        ) from None
    return device


def _dtype(name: str, device: torch.device) -> torch.dtype:
    known = {
        "float32": torch.float32,
        "bfloat16": torch.bfloat16,
        "float16": torch.float16,
    }
    if name in known:
        return known[name]
    if name != "auto":
        raise RequestError(f"precision must be auto or one of {', '.join(known)}, got {name!r}")
    match device.type:
        case "cuda":
            return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
        case "cpu" if _cpu_has_bfloat16():
            return torch.bfloat16
        case _:
            return torch.float32


def _cpu_has_bfloat16() -> bool:
    # Without these instructions bfloat16 is emulated and slower than float32.
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage, reportUnknownMemberType]


def render(
    source: object,
    prompt: str,
    *,
    strength: float | None = None,
    steps: int | None = None,
    guidance_scale: float | None = None,
    guidance_interval: tuple[float, float] | None = None,
    negative_prompt: str | None = None,
    seed: int | None = None,
    sampler: SamplerName | None = None,
    spacing: Spacing | None = None,
    model: str | Path | None = None,
    work_size: WorkSize | str | None = None,
    size: Size | str | None = None,
    fit: Fit | None = None,
) -> Result:
    """One picture: ``source`` re-rendered after ``prompt``. What is None takes ``Request``'s default.

    An ``Engine`` made once is faster for many pictures: this loads the model each time.

    Args:
        source: A path, a file's bytes, a PIL image or a uint8 array [H, W], [H, W, 3] or [H, W, 4].
        prompt: What the result should look like.
        strength: Where the run starts, 0 (the source itself) to 1 (the source is ignored).
        steps: Network evaluations that run.
        guidance_scale: Classifier-free guidance; 1 is none.
        guidance_interval: The part of t in which guidance acts.
        negative_prompt: What guidance steers away from.
        seed: Names the noise; drawn and recorded if left out.
        sampler: How the levels are walked.
        spacing: How they lie.
        model: A shipped name or a checkpoint's folder.
        work_size: The size rendered at.
        size: The size of the result.
        fit: How a source of another shape is brought to ``size``.

    Raises:
        InputError: something cannot be used; the message says what can.
    """
    options = {
        "strength": strength,
        "steps": steps,
        "guidance_scale": guidance_scale,
        "guidance_interval": guidance_interval,
        "negative_prompt": negative_prompt,
        "seed": seed,
        "sampler": sampler,
        "spacing": spacing,
        "work_size": work_size,
        "size": size,
        "fit": fit,
    }
    given = {name: value for name, value in options.items() if value is not None}
    request = Request(source=source, prompt=prompt, **given)
    return Engine(model).render(request)
