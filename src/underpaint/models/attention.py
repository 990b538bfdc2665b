"""Attention in blocks, on CPUs where torch's fused kernel is slower than its parts.

With AVX512-bf16 and without AMX, torch 2.13's fused attention multiplies bfloat16 at about a sixth of the rate of its
matrix products: 43 % of an evaluation of Stable Diffusion 1.5 at 512². In blocks of queries (Rabe & Staats 2021,
arXiv 2112.05682, section 2) it is two such products and a softmax, and scores stay in the cache.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

BLOCK = 2**21  # scores at a time, 4 MB
LEAST_ROWS = 512  # queries at a time; fewer leave the products too small


def fastest(device: torch.device) -> AbstractContextManager[object]:
    """While it is entered, the networks that run in this thread attend in the way that is fastest on ``device``."""
    tiles = torch.cpu._is_amx_tile_supported()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    return InBlocks() if device.type == "cpu" and not tiles else nullcontext()


class InBlocks(TorchFunctionMode):
    """Does in blocks what networks ask of ``scaled_dot_product_attention`` in bfloat16, whoever wrote them."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """What torch would give for this call."""
        attend = _attended if func is F.scaled_dot_product_attention else func
        return attend(*args, **(kwargs or {}))


def _attended(query: Tensor, key: Tensor, value: Tensor, *others: Any, **named: Any) -> Tensor:
    """In blocks where nothing but query, key and value is said: no mask, scale or shared heads."""
    plain = not others and not any(isinstance(said, Tensor) or said for said in named.values())
    if plain and query.dtype is torch.bfloat16 and query.dim() == 4:
        return in_blocks(query, key, value)
    return F.scaled_dot_product_attention(query, key, value, *others, **named)


def in_blocks(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """``softmax(query · keyᵀ / √D) · value``, as ``scaled_dot_product_attention``.

    Args:
        query: [B, heads, N, D].
        key: [B, heads, M, D].
        value: As ``key``.
    """
    count, width = key.shape[-2:]
    rows = min(query.shape[-2], max(LEAST_ROWS, BLOCK // count))
    heads = max(1, BLOCK // (rows * count))
    asked, known = query.flatten(0, 1), (key * width**-0.5).transpose(-1, -2).flatten(0, 1)
    said = value.flatten(0, 1)
    made = query.new_empty(asked.shape)
    room = query.new_empty(min(heads, len(made)) * rows * count)
    for head in range(0, len(made), heads):
        each = slice(head, head + heads)
        for first in range(0, made.shape[1], rows):
            some = asked[each, first : first + rows]
            scores = room[: some.shape[0] * some.shape[1] * count].view(*some.shape[:2], count)
            torch.bmm(some, known[each], out=scores)
            torch.softmax(scores, -1, out=scores)
            torch.bmm(scores, said[each], out=made[each, first : first + rows])
    return made.view(query.shape)
