"""The numbers that this machine trains in, decided once."""

from __future__ import annotations

from typing import TypeVar

import torch

from underpaint.devices import find_dtype

Network = TypeVar("Network")
DTYPE = find_dtype("auto", torch.device("cpu"))
FAST = DTYPE is torch.bfloat16


def autocast() -> torch.autocast:
    """bfloat16 where the processor computes it; elsewhere it would be emulated, a hundred times slower."""
    return torch.autocast("cpu", torch.bfloat16, enabled=FAST)


def compiled(network: Network) -> Network:
    """The network compiled where that was measured to pay: in float32 the convolutions are all that counts."""
    return torch.compile(network, dynamic=False) if FAST else network
