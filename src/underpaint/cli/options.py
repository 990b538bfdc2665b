"""The options of ``render`` and ``plan``, with the defaults, bounds and words of ``Request``."""

import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from underpaint import pixels
from underpaint.cli.reporting import is_terminal
from underpaint.errors import PictureError, RequestError
from underpaint.geometry import Fit
from underpaint.levels import Spacing
from underpaint.models import catalog
from underpaint.models.catalog import Checkpoint
from underpaint.models.memory import Offload
from underpaint.peers import Peer
from underpaint.pixels.reading import shown
from underpaint.planning import Precision
from underpaint.request import (
    SAMPLER_NAMES,
    Distilled,
    Request,
    SamplerName,
    StrengthScale,
    Told,
)

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from underpaint.engine import Engine

Own = TypeVar("Own", bound="DataclassInstance")

STANDARD = "-"  # standard input as a source, standard output as a destination
_MOST_INPUT_BYTES = 512 << 20  # standard input is read into memory; a file may be larger


def _words(field: str) -> str:
    return (Request.model_fields[field].description or "").replace("``", "")


def _option(field: str, *flags: str, add: str = "", metavar: str | None = None) -> Any:
    """An option that stands for a field of ``Request`` and is described in its words."""
    return typer.Option(
        *flags, help=_words(field) + add, metavar=metavar, show_default=field != "eta"
    )


def _default(field: str) -> Any:
    return Request.model_fields[field].default


SourceArgument = Annotated[
    str, typer.Argument(help="The picture to start from; - reads standard input.", metavar="SOURCE")
]
PartOption = Annotated[
    list[str] | None,
    _option("parts", "--part", add=" Repeat it for several.", metavar="PART=PLACE"),
]
OffloadOption = Annotated[
    Offload,
    typer.Option(
        "--offload",
        help="Whether text encoders leave memory once a prompt is read: auto, where it is short; "
        "none; text, always.",
    ),
]
JsonFlag = Annotated[
    bool, typer.Option("--json", help="Print JSON, one object a line, and nothing else.")
]
QuietFlag = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors alone.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What was typed after ``render`` or ``plan``; each field is an option."""

    source: SourceArgument
    prompt: Annotated[str, typer.Argument(help=_words("prompt"), metavar="PROMPT")]
    strength: Annotated[float, _option("strength", "--strength", "-s")] = _default("strength")
    strength_scale: Annotated[  # a constant
        StrengthScale, _option("strength_scale", "--strength-scale")
    ] = _default("strength_scale")  # noqa: RUF009
    steps: Annotated[
        int | None,
        _option(
            "steps",
            "--steps",
            "-n",
            add=" Default: the model's own (Gesso 10; models lists others) x strength, at least 4.",
        ),
    ] = None
    steps_like: Annotated[Peer | None, _option("steps_like", "--steps-like", metavar="TOOL")] = None
    guidance_scale: Annotated[
        float | None,
        _option("guidance_scale", "--guidance-scale", "-g", add=" Default: the model's own."),
    ] = None
    guidance_interval: Annotated[
        str, _option("guidance_interval", "--guidance-interval", metavar="LO:HI")
    ] = ":".join(f"{end:g}" for end in _default("guidance_interval"))
    guidance_rescale: Annotated[float, _option("guidance_rescale", "--guidance-rescale")] = (
        _default("guidance_rescale")
    )
    negative_prompt: Annotated[str, _option("negative_prompt", "--negative-prompt")] = _default(
        "negative_prompt"
    )
    seed: Annotated[int | None, _option("seed", "--seed", add=" Default: a random one.")] = None
    variation: Annotated[float, _option("variation", "--variation")] = _default("variation")
    variation_seed: Annotated[
        int | None, _option("variation_seed", "--variation-seed", add=" Default: a random one.")
    ] = None
    count: Annotated[int, _option("count", "--count")] = _default("count")
    sampler: Annotated[
        SamplerName | None,
        _option(
            "sampler",
            "--sampler",
            add=f" {', '.join(SAMPLER_NAMES)}. Default: the model's own.",
            metavar="NAME",
        ),
    ] = None
    eta: Annotated[float | None, _option("eta", "--eta")] = None
    spacing: Annotated[Spacing | None, _option("spacing", "--spacing", add=" Default: model.")] = (
        None
    )
    model: Annotated[str | None, _option("model", "--model", "-m", add=" Default: gesso.")] = None
    parts: PartOption = None
    refiner: Annotated[str | None, _option("refiner", "--refiner")] = None
    refiner_start: Annotated[float, _option("refiner_start", "--refiner-start")] = _default(
        "refiner_start"
    )
    clip_skip: Annotated[int, _option("clip_skip", "--clip-skip")] = _default("clip_skip")
    prediction: Annotated[Told | None, _option("prediction", "--prediction")] = None
    distilled: Annotated[Distilled | None, _option("distilled", "--distilled", metavar="WAY")] = (
        None
    )
    work_size: Annotated[str, _option("work_size", "--work-size", metavar="auto|native|WxH")] = (
        _default("work_size")
    )
    size: Annotated[str | None, _option("size", "--size", metavar="WxH")] = None
    fit: Annotated[Fit, _option("fit", "--fit")] = _default("fit")  # noqa: RUF009  a constant
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            help="A file (.png, .jpg, .webp, .avif), a folder, or - for standard output. "
            "Default: <stem>-<seed>.png in this folder, -1, -2, … for several; standard output where "
            "SOURCE is -.",
            metavar="PATH",
        ),
    ] = None
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing files.")] = False
    no_metadata: Annotated[
        bool, typer.Option("--no-metadata", help="Leave the recipe out of the file.")
    ] = False
    device: Annotated[
        str, typer.Option("--device", help="auto, or one of torch's such as cpu or cuda.")
    ] = "auto"
    precision: Annotated[
        Precision, typer.Option("--precision", help="The numbers the networks compute in.")
    ] = "auto"
    offload: OffloadOption = "auto"
    exact: Annotated[
        bool,
        typer.Option("--exact", help="One picture a network call on every device, as on the CPU."),
    ] = False
    mask: Annotated[str | None, typer.Option("--mask", hidden=True)] = None
    json: JsonFlag = False
    quiet: QuietFlag = False

    def checkpoint(self) -> Checkpoint:
        """The model that was named, read as was told.

        Raises:
            ModelError: there is no such model, or it cannot be read.
        """
        return catalog.find(
            self.model,
            prediction=self.prediction,
            distilled=self.distilled,
            parts=parts_of(self.parts),
        )

    def engine(self, checkpoint: Checkpoint) -> "Engine":
        """The engine that was asked for; torch is imported here, only once all is checked.

        Args:
            checkpoint: The model that was named, found already.

        Raises:
            RequestError: there is no such device.
        """
        from underpaint.engine import Engine  # noqa: PLC0415

        return Engine(
            checkpoint,
            device=self.device,
            precision=self.precision,
            offload=self.offload,
            rows_per_call=1 if self.exact else None,
        )

    def request(self) -> Request:
        """The request, its fields checked, its source still the path.

        Raises:
            RequestError: one of them cannot be used.
        """
        if self.mask is not None:
            raise RequestError(
                "--mask is for inpainting, which repaints one part; img2img repaints the whole "
                "picture, so leave --mask out or use an inpainting tool"
            )
        typed = {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if field.name in Request.model_fields
        }
        read = {
            "guidance_interval": _interval(self.guidance_interval),
            "parts": parts_of(self.parts),
        }
        return Request(**{**typed, **read})


def command_of(act: Callable[[Wish], None]) -> Callable[..., None]:
    """A typer command with an option for each field of ``Wish``, and the words of ``act``."""

    def command(**typed: Any) -> None:
        act(Wish(**typed))

    return _signed(command, {field.name: field for field in fields(Wish)}, act.__doc__)


def command_with(
    own: type[Own], act: Callable[[Wish, Own], None], *, without: frozenset[str]
) -> Callable[..., None]:
    """A typer command with the options of ``Wish``, fewer or changed, and others of its own.

    Args:
        own: A dataclass like ``Wish``; a field of the same name stands for ``Wish``'s.
        act: Given the wish, its other fields at their defaults, and the own options.
        without: Fields of ``Wish`` that the command does not have.
    """
    owned = {field.name: field for field in fields(own)}
    shared = {field.name: field for field in fields(Wish) if field.name not in without | set(owned)}

    def command(**typed: Any) -> None:
        given: dict[str, Any] = {"source": "", "prompt": ""} | {
            name: typed[name] for name in shared
        }
        wish = Wish(**given)
        act(wish, own(**{name: typed[name] for name in owned}))

    arguments = [name for name in ("source", "prompt") if name in shared]
    order = {name: shared[name] for name in arguments} | owned | shared
    return _signed(command, order, act.__doc__)


def _signed(
    command: Callable[..., None], options: Mapping[str, "Field[Any]"], words: str | None
) -> Callable[..., None]:
    """The command with the signature that typer reads."""
    parameters = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            annotation=field.type,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
        )
        for field in options.values()
    ]
    command.__doc__ = words
    command.__signature__ = inspect.Signature(parameters)  # pyright: ignore[reportFunctionMemberAccess]
    command.__annotations__ = {field.name: field.type for field in options.values()}
    return command


def read_source(source: str) -> pixels.Picture:
    """The picture at that path, or on standard input for ``-``.

    Raises:
        PictureError: it cannot be read.
    """
    if source != STANDARD:
        return pixels.read(source)
    if sys.stdin is None or is_terminal(sys.stdin):
        raise PictureError("the source is - but nothing is piped into standard input; name a file")
    data = sys.stdin.buffer.read(_MOST_INPUT_BYTES + 1)
    if len(data) > _MOST_INPUT_BYTES:
        raise PictureError("standard input holds more than 512 MiB; save the picture and name it")
    try:
        return pixels.read(data)
    except PictureError as problem:
        sentence = str(problem).replace(shown(data), "standard input")
        raise PictureError(sentence) from None


def parts_of(typed: list[str] | None) -> dict[str, str] | None:
    """The parts of a model that were given, by name.

    Raises:
        RequestError: one of them is not written ``PART=PLACE``, or is there twice.
    """
    if not typed:
        return None
    parts: dict[str, str] = {}
    for text in typed:
        role, _, place = text.partition("=")
        if not (role and place):
            raise RequestError(f"part must be PART=PLACE, such as vae=FILE, got {text[:60]!r}")
        if role in parts:
            raise RequestError(f"part {role[:60]} is given twice; leave one out")
        parts[role] = place
    return parts


def _interval(text: str) -> tuple[float, float]:
    try:
        low, high = (float(end) for end in text.split(":"))
    except ValueError:
        raise RequestError(
            f"guidance_interval must be LOW:HIGH in t with 0 <= LOW < HIGH <= 1, got {text[:40]!r}"
        ) from None
    return low, high
