"""What a person may ask for, with its defaults and bounds. Surfaces derive theirs from here.

``None`` means "the model's own"; the plan resolves it and the recipe records what it became.
"""

import operator
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, SupportsIndex, cast, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    field_validator,
)

from underpaint.errors import RequestError
from underpaint.geometry import LONGEST_SIDE_PX, Fit, Size, parse_size
from underpaint.levels import Spacing
from underpaint.peers import PEERS, Peer

SamplerName = Literal[
    "euler", "heun", "dpmpp_2m", "dpmpp_2m_sde", "euler_ancestral", "unipc", "ddim", "lcm"
]
Distilled = Literal["none", "turbo", "lcm", "lightning", "hyper", "dmd"]
Told = Literal["eps", "v"]
StrengthScale = Literal["schedule", "calibrated"]
SAMPLER_NAMES: tuple[SamplerName, ...] = get_args(SamplerName)
MAX_PROMPT = 32_000  # characters; what OpenAI's image API accepts too
MAX_SEED = 2**53  # exclusive; every JSON reader keeps integers below it exact


def _as_size(value: object) -> object:
    match value:
        case str():
            return parse_size(value)
        case (int() as width, int() as height):  # a Size, or the list that JSON makes of it
            return parse_size(f"{width}x{height}")
        case _:
            raise ValueError("must be a size such as 640x480")


def _as_work_size(value: object) -> object:
    if value in ("auto", "native"):
        return value
    try:
        return _as_size(value)
    except ValueError:
        sides = f"sides of 1 to {LONGEST_SIDE_PX} pixels"
        raise ValueError(f"must be auto, native or a size such as 640x480, {sides}") from None


def _written(value: object) -> object:
    return str(value) if isinstance(value, Size) else value


def _as_whole(value: object) -> object:
    """NumPy's whole numbers are whole numbers too; True is none, and neither is an array."""
    try:
        return operator.index(cast("SupportsIndex", value)) if value is not True else value
    except TypeError:
        return value


Whole = Annotated[int, BeforeValidator(_as_whole)]
SizeField = Annotated[Size, BeforeValidator(_as_size), PlainSerializer(_written)]
WorkSize = Annotated[
    Literal["auto", "native"] | Size, BeforeValidator(_as_work_size), PlainSerializer(_written)
]


class Request(BaseModel):
    """One wish: re-render ``source`` after ``prompt``. Frozen; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    source: Any = Field(
        exclude=True,
        repr=False,
        description="A path, a file's bytes, a PIL image or a uint8 array; never in a recipe.",
    )
    prompt: str = Field(max_length=MAX_PROMPT, description="What the result should look like.")
    negative_prompt: str = Field(
        default="", max_length=MAX_PROMPT, description="What guidance steers away from."
    )
    strength: float = Field(
        default=0.6,
        ge=0,
        le=1,
        description="The time t in [0, 1] at which the run starts: 0 returns the source, 1 ignores it.",
    )
    strength_scale: StrengthScale = Field(
        default="schedule",
        description="What strength counts: schedule, the model's own time; or calibrated, the share "
        "of the source's sizes of shape that is lost, which means the same on every model.",
    )
    steps: Whole | None = Field(
        default=None, ge=1, le=1000, description="Network evaluations that run, 1 to 1000."
    )
    steps_like: Peer | None = Field(
        default=None,
        description="Run as many evaluations as this tool makes of steps and strength: diffusers, "
        "a1111 or comfyui.",
    )
    guidance_scale: float | None = Field(
        default=None,
        ge=0,
        le=100,
        description="Classifier-free guidance; 1 is none and costs half.",
    )
    guidance_interval: tuple[float, float] = Field(
        default=(0.0, 1.0), description="The part of t, low to high, in which guidance acts."
    )
    guidance_rescale: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="0 to 1; pulls the contrast of guided predictions back.",
    )
    eta: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="The share of fresh noise that ddim adds, 0 to 1; no other sampler takes it.",
    )
    seed: Whole | None = Field(
        default=None,
        ge=0,
        lt=MAX_SEED,
        description="Names the noise, 0 to 2⁵³ − 1.",
    )
    variation: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="How far the noise is turned towards that of variation_seed, 0 to 1.",
    )
    variation_seed: Whole | None = Field(
        default=None,
        ge=0,
        lt=MAX_SEED,
        description="Names the noise that variation turns to.",
    )
    count: Whole = Field(
        default=1,
        ge=1,
        le=1000,
        description="How many pictures, with seed, seed + 1, …; of a variation, with its seed so.",
    )
    sampler: SamplerName | None = Field(default=None, description="How the levels are walked.")
    spacing: Spacing | None = Field(
        default=None, description="How the levels between start and end lie."
    )
    model: str | None = Field(
        default=None,
        min_length=1,
        max_length=4096,
        description="A shipped name, a folder, a .safetensors file, or a hub's owner/name, with @revision "
        "behind it if need be.",
    )
    parts: dict[str, str] | None = Field(
        default=None,
        description="Parts of the model that lie elsewhere, such as vae=FILE: each a folder in the diffusers "
        "layout, a .safetensors file, or a hub's owner/name.",
    )
    refiner: str | None = Field(
        default=None,
        min_length=1,
        max_length=4096,
        description="A second model with the same latents that takes over at refiner_start.",
    )
    refiner_start: float = Field(
        default=0.2,
        ge=0,
        le=1,
        description="The t at which the refiner takes over, 0 to 1; SDXL's knows the last fifth.",
    )
    clip_skip: Whole = Field(
        default=0,
        ge=0,
        le=30,
        description="How many layers earlier than usual CLIP's states are taken; what other tools "
        "call clip skip 2 is 1 here on SD 1, and 0 on SDXL.",
    )
    prediction: Told | None = Field(
        default=None,
        description="What the model predicts, eps or v, where its file cannot tell.",
    )
    distilled: Distilled | None = Field(
        default=None,
        description="How the model was distilled to few steps, where its file cannot tell: none, "
        "turbo, lcm, lightning, hyper or dmd.",
    )
    work_size: WorkSize = Field(
        default="auto",
        description="The size rendered at: auto, native (the picture's own), or a size to fit in.",
    )
    size: SizeField | None = Field(
        default=None, description="The result's size; the picture's own if left out."
    )
    fit: Fit = Field(
        default="cover",
        description="How a source of another shape is brought to a size: cover cuts what is too long, contain "
        "mirrors margins, stretch bends.",
    )

    def __init__(self, **fields: Any) -> None:
        """Checks every field.

        Raises:
            RequestError: one sentence about the first field that cannot be used.
        """
        try:
            super().__init__(**fields)
        except ValidationError as problem:
            raise RequestError(_sentence(problem)) from None
        if self.eta is not None and self.sampler != "ddim":
            raise RequestError(
                f"eta is the noise share of the sampler ddim, got eta {self.eta} with "
                f"{self.sampler or 'the default sampler'}; choose ddim or leave eta out"
            )
        if self.variation_seed is not None and self.variation == 0:
            raise RequestError(
                "variation_seed names the noise that a variation turns to, got variation_seed "
                f"{self.variation_seed} with variation 0; give a variation above 0 or leave it out"
            )
        counted = "variation_seed" if self.variation else "seed"
        first: int | None = getattr(self, counted)
        if first is not None and first + self.count > MAX_SEED:
            raise RequestError(
                f"{counted} {first} with count {self.count} runs past 2**53 - 1; choose a lower one"
            )

    @property
    def singles(self) -> Iterator["Request"]:
        """A request of each picture that this one counts; the seeds must be there by now."""
        for i in range(self.count):
            if self.variation:
                step = {"variation_seed": (self.variation_seed or 0) + i}
            else:
                step = {"seed": (self.seed or 0) + i}
            yield self.model_copy(update={**step, "count": 1})

    @field_validator("prompt", "negative_prompt", mode="before")  # pydantic's words are for bytes
    @classmethod
    def _readable_text(cls, text: object) -> object:
        if isinstance(text, str) and "\0" in text:
            raise ValueError("must hold no NUL character; remove it")
        if isinstance(text, str) and any("\ud800" <= letter <= "\udfff" for letter in text):
            raise ValueError("must hold no half of a surrogate pair; pass valid Unicode")
        return text

    @field_validator("parts", mode="before")
    @classmethod
    def _paths(cls, value: object) -> object:
        if not isinstance(value, Mapping):
            return value
        given = cast("Mapping[object, object]", value)
        return {role: str(one) if isinstance(one, Path) else one for role, one in given.items()}

    @field_validator("guidance_interval", mode="before")
    @classmethod
    def _interval(cls, value: object) -> object:
        pair = cast(
            "object", tuple(cast("list[object]", value)) if isinstance(value, list) else value
        )
        match pair:
            case (float() | int() as low, float() | int() as high) if 0 <= low < high <= 1:
                return float(low), float(high)
            case _:
                raise ValueError("must be LOW and HIGH in t with 0 <= LOW < HIGH <= 1")


_ALLOWED = {
    "strength": "must lie in [0, 1]; 0 returns the source, 1.0 ignores it",
    "steps": "must be a whole number from 1 to 1000",
    "strength_scale": f"must be one of {', '.join(get_args(StrengthScale))}",
    "steps_like": f"must be one of {', '.join(PEERS)}",
    "guidance_scale": "must lie in [0, 100]; 1 is no guidance",
    "guidance_rescale": "must lie in [0, 1]",
    "eta": "must lie in [0, 1]",
    "seed": "must be a whole number from 0 to 2**53 - 1",
    "variation": "must lie in [0, 1]; 0 keeps the seed's noise, 1 takes the other's",
    "variation_seed": "must be a whole number from 0 to 2**53 - 1",
    "count": "must be a whole number from 1 to 1000",
    "sampler": f"must be one of {', '.join(SAMPLER_NAMES)}",
    "spacing": f"must be one of {', '.join(get_args(Spacing))}",
    "fit": f"must be one of {', '.join(get_args(Fit))}",
    "model": "must be a shipped name, a checkpoint's folder or file, or a name on the hub",
    "parts": "must be paths by the part's name, such as {'vae': 'ae.safetensors'}",
    "refiner": "must be the name of a shipped model or a checkpoint's folder",
    "refiner_start": "must lie in [0, 1]; SDXL's refiner knows the last fifth, 0.2",
    "clip_skip": "must be a whole number from 0 to 30; 0 is the model's usual layer",
    "prediction": f"must be one of {', '.join(get_args(Told))}",
    "distilled": f"must be one of {', '.join(get_args(Distilled))}",
    "prompt": f"must be text of at most {MAX_PROMPT} characters",
    "negative_prompt": f"must be text of at most {MAX_PROMPT} characters",
}


def _sentence(problem: ValidationError) -> str:
    first = problem.errors(include_url=False)[0]
    name = str(first["loc"][0]) if first["loc"] else "the request"
    if first["type"] == "extra_forbidden":
        return f"{name} is not a parameter; known are {', '.join(Request.model_fields)}"
    if first["type"] == "missing":
        return f"{name} is missing"
    own_words = first["msg"].removeprefix("Value error, ")
    if ", got " in own_words:
        return f"{name}: {own_words}"
    rule = own_words if own_words != first["msg"] else _ALLOWED.get(name, own_words)
    allowed, semicolon, advice = rule.partition(";")
    given = repr(cast("object", first["input"]))
    shown = given if len(given) <= 60 else given[:57] + "..."
    return f"{name} {allowed}, got {shown}{semicolon}{advice}"
