"""A Gaussian known in closed form, and the few lines that let a sampler talk to a denoiser."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from underpaint.levels import Level
from underpaint.samplers import Draw, Query, Sampler

torch.set_num_threads(1)  # tiny tensors: a second thread only costs

Denoise = Callable[[Tensor, Level], Tensor]


@dataclass(frozen=True)
class Gaussian:
    """``x0 ~ N(mean, std²)`` elementwise; everything about its diffusion is known."""

    mean: float = 0.3
    std: float = 0.7

    def spread(self, level: Level) -> float:
        """The standard deviation of ``x`` at ``level``."""
        return math.hypot(level.alpha * self.std, level.sigma)

    def estimate(self, x: Tensor, level: Level) -> Tensor:
        """``E[x0 | x]``: what a perfect network says."""
        gain = level.alpha * self.std**2 / self.spread(level) ** 2
        return self.mean + gain * (x - level.alpha * self.mean)

    def carried(self, x: Tensor, cur: Level, nxt: Level) -> Tensor:
        """``x`` taken along the probability-flow ODE: its quantile in the marginal is kept."""
        quantile = (x - cur.alpha * self.mean) / self.spread(cur)
        return nxt.alpha * self.mean + self.spread(nxt) * quantile


def silent() -> Tensor:
    """A source of noise that a deterministic sampler must not touch."""
    raise AssertionError("a deterministic sampler drew noise")


def converse(
    sampler: Sampler, x: Tensor, levels: Sequence[Level], denoise: Denoise, noise: Draw = silent
) -> tuple[list[Query], Tensor]:
    """What the sampler asked, and what it ended with."""
    conversation = sampler(x, levels, noise)
    queries = [next(conversation)]
    while True:
        try:
            queries.append(conversation.send(denoise(queries[-1].x, queries[-1].level)))
        except StopIteration as end:
            return queries, end.value
