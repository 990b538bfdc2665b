"""One seeded source of noise a picture: the seed names the noise on every machine."""

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
