"""Attention in blocks, on CPUs where torch's fused kernel is slower than its parts.

With AVX512-bf16 and without AMX, torch 2.13's fused attention multiplies bfloat16 at about a sixth of the rate of its
matrix products: 43 % of an evaluation of Stable Diffusion 1.5 at 512². In blocks of queries (Rabe & Staats 2021,
arXiv 2112.05682, section 2) it is two such products and a softmax, and scores stay in the cache.
"""

from typing import Any, cast

import torch
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from torch import Tensor, nn

BLOCK = 2**21  # scores at a time, 4 MB
LEAST_ROWS = 512  # queries at a time; fewer leave the products too small


def pays(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether blocks are the faster way in these numbers on this machine."""
    tiles = torch.cpu._is_amx_tile_supported()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    return device.type == "cpu" and dtype is torch.bfloat16 and not tiles


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
    whole = torch.empty_like(query)
    made = whole.flatten(0, 1)
    asked, known = query.flatten(0, 1), (key * width**-0.5).transpose(-1, -2).flatten(0, 1)
    said = value.flatten(0, 1)
    for head in range(0, len(made), heads):
        each = slice(head, head + heads)
        for first in range(0, made.shape[1], rows):
            some = slice(first, first + rows)
            shares = (asked[each, some] @ known[each]).softmax(-1)
            torch.bmm(shares, said[each], out=made[each, some])
    return made.view(whole.shape)


class InBlocks:
    """What diffusers calls a processor: plain attention without masks and norms of its own, in blocks."""

    usual = AttnProcessor2_0()

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        *others: Any,
        **named: Any,
    ) -> Tensor:
        """Hidden states [B, N, C] that looked at themselves, or at ``encoder_hidden_states`` [B, M, C]."""
        if (
            attention_mask is not None or torch.compiler.is_compiling()
        ):  # its loops would be unrolled
            given = (hidden_states, encoder_hidden_states, attention_mask)
            return self.usual(attn, *given, *others, **named)
        looked_at = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query, key, value = (
            of(states).unflatten(-1, (attn.heads, -1)).transpose(1, 2)
            for of, states in (
                (attn.to_q, hidden_states),
                (attn.to_k, looked_at),
                (attn.to_v, looked_at),
            )
        )
        made = in_blocks(query, key, value).transpose(1, 2).flatten(2)
        project, drop = attn.to_out
        return cast("Tensor", drop(project(made)))


def use_blocks(network: nn.Module) -> None:
    """Lets every plain attention of a network work in blocks."""
    for module in network.modules():
        if isinstance(module, Attention) and _is_plain(module):
            module.set_processor(cast("Any", InBlocks()))


def _is_plain(attn: Any) -> bool:
    norms = (attn.group_norm, attn.spatial_norm, attn.norm_cross, attn.norm_q, attn.norm_k)
    others = attn.residual_connection or attn.rescale_output_factor != 1 or attn.added_kv_proj_dim
    return isinstance(attn.processor, AttnProcessor2_0) and not others and not any(norms)
