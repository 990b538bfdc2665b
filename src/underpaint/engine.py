"""Loaded models and the pictures they are at work on: requests in, events out."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast, get_args

import torch
from torch import Tensor

from underpaint import pixels
from underpaint.allocator import keep_freed
from underpaint.codec import preview, preview_matrix
from underpaint.denoiser import Guidance, Prompt, Row
from underpaint.devices import (
    denormals_flushed,
    describe,
    device_notices,
    find_device,
    find_dtype,
)
from underpaint.errors import Notice, RequestError, is_short_memory
from underpaint.fidelity import compare_images
from underpaint.guidance import guided
from underpaint.img2img import Begun, Job, Repainted, Stepped, repaint
from underpaint.levels import PICTURE, PURE_NOISE, Schedule
from underpaint.models import catalog
from underpaint.models.memory import Offload
from underpaint.noise import Variation
from underpaint.planning import Resolved, hears_negative, needs_spectrum, resolve, sizes
from underpaint.recipe import Build, ModelFacts, Recipe, SourceFacts
from underpaint.relay import Relay, as_it_is, relayed
from underpaint.request import Distilled, Request, Told
from underpaint.results import Event, Finished, Planned, Result, Step
from underpaint.samplers import choose
from underpaint.spectrum import spectrum, surviving
from underpaint.startup import collector_paused
from underpaint.survival import Spectrum

if TYPE_CHECKING:
    from PIL import Image

    from underpaint.models.model import Model

V = TypeVar("V")

KEPT_SOURCES = 8  # latents of a 512² source take 256 kB
KEPT_PROMPTS = 64
# Pictures a call. The CPU's default is one, so that every surface gives equal bytes; so is that of Apple's GPUs, where attention of
# many pictures at once holds all its scores.
ROWS_ON_CUDA = 8


@dataclass(slots=True, eq=False)
class _UnderWay:
    """What belongs to one picture between its request and its result."""

    resolved: Resolved
    picture: pixels.Picture
    frame: pixels.Frame | None  # None where the source's own pixels are the result
    evaluations: int = 0


class Engine:
    """Keeps one model loaded and renders requests with it.

    Pictures are rendered one a network call on the CPU, so that a single render, a batch and a
    server's job are byte-equal; on other devices they share calls.

    Attributes:
        checkpoint: The model's folder and what its JSON says.
        device: Where it runs.
        dtype: In which numbers.
        rows_per_call: How many pictures may share a network call.
    """

    def __init__(
        self,
        model: str | Path | catalog.Checkpoint | None = None,
        *,
        device: str = "auto",
        precision: str = "auto",
        offload: Offload = "auto",
        prediction: Told | None = None,
        distilled: Distilled | None = None,
        parts: Mapping[str, str | Path] | None = None,
        rows_per_call: int | None = None,
        threads: int | None = None,
        after: Callable[[Result], Result] = lambda result: result,
    ) -> None:
        """Finds the checkpoint; its weights are loaded when the first picture needs them.

        Args:
            model: A shipped name, a folder, a file, a name on a hub, or a checkpoint that was found
                already; the shipped default for None.
            device: ``auto``, or one of torch's, such as ``cpu`` or ``cuda``.
            precision: ``auto``, ``float32``, ``bfloat16`` or ``float16``.
            offload: Whether text encoders leave memory once a prompt is read: ``auto`` where it is short,
                ``none``, ``text`` always. It costs the time to open them again.
            prediction: What its network predicts, ``eps`` or ``v``, where its file cannot tell.
            distilled: How it was distilled, where its file cannot tell.
            parts: Parts of the model that lie elsewhere, such as ``{"vae": "ae.safetensors"}``.
            rows_per_call: Pictures that share a network call; the device's default for None.
            threads: The CPU's, for this process; torch's choice for None. Another number of threads
                adds in another order, so bytes depend on it.
            after: Sees every result before it is handed over; what it returns takes its place, and
                what it raises ends the run.

        Raises:
            ModelError: there is no such model.
            RequestError: there is no such device, precision or offload, or fewer than one row or thread.
        """
        if not isinstance(model, catalog.Checkpoint):
            model = catalog.find(model, prediction=prediction, distilled=distilled, parts=parts)
        self.checkpoint = model
        self.device = find_device(device)
        self._notices = device_notices(device, self.device)
        if self.device.type == "cpu":
            keep_freed()
        wide = model.family.core == "transformer"
        self.dtype = find_dtype(precision, self.device, wide=wide)
        if offload not in get_args(Offload):
            raise RequestError(
                f"offload must be one of {', '.join(get_args(Offload))}, got {offload!r}"
            )
        self._offload: Offload = offload
        if rows_per_call is None:
            rows_per_call = ROWS_ON_CUDA if self.device.type == "cuda" else 1
        self.rows_per_call = _at_least_one("rows_per_call", rows_per_call)
        self._rows_that_fit = self.rows_per_call
        if threads is not None:
            torch.set_num_threads(_at_least_one("threads", threads))
        self._after = after
        self._sources: OrderedDict[str, Tensor] = OrderedDict()
        self._second: dict[Path, Model] = {}
        self._prompts: OrderedDict[str, tuple[Prompt, tuple[Notice, ...]]] = OrderedDict()

    def render(self, request: Request, *, cancelled: Callable[[], bool] = lambda: False) -> Result:
        """The one picture that ``request`` asks for.

        Raises:
            RequestError: it asks for more than one, which ``stream`` renders, or for what this model cannot do.
            PictureError: its source cannot be read.
            ModelError: the weights, or its refiner, cannot be opened.
            Cancelled: ``cancelled()`` was true between two steps.
        """
        if _checked(request).count != 1:
            raise RequestError(
                f"render makes one picture, got count {request.count}; stream makes them all"
            )
        *_, last = self.stream([request], cancelled=cancelled)
        assert isinstance(last, Finished)  # noqa: S101  a stream of one request ends in its picture
        return last.result

    def stream(
        self,
        requests: Request | Iterable[Request],
        *,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Iterator[Event]:
        """Events of every picture that a request, or several, ask for, numbered in their order.

        A request is read and planned when its turn comes, so a long list costs no memory.

        Raises:
            RequestError, PictureError, ModelError: as ``render``, when the turn comes of what cannot be done.
            Cancelled: ``cancelled()`` was true between two steps.
        """
        every = [requests] if isinstance(requests, Request) else requests
        under_way: dict[int, _UnderWay] = {}
        numbers = count()

        def jobs() -> Iterator[Job]:
            for request in every:
                for one, job in self._prepare(_checked(request)):
                    index = next(numbers)
                    under_way[index] = one
                    yield job

        running = repaint(
            jobs(),
            self._denoised,
            rows_per_call=self.rows_per_call,
            cancelled=cancelled,
        )
        for event in running:
            one = under_way[event.index]
            match event:
                case Begun():
                    yield _announcement(event.index, one.resolved)
                case Stepped():
                    one.evaluations += 1
                    yield Step(
                        event.index,
                        one.evaluations,
                        one.resolved.plan.evaluations,
                        partial(self._preview, event.x0, cast("pixels.Frame", one.frame)),
                    )
                case Repainted():
                    del under_way[event.index]
                    yield Finished(event.index, self._finish(one, event.latents), event.evaluations)

    def spectrum(self, request: Request) -> Spectrum:
        """The spectrum of its source, as it is encoded for ``request``; empty for one flat colour.

        Raises:
            PictureError: the source cannot be read.
        """
        return self._spectrum(request, pixels.read(request.source))

    def what_survives(self, request: Request) -> "Image.Image":
        """The source as the model can still make it out where ``request`` starts, without the noise.

        Raises:
            RequestError, PictureError, ModelError: as ``render``.
        """
        picture = pixels.read(request.source)
        found = self._spectrum(request, picture)
        start = self._resolved(request, picture).plan.start
        frame, latents = self._framed(picture, request)
        seen = surviving(latents, found, start)
        return pixels.unframe(self.model.codec.decode(seen), frame, picture)

    def _denoised(self, rows: Sequence[Row]) -> list[Tensor]:
        """The estimates, in as many calls as memory asks for."""
        made: list[Tensor] = []
        while len(made) < len(rows):
            some = rows[len(made) : len(made) + self._rows_that_fit]
            try:
                answers = self._asked(some)
            except Exception as problem:
                if len(some) == 1 or not is_short_memory(problem):
                    raise
            else:
                made += answers
                continue
            self._rows_that_fit = len(some) // 2
            if self.device.type == "cuda":
                torch.cuda.empty_cache()  # now that the error holds nothing any more
        return made

    def _asked(self, rows: Sequence[Row]) -> list[Tensor]:
        guide = as_it_is if self.checkpoint.embeds_guidance else guided
        with denormals_flushed():
            return relayed(self.model.denoiser, guide)(rows)

    # --- one picture's way in ---------------------------------------------------------------------

    def _prepare(self, asked: Request) -> Iterator[tuple[_UnderWay, Job]]:
        picture = pixels.read(asked.source)
        resolved = self._resolved(asked, picture)
        request, plan = resolved.request, resolved.plan
        schedule = self.checkpoint.schedule_at(resolved.working_size)
        if plan.evaluations == 0:
            frame, latents, prompt, negative = None, torch.empty(0), Prompt(None), None
        else:
            frame, latents = self._framed(picture, request)
            prompt, said = self._worded(resolved, schedule)
            negative, also_said = None, ()
            if hears_negative(request, self.checkpoint):
                negative, also_said = self._worded(resolved, schedule, negative=True)
            everything = (*plan.notices, *said, *also_said)
            plan = replace(plan, notices=tuple(dict.fromkeys(everything)))
        sampler = choose(
            request.sampler or self.checkpoint.defaults.sampler,
            evaluations=plan.evaluations,
            eta=request.eta or 0.0,
        )
        for single in request.singles:
            job = Job(
                latents,
                plan,
                sampler,
                single.seed or 0,
                prompt,
                negative,
                _guidance(request, schedule, patch=self.checkpoint.family.guided_patch),
                _variation(single),
            )
            yield _UnderWay(replace(resolved, request=single, plan=plan), picture, frame), job

    def _resolved(self, asked: Request, picture: pixels.Picture) -> Resolved:
        """What it becomes; the source is encoded for it only where its strength is measured."""
        return resolve(
            asked,
            self.checkpoint,
            picture.size,
            notices=picture.notices,
            spectrum=self._spectrum(asked, picture) if needs_spectrum(asked) else None,
        )

    def _spectrum(self, asked: Request, picture: pixels.Picture) -> Spectrum:
        if picture.is_flat:
            return Spectrum(())
        frame, latents = self._framed(picture, asked)
        across = frame.target.width / frame.work.width
        return spectrum(
            latents,
            cell_px=across * frame.padded.width / latents.shape[-1],
            recovery=self.checkpoint.defaults.recovery,
        )

    def _framed(self, picture: pixels.Picture, asked: Request) -> tuple[pixels.Frame, Tensor]:
        target, work = sizes(asked, self.checkpoint, picture.size)
        tensor, frame = pixels.frame(
            picture,
            target=target,
            fit=asked.fit,
            work=work,
            multiple=self.checkpoint.multiple_px,
            minimum=self.checkpoint.defaults.minimum_px,
        )
        key = hashlib.sha256(tensor.numpy().tobytes()).hexdigest() + str(tuple(tensor.shape))
        latents = _kept(
            self._sources, key, lambda: self.model.codec.encode(tensor), most=KEPT_SOURCES
        )
        return frame, latents

    def _worded(
        self, resolved: Resolved, schedule: Schedule, *, negative: bool = False
    ) -> tuple[Prompt, tuple[Notice, ...]]:
        """The prompt in the words of each network that will read it."""
        request = resolved.request
        text = request.negative_prompt if negative else request.prompt
        skip = request.clip_skip
        first, said = self._read(self.model, text, negative=negative, clip_skip=skip)
        if resolved.refiner is None:
            return first, said
        model = self._refiner(resolved.refiner)
        second, also_said = self._read(model, text, negative=negative, clip_skip=skip)
        below = schedule.level(request.refiner_start)
        return Prompt(Relay(first, second, lambda: model.denoiser, below)), (*said, *also_said)

    def _read(
        self, model: "Model", text: str, *, negative: bool, clip_skip: int
    ) -> tuple[Prompt, tuple[Notice, ...]]:
        return _kept(
            self._prompts,
            f"{id(model)} {negative} {clip_skip} {text}",
            lambda: model.words.encode(text, negative=negative, clip_skip=clip_skip),
            most=KEPT_PROMPTS,
        )

    def _refiner(self, checkpoint: catalog.Checkpoint) -> "Model":
        """The second model; one is kept loaded."""
        if checkpoint.place not in self._second:
            self._prompts.clear()  # they are kept by a model's identity, which another may take over
            self._second = {}
            if not self.model.takes_turns:  # else what is free would not tell that both must fit
                _ = self.model.denoiser
            self._second = {checkpoint.place: self._loaded(checkpoint)}
        return self._second[checkpoint.place]

    @cached_property
    def model(self) -> "Model":
        """The loaded networks; the first use loads them."""
        return self._loaded(self.checkpoint)

    def _loaded(self, checkpoint: catalog.Checkpoint) -> "Model":
        with collector_paused():
            from underpaint.models.model import load  # noqa: PLC0415  heavy: when needed

        return load(checkpoint, device=self.device, dtype=self.dtype, offload=self._offload)

    # --- and out ----------------------------------------------------------------------------------

    def _preview(self, x0: Tensor, frame: pixels.Frame) -> "Image.Image":
        image = pixels.to_image(preview(x0, self._preview_matrix))
        cell_px = frame.padded.width / image.width
        left, top, right, bottom = (round(edge / cell_px) for edge in frame.margin)
        left, top = min(left, image.width - 1), min(top, image.height - 1)
        right, bottom = max(left + 1, image.width - right), max(top + 1, image.height - bottom)
        return image.crop((left, top, right, bottom))

    @cached_property
    def _preview_matrix(self) -> Tensor:
        return preview_matrix(self.model.codec)

    def _finish(self, one: _UnderWay, latents: Tensor) -> Result:
        picture, resolved = one.picture, one.resolved
        source = image = pixels.own_pixels(picture, resolved.size, resolved.request.fit)
        if one.frame is not None:
            image = pixels.unframe(self.model.codec.decode(latents), one.frame, picture)
            said = (*self._notices, *self.model.notices, *self.model.codec.notices)
            resolved = _with_notices(resolved, said)
        recipe = replace(self._recipe(resolved, picture), fidelity=compare_images(source, image))
        return self._after(Result(image, recipe))

    def foreseen(self, request: Request) -> Recipe:
        """The recipe of the picture that ``request`` asks for, but for what a run finds out."""
        picture = pixels.read(request.source)
        return self._recipe(self._resolved(request, picture), picture)

    def _recipe(self, resolved: Resolved, picture: pixels.Picture) -> Recipe:
        second = resolved.refiner
        return Recipe(
            request=resolved.request,
            plan=resolved.plan,
            source=SourceFacts(picture.name, picture.sha256, *picture.size),
            model=_facts(self.checkpoint),
            refiner=None if second is None else _facts(second),
            build=self.build,
            working_size=resolved.working_size,
            size=resolved.size,
        )

    @property
    def build(self) -> Build:
        """What this engine runs on, as far as it decides bytes."""
        return describe(self.device, self.dtype, rows_per_call=self.rows_per_call)


def _with_notices(resolved: Resolved, said: tuple[Notice, ...]) -> Resolved:
    plan = replace(resolved.plan, notices=(*resolved.plan.notices, *said))
    return replace(resolved, plan=plan)


def _facts(checkpoint: catalog.Checkpoint) -> ModelFacts:
    return ModelFacts(checkpoint.name, checkpoint.family.name, checkpoint.sha256)


def _announcement(index: int, resolved: Resolved) -> Planned:
    return Planned(index, resolved.request, resolved.plan, resolved.working_size, resolved.size)


def _guidance(request: Request, schedule: Schedule, *, patch: int) -> Guidance:
    low, high = request.guidance_interval
    return Guidance(
        scale=1.0 if request.guidance_scale is None else request.guidance_scale,
        low=PICTURE if low == 0 else schedule.level(low),
        high=PURE_NOISE if high == 1 else schedule.level(high),
        rescale=request.guidance_rescale,
        patch=patch,
    )


def _variation(request: Request) -> Variation | None:
    if request.variation == 0:
        return None
    return Variation(request.variation_seed or 0, request.variation)


def _kept(kept: OrderedDict[str, V], key: str, make: Callable[[], V], *, most: int) -> V:
    """The value under ``key``, made if it is not kept; the least recently used one leaves."""
    if key not in kept:
        kept[key] = make()
        if len(kept) > most:
            kept.popitem(last=False)
    kept.move_to_end(key)
    return kept[key]


def _checked(request: object) -> Request:
    if not isinstance(request, Request):
        raise RequestError(f"an engine renders a Request, got {type(request).__name__}")
    return request


def _at_least_one(name: str, number: object) -> int:
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise RequestError(f"{name} must be a whole number of at least 1, got {number!r}")
    return number
