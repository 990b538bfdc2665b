"""The samplers: each is a conversation about ONE picture.

A sampler is a generator. It yields what it wants denoised and is sent the estimate of x0; what it
returns is the finished latent. Whoever drives it owns batching, progress, previews and cancelling::

    x: [C, h, w] float32 at ``levels[0]``'s noise    levels: falling, the last one is (1, 0)
    noise: the picture's own source of standard normal draws

No formula asks for a scaling: variance-preserving, variance-exploding and flow levels all work. All
stay finite at alpha = 0 and sigma = 0; multistep samplers are first order where a level they need
has either.
"""

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from types import MappingProxyType
from typing import Protocol

from torch import Tensor

from underpaint.levels import Level
from underpaint.request import SamplerName


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """What a sampler wants denoised: ``x`` [C, h, w] float32 at ``level``."""

    x: Tensor
    level: Level


Conversation = Generator[Query, Tensor, Tensor]
Draw = Callable[[], Tensor]


class Sampler(Protocol):
    """A generator function over one picture."""

    def __call__(self, x: Tensor, levels: Sequence[Level], noise: Draw) -> Conversation:
        """Starts the conversation."""
        ...


def _carry(x: Tensor, x0: Tensor, cur: Level, nxt: Level) -> Tensor:
    """``x`` taken to ``nxt`` along the line through ``x0``, its noise kept: DDIM, equation 12."""
    return nxt.alpha * x0 + (nxt.sigma / cur.sigma) * (x - cur.alpha * x0)


def _shrink(cur: Level, nxt: Level) -> float:
    """``(sigma/alpha)_next / (sigma/alpha)_cur`` = exp(-h), in [0, 1); 0 from alpha = 0 or to (1, 0)."""
    return nxt.sigma * cur.alpha / (nxt.alpha * cur.sigma)


def ddim(x: Tensor, levels: Sequence[Level], noise: Draw, *, eta: float = 0.0) -> Conversation:
    """DDIM (Song et al. 2021, equation 12); ``eta`` is the share of DDPM's fresh noise (equation 16).

    With q = exp(-h), DDPM's posterior variance is sigma_next²·(1 - q²) in any scaling.
    """
    for cur, nxt in pairwise(levels):
        x0 = yield Query(x, cur)
        if eta == 0 or nxt.sigma == 0:
            x = _carry(x, x0, cur, nxt)
            continue
        fresh = eta**2 * (1 - _shrink(cur, nxt) ** 2)
        eps = (x - cur.alpha * x0) / cur.sigma
        x = nxt.alpha * x0 + nxt.sigma * (math.sqrt(1 - fresh) * eps + math.sqrt(fresh) * noise())
    return x


def euler(x: Tensor, levels: Sequence[Level], noise: Draw) -> Conversation:
    """Euler's method on the probability-flow ODE (Karras et al. 2022, algorithm 1 without line 7).

    Exact for a constant x0, so the same as DDIM without noise.
    """
    return (yield from ddim(x, levels, noise))


def euler_ancestral(x: Tensor, levels: Sequence[Level], noise: Draw) -> Conversation:
    """Euler down, noise up again (k-diffusion, sample_euler_ancestral): DDIM at eta = 1."""
    return (yield from ddim(x, levels, noise, eta=1.0))


def lcm(x: Tensor, levels: Sequence[Level], noise: Draw) -> Conversation:
    """Multistep consistency sampling (Luo et al. 2023, algorithm 3): all noise is fresh."""
    for cur, nxt in pairwise(levels):
        x0 = yield Query(x, cur)
        x = nxt.alpha * x0 if nxt.sigma == 0 else nxt.alpha * x0 + nxt.sigma * noise()
    return x


def heun(
    x: Tensor, levels: Sequence[Level], noise: Draw, *, evaluations: int | None = None
) -> Conversation:
    """Heun's method (Karras et al. 2022, algorithm 1), the trapezoid over d alpha and d sigma.

    On variance-exploding levels (1, sigma) it is EDM's algorithm, on flow levels Heun in sigma; no
    step divides by alpha. The last interval is Euler's. An even number of ``evaluations`` cannot be
    spent on Heun intervals and one Euler; then the interval before the last is Euler's too.
    """
    del noise
    first_euler = len(levels) - 2
    if evaluations is not None and evaluations % 2 == 0:
        first_euler -= 1
    for i, (cur, nxt) in enumerate(pairwise(levels)):
        x0 = yield Query(x, cur)
        ahead = _carry(x, x0, cur, nxt)
        if i >= first_euler:
            x = ahead
            continue
        eps = (x - cur.alpha * x0) / cur.sigma
        x0_ahead = yield Query(ahead, nxt)
        eps_ahead = (ahead - nxt.alpha * x0_ahead) / nxt.sigma
        x = (
            x
            + (nxt.alpha - cur.alpha) * (x0 + x0_ahead) / 2
            + (nxt.sigma - cur.sigma) * (eps + eps_ahead) / 2
        )
    return x


def dpmpp_2m(x: Tensor, levels: Sequence[Level], noise: Draw) -> Conversation:
    """DPM-Solver++(2M) (Lu et al. 2022b, algorithm 2)."""
    del noise
    past: tuple[Tensor, Level] | None = None
    for cur, nxt in pairwise(levels):
        x0 = yield Query(x, cur)
        x = _carry(x, _extrapolated(x0, past, cur, nxt), cur, nxt)
        past = x0, cur
    return x


def dpmpp_2m_sde(x: Tensor, levels: Sequence[Level], noise: Draw) -> Conversation:
    """SDE-DPM-Solver++(2M) (Lu et al. 2022b, appendix; diffusers' ``sde-dpmsolver++``, midpoint).

    With q = exp(-h): x_next = sigma_next/sigma·q·x + alpha_next·(1 - q²)·D + sigma_next·√(1 - q²)·noise.
    """
    past: tuple[Tensor, Level] | None = None
    for cur, nxt in pairwise(levels):
        x0 = yield Query(x, cur)
        best = _extrapolated(x0, past, cur, nxt)
        past = x0, cur
        if nxt.sigma == 0:
            x = _carry(x, best, cur, nxt)
            continue
        q = _shrink(cur, nxt)
        x = (nxt.sigma / cur.sigma) * q * x + nxt.alpha * (1 - q * q) * best
        x = x + nxt.sigma * math.sqrt(1 - q * q) * noise()
    return x


def _extrapolated(x0: Tensor, past: tuple[Tensor, Level] | None, cur: Level, nxt: Level) -> Tensor:
    """x0 extrapolated to the middle of the step: D of DPM-Solver++(2M), line 7; x0 on first order."""
    if past is None or nxt.sigma == 0:
        return x0
    h = cur.log_noise_ratio - nxt.log_noise_ratio
    h_past = past[1].log_noise_ratio - cur.log_noise_ratio  # infinite from alpha = 0: no slope
    return x0 + (h / (2 * h_past)) * (x0 - past[0])


def unipc(x: Tensor, levels: Sequence[Level], noise: Draw) -> Conversation:
    """UniPC-2, predicting x0 with B2(h) = exp(h) - 1 (Zhao et al. 2023, algorithms 5 and 6).

    The estimate that a step asks for first corrects how x came here, then predicts the next x: one
    evaluation a step.
    """
    del noise
    past: list[tuple[Tensor, Level]] = []  # (x0, level), the latest last; two are enough
    before: Tensor | None = None  # x at the level before, corrected
    for cur, nxt in pairwise(levels):
        x0 = yield Query(x, cur)
        if before is not None:
            x = _unipc_corrected(before, past, x0, cur)
        before = x
        older = past[-1] if past else None
        past = [*past[-1:], (x0, cur)]
        # Of order 2 the predictor takes rho = 1/2, which makes it DPM-Solver++(2M)'s.
        x = _carry(x, _extrapolated(x0, older, cur, nxt), cur, nxt)
    return x


def _unipc_corrected(
    before: Tensor, past: list[tuple[Tensor, Level]], x0: Tensor, cur: Level
) -> Tensor:
    """The corrector: x at ``cur`` again, from x before and the estimate that has just come."""
    base, prev = past[-1]
    if prev.alpha == 0:
        return _carry(before, base, prev, cur)
    h = prev.log_noise_ratio - cur.log_noise_ratio
    change = x0 - base
    if len(past) == 1 or past[0][1].alpha == 0:
        return _carry(before, base + change / 2, prev, cur)
    oldest, oldest_level = past[0]
    r = (oldest_level.log_noise_ratio - prev.log_noise_ratio) / -h
    slope = (oldest - base) / r
    # R·rho = b for two nodes r and 1 (equation 9), with phi-functions of -h.
    phi_1 = math.expm1(-h)
    phi_2 = phi_1 / -h - 1
    phi_3 = phi_2 / -h - 0.5
    b_1, b_2 = phi_2 / phi_1, 2 * phi_3 / phi_1
    rho_old = (b_2 - b_1) / (r - 1)
    rho_new = b_1 - rho_old
    return _carry(before, base + rho_old * slope + rho_new * change, prev, cur)


SAMPLERS: Mapping[SamplerName, Sampler] = MappingProxyType(
    {
        "dpmpp_2m": dpmpp_2m,
        "dpmpp_2m_sde": dpmpp_2m_sde,
        "unipc": unipc,
        "euler": euler,
        "euler_ancestral": euler_ancestral,
        "heun": heun,
        "ddim": ddim,
        "lcm": lcm,
    }
)


def choose(name: SamplerName, *, evaluations: int, eta: float = 0.0) -> Sampler:
    """The sampler of that name, ready for a run of ``evaluations``; ``eta`` reaches ddim alone."""
    match name:
        case "heun":
            return partial(heun, evaluations=evaluations)
        case "ddim":
            return partial(ddim, eta=eta)
        case _:
            return SAMPLERS[name]
