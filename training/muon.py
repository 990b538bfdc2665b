"""Muon: momentum whose matrix updates are made orthogonal, for weights; plain AdamW for everything else.

Keller Jordan et al. 2024, "Muon: an optimizer for hidden layers"; the scale that lets it share AdamW's rate is from
Liu et al. 2025 (arXiv 2502.16982). A convolution counts as the matrix `[out, in·k·k]`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from training.hardware import DTYPE

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # Jordan's quintic
ITERATIONS = 4
MATCH_ADAM = 0.2  # Liu et al., eq. 4: AdamW's usual root mean square of an update


def orthogonal(matrix: Tensor) -> Tensor:
    """A matrix of about the same singular vectors and singular values near 1."""
    a, b, c = NEWTON_SCHULZ
    x = matrix.to(torch.bfloat16 if matrix.is_cuda else DTYPE)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / (x.norm() + 1e-7)
    for _ in range(ITERATIONS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.T if tall else x).float()


class Muon(torch.optim.Optimizer):
    """Steps `matrices` with Muon at `boost` times the rate, and `others` with fused AdamW at the rate."""

    def __init__(
        self,
        matrices: Sequence[Tensor],
        others: Sequence[Tensor],
        lr: float,
        *,
        boost: float = 1.0,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(
            [{"params": list(matrices) or [torch.zeros(1)]}],
            {"lr": lr, "weight_decay": weight_decay, "momentum": 0.95},
        )
        self.boost = boost
        self.adam = torch.optim.AdamW(
            list(others) or [torch.zeros(1)],
            lr,
            betas=(0.9, 0.98),
            weight_decay=weight_decay,
            fused=True,
        )

    def set_rate(self, lr: float) -> None:
        """The rate of both halves from now on."""
        for group in self.param_groups:
            group["lr"] = lr * self.boost
        for group in self.adam.param_groups:
            group["lr"] = lr

    @torch.no_grad()
    def step(self) -> None:
        """One update of everything that has a gradient."""
        self.adam.step()
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if not state:
                    state["momentum"] = torch.zeros_like(weight)
                state["momentum"].lerp_(weight.grad, 1 - group["momentum"])
                ahead = torch.lerp(weight.grad, state["momentum"], group["momentum"])
                update = orthogonal(ahead.flatten(1))
                scale = MATCH_ADAM * max(update.shape) ** 0.5
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                weight.add_(update.view_as(weight), alpha=-group["lr"] * scale)

    def states(self) -> list[dict[str, object]]:
        """Both halves' states, for a checkpoint."""
        return [self.state_dict(), self.adam.state_dict()]

    def load_states(self, states: list[dict[str, object]]) -> None:
        """Takes up what `states` gave."""
        self.load_state_dict(states[0])
        self.adam.load_state_dict(states[1])
