"""What a denoiser is: rows in, estimates of the picture out, whatever the network predicts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NewType, Protocol

from torch import Tensor

from underpaint.levels import PICTURE, PURE_NOISE, Level, Prediction

Prompt = NewType("Prompt", object)
"""What a family's adapter made of the words; only that adapter looks inside."""


@dataclass(frozen=True, slots=True)
class Guidance:
    """How strongly a row is guided, and where.

    Attributes:
        scale: Classifier-free guidance (Ho & Salimans 2022); 1 is none.
        low: The level below which guidance is off.
        high: The level above which guidance is off.
        rescale: phi of Lin et al. 2023, section 3.4: 0 leaves, 1 restores the contrast.
        patch: The cells a side of the patches whose length in the network's output guidance leaves
            alone, which some families were made with; 0 for none.
    """

    scale: float = 1.0
    low: Level = PICTURE
    high: Level = PURE_NOISE
    rescale: float = 0.0
    patch: int = 0

    def acts_at(self, level: Level) -> bool:
        """Whether a second, unconditional half is needed at ``level``."""
        return self.scale != 1.0 and self.low.at_or_below(level) and level.at_or_below(self.high)


UNGUIDED = Guidance()


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One picture's question to the network; rows of one call may differ in everything but shape.

    Attributes:
        x: [C, h, w] float32, ``alpha * x0 + sigma * eps``.
        level: The level of x.
        prompt: What to steer towards.
        negative: What to steer away from; None where there is no guidance.
        guidance: Its scale, interval and rescale.
    """

    x: Tensor
    level: Level
    prompt: Prompt
    negative: Prompt | None = None
    guidance: Guidance = UNGUIDED


class Denoiser(Protocol):
    """Estimates of x0, [C, h, w] float32, one a row, from one network call."""

    @property
    def prediction(self) -> Prediction:
        """What the network underneath predicts."""
        ...

    def __call__(self, rows: Sequence[Row]) -> list[Tensor]:
        """The estimates, in the rows' order. All rows have one shape."""
        ...


def to_x0(prediction: Prediction, x: Tensor, level: Level, output: Tensor) -> Tensor:
    """The estimate of x0 that a network's output means at ``level``, in any scaling of x.

    ``eps`` (Ho et al. 2020), ``v = alpha eps - sigma x0`` (Salimans & Ho 2022, appendix D; there
    alpha² + sigma² = 1), ``flow``: eps - x0 (Liu et al. 2022, equation 1).
    """
    alpha, sigma = level.alpha, level.sigma
    match prediction:
        case "x0":
            return output
        case "eps":
            return (x - sigma * output) / alpha
        case "v":
            norm = (alpha * alpha + sigma * sigma) ** 0.5
            return (alpha / norm * x - sigma * output) / norm
        case "flow":
            return (x - sigma * output) / (alpha + sigma)


def from_x0(prediction: Prediction, x: Tensor, level: Level, x0: Tensor) -> Tensor:
    """The network output that means ``x0`` at ``level``: the inverse of ``to_x0``, sigma > 0."""
    alpha, sigma = level.alpha, level.sigma
    match prediction:
        case "x0":
            return x0
        case "eps":
            return (x - alpha * x0) / sigma
        case "v":
            norm = (alpha * alpha + sigma * sigma) ** 0.5
            return (alpha / norm * x - norm * x0) / sigma
        case "flow":
            return (x - (alpha + sigma) * x0) / sigma
