"""Two single-threaded workers that train one set of weights.

On a busy machine the threads of one process wait for each other at every operation, workers only once a step.
Weights, their running mean and the gradients lie in shared memory. Each worker owns the optimizer of its share of the
weights (as in ZeRO-1, arXiv 1910.02054).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, multiprocessing

from training.muon import Muon

WORKERS = 2
RATE, STOP, SAVE, SPENT, STEP = range(5)


@dataclass(frozen=True)
class Shared:
    """What all workers see: flat float32 weights, running mean, gradients a worker, and the leader's orders."""

    masters: Tensor
    mean: Tensor
    grads: Tensor
    orders: Tensor
    barrier: Any


def start_team(work: Callable[..., None], weights: Sequence[Tensor], *arguments: object) -> None:
    """Runs `work(rank, shared, *arguments)` in every worker until all are done; `weights` are the first masters."""
    context = multiprocessing.get_context("spawn")
    flat = torch.cat([w.detach().float().flatten() for w in weights])
    shared = Shared(
        flat.share_memory_(),
        flat.clone().share_memory_(),
        torch.zeros(WORKERS, flat.numel()).share_memory_(),
        torch.zeros(5, dtype=torch.float64).share_memory_(),
        context.Barrier(WORKERS),
    )
    workers = [
        context.Process(target=work, args=(rank, shared, *arguments)) for rank in range(WORKERS)
    ]
    for worker in workers:
        worker.start()
    while any(worker.is_alive() for worker in workers):
        time.sleep(1)
        if any(worker.exitcode not in (None, 0) for worker in workers):
            message = "a worker died; see the log above"
            raise RuntimeError(message)


class Member:
    """One worker's side: its networks' parameters, and the optimizer of its share of the masters."""

    def __init__(
        self,
        rank: int,
        shared: Shared,
        live: Sequence[Tensor],
        matrices: Sequence[bool],
        *,
        lr: float,
        decay: float,
        boost: float = 1.0,
    ) -> None:
        torch.set_num_threads(1)
        torch.set_flush_denormal(True)
        self.rank, self.shared, self.live = rank, shared, list(live)
        sizes = [p.numel() for p in live]
        self.masters = [
            v.view(p.shape) for v, p in zip(shared.masters.split(sizes), live, strict=True)
        ]
        self.mean = [v.view(p.shape) for v, p in zip(shared.mean.split(sizes), live, strict=True)]
        self.grads = list(zip(*(row.split(sizes) for row in shared.grads), strict=True))
        loads = [0] * WORKERS
        self.mine: list[int] = []
        for i in sorted(range(len(sizes)), key=lambda i: -sizes[i]):
            owner = loads.index(min(loads))
            loads[owner] += sizes[i] * (min(live[i].flatten(1).shape) if matrices[i] else 1)
            if owner == rank:
                self.mine.append(i)
        self.optimizer = Muon(
            [self.masters[i] for i in self.mine if matrices[i]],
            [self.masters[i] for i in self.mine if not matrices[i]],
            lr,
            boost=boost,
        )
        self.decay = decay
        self.take_masters()

    @torch.no_grad()
    def take_masters(self) -> None:
        """Copies the masters into this worker's networks."""
        torch._foreach_copy_(self.live, self.masters)

    @torch.no_grad()
    def update(self) -> list[float]:
        """Shares the gradients, steps this worker's part of the masters, takes up all of them; returns the orders."""
        for live, grads in zip(self.live, self.grads, strict=True):
            if live.grad is None:
                grads[self.rank].zero_()
            else:
                grads[self.rank].view(live.shape).copy_(live.grad)
            live.grad = None
        self.shared.barrier.wait()
        orders = self.shared.orders.tolist()
        self.optimizer.set_rate(orders[RATE])
        for i in self.mine:
            self.masters[i].grad = (sum(self.grads[i]) / WORKERS).view_as(self.masters[i])
        self.optimizer.step()
        step = orders[STEP]
        decay = min(self.decay, (step + 1) / (step + 10))
        mine = [self.masters[i] for i in self.mine]
        torch._foreach_lerp_([self.mean[i] for i in self.mine], mine, 1 - decay)
        self.shared.barrier.wait()
        self.take_masters()
        return orders

    def save_optimizer(self, path: Path) -> None:
        """This worker's optimizer state, never half-written."""
        torch.save(self.optimizer.states(), path.with_suffix(".tmp"))
        path.with_suffix(".tmp").replace(path)

    def resume_optimizer(self, path: Path) -> None:
        """Takes up a saved state, if there is one."""
        if path.exists():
            self.optimizer.load_states(torch.load(path))
