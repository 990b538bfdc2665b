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


class Coefficients:
    """Random variables as vectors: entry 0 is the constant, each other one an independent draw.

    On a Gaussian every sampler is linear in its start, its estimates and its draws, so it can be run
    on these vectors, and the mean and variance of what it returns are exact: no random numbers.
    """

    def __init__(self, count: int) -> None:
        self._basis = torch.eye(count + 2, dtype=torch.float64)
        self._next = 1

    def draw(self) -> Tensor:
        self._next += 1
        return self._basis[self._next - 1]

    @property
    def drawn(self) -> int:
        return self._next - 1

    def start(self, gaussian: Gaussian, level: Level) -> Tensor:
        """``x`` at ``level``, as the forward process leaves it."""
        return level.alpha * gaussian.mean * self._basis[0] + gaussian.spread(level) * self.draw()

    def estimate(self, gaussian: Gaussian) -> Callable[[Tensor, Level], Tensor]:
        def denoise(x: Tensor, level: Level) -> Tensor:
            mean = gaussian.mean * self._basis[0]
            gain = level.alpha * gaussian.std**2 / gaussian.spread(level) ** 2
            return mean + gain * (x - level.alpha * mean)

        return denoise


def mean(x: Tensor) -> float:
    return float(x[0])


def variance(x: Tensor) -> float:
    return float(x[1:].square().sum())
