"""One seeded source of noise a picture: the seed names the noise on every machine."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


class Noise:
    """Standard normal draws in float32 on the CPU from one generator, in the order they are asked.

    Each picture owns one, so who else is in a batch changes nothing. The start's noise is the first
    draw; samplers that add noise take the following ones.
    """

    def __init__(self, seed: int, shape: tuple[int, ...]) -> None:
        """Seeds the generator; ``shape`` is that of the picture's latents, [C, h, w]."""
        self._generator = torch.Generator("cpu").manual_seed(seed)
        self._shape = shape

    def __call__(self) -> Tensor:
        """The next draw, [C, h, w] float32 on the CPU."""
        return torch.randn(self._shape, generator=self._generator, dtype=torch.float32)


@dataclass(frozen=True, slots=True)
class Variation:
    """Another seed's noise, and how far towards it to turn: 0 is not at all, 1 all the way."""

    seed: int
    share: float


def draws_of(
    seed: int, shape: tuple[int, ...], variation: Variation | None = None
) -> Callable[[], Tensor]:
    """A picture's source of noise: the seed's own, or turned towards another seed's.

    Both are vectors of independent standard normals, so turning one into the other by an angle keeps
    every variance at 1, where a straight line between them would shrink it. Every draw is turned, not
    the first alone: at share 1 the picture is the other seed's, whatever the sampler. Towards its own
    seed there is nothing to turn.
    """
    own = Noise(seed, shape)
    if variation is None or variation.share == 0 or variation.seed == seed:
        return own
    other = Noise(variation.seed, shape)
    if variation.share == 1:  # the cosine of 90° is 6e-17 in floats, and bytes should be equal
        return other
    angle = variation.share * math.pi / 2
    along, across = math.cos(angle), math.sin(angle)
    return lambda: along * own() + across * other()
