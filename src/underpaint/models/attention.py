"""Attention in blocks, on CPUs where torch's fused kernel is slower than its parts.

With AVX512-bf16 and without AMX, torch 2.13's fused attention multiplies bfloat16 at about a sixth of the rate of its
matrix products: 43 % of an evaluation of Stable Diffusion 1.5 at 512². In blocks of queries (Rabe & Staats 2021,
arXiv 2112.05682, section 2) it is two such products with powers between them, and those stay in the cache.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

BLOCK = 2**21  # scores at a time, 4 MB
LEAST_ROWS = 512  # queries at a time; fewer leave the products too small
COLUMNS = 8  # values are filled up to a multiple of it, as products like them
RANGE = 64.0  # of exponents of two; the numbers end at 128, and powers are summed and multiplied by values


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
    if plain and query.dtype is torch.bfloat16 and query.dim() == 4 and key.shape == value.shape:
        alike = query.shape[:2] == key.shape[:2] and query.shape[-1] == key.shape[-1]
        if alike and query.numel() and key.numel():
            return in_blocks(query, key, value)
    return F.scaled_dot_product_attention(query, key, value, *others, **named)


def in_blocks(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """``softmax(query · keyᵀ / √D) · value``, as ``scaled_dot_product_attention``.

    A softmax is the same whatever all scores of a query are moved by. Keys are moved by their mean, as in SageAttention
    (Zhang et al. 2024, arXiv 2410.02367, section 4.2), which keeps scores small, and where no power can grow out of
    range, no maximum is searched for. What powers add up to comes from the product with the values, as one more
    column of ones.

    Args:
        query: [B, heads, N, D].
        key: [B, heads, M, D].
        value: As ``key``.
    """
    (batch, heads, queries, width), count = query.shape, key.shape[-2]
    scale = width**-0.5 * math.log2(math.e)  # powers of two are the quicker ones
    known = (key - key.mean(-2, keepdim=True)).mul_(scale).contiguous()
    said = F.pad(value, (0, COLUMNS - width % COLUMNS))
    said[..., width] = 1
    in_range = cast("list[list[bool]]", (_longest(query) * _longest(known) < RANGE).tolist())

    rows = min(queries, max(LEAST_ROWS, BLOCK // count))
    side_by_side = min(heads, max(1, BLOCK // (rows * count)))
    made = query.new_empty(batch, queries, heads, width).transpose(1, 2)  # as it is read next
    powers = query.new_empty(side_by_side * rows * count)
    sums = query.new_empty(side_by_side * rows * said.shape[-1])
    for picture in range(batch):
        for head in range(0, heads, side_by_side):
            each = picture, slice(head, head + side_by_side)
            keys, values = known[each].transpose(-1, -2), said[each]
            for first in range(0, queries, rows):
                asked = query[each][:, first : first + rows]
                power = _shaped(powers, asked, count)
                torch.bmm(asked, keys, out=power)
                if not all(in_range[picture][each[1]]):
                    torch.sub(power, power.amax(-1, keepdim=True), out=power)
                torch.exp2(power, out=power)
                total = torch.bmm(power, values, out=_shaped(sums, asked, said.shape[-1]))
                answer = made[each][:, first : first + rows]
                torch.div(total[..., :width], total[..., width : width + 1], out=answer)
    return made


def _longest(vectors: Tensor) -> Tensor:
    """[B, heads]: the length of the longest of [B, heads, N, D]."""
    return cast("Tensor", torch.linalg.vector_norm(vectors, dim=-1)).amax(-1)


def _shaped(room: Tensor, asked: Tensor, columns: int) -> Tensor:
    """The beginning of ``room`` as [heads, rows, columns] for [heads, rows, D] that are asked."""
    heads, rows, _ = asked.shape
    return room[: heads * rows * columns].view(heads, rows, columns)
