"""FLUX.1's own key names as diffusers', for transformers in Black Forest Labs' layout.

Source: github.com/black-forest-labs/flux, ``model.py`` and ``modules/layers.py``. Fused projections
are cut along their rows, which are views: nothing is copied but the last modulation.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

_BLOCKS = {"double_blocks": "transformer_blocks", "single_blocks": "single_transformer_blocks"}
_MODULATED = "final_layer.adaLN_modulation.1"  # shift before scale; diffusers has them turned round
_NAMES: Mapping[str, tuple[str, ...]] = {
    "img_in": ("x_embedder",),
    "txt_in": ("context_embedder",),
    "time_in.in_layer": ("time_text_embed.timestep_embedder.linear_1",),
    "time_in.out_layer": ("time_text_embed.timestep_embedder.linear_2",),
    "vector_in.in_layer": ("time_text_embed.text_embedder.linear_1",),
    "vector_in.out_layer": ("time_text_embed.text_embedder.linear_2",),
    "guidance_in.in_layer": ("time_text_embed.guidance_embedder.linear_1",),
    "guidance_in.out_layer": ("time_text_embed.guidance_embedder.linear_2",),
    _MODULATED: ("norm_out.linear",),
    "final_layer.linear": ("proj_out",),
    # double blocks: the picture's stream and the words'
    "img_mod.lin": ("norm1.linear",),
    "txt_mod.lin": ("norm1_context.linear",),
    "img_attn.qkv": ("attn.to_q", "attn.to_k", "attn.to_v"),
    "txt_attn.qkv": ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
    "img_attn.norm.query_norm": ("attn.norm_q",),
    "img_attn.norm.key_norm": ("attn.norm_k",),
    "txt_attn.norm.query_norm": ("attn.norm_added_q",),
    "txt_attn.norm.key_norm": ("attn.norm_added_k",),
    "img_attn.proj": ("attn.to_out.0",),
    "txt_attn.proj": ("attn.to_add_out",),
    "img_mlp.0": ("ff.net.0.proj",),
    "img_mlp.2": ("ff.net.2",),
    "txt_mlp.0": ("ff_context.net.0.proj",),
    "txt_mlp.2": ("ff_context.net.2",),
    # single blocks
    "modulation.lin": ("norm.linear",),
    "linear1": ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"),
    "linear2": ("proj_out",),
    "norm.query_norm": ("attn.norm_q",),
    "norm.key_norm": ("attn.norm_k",),
}


def as_diffusers(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The transformer's weights under diffusers' names; what it has no name for is left out."""
    made: dict[str, Tensor] = {}
    for name, value in weights.items():
        block, stem, end = _divided(name)
        # scales of what goes in lie beside 8-bit weights
        ours = _NAMES.get(stem, ()) if end in {"weight", "bias"} else ()
        if ours and stem == _MODULATED:
            value = torch.cat(value.chunk(2)[::-1])  # noqa: PLW2901  the same weight, turned round
        for one, rows in zip(ours, _cut(value, ours), strict=True):
            made[f"{block}{one}.{end}"] = rows
    return made


def _divided(name: str) -> tuple[str, str, str]:
    """``double_blocks.3.img_mod.lin.bias`` as diffusers' block, what is in it, and its end."""
    stem, _, end = name.rpartition(".")
    first, _, rest = stem.partition(".")
    end = "weight" if end == "scale" else end
    if first not in _BLOCKS:
        return "", stem, end
    number, _, inner = rest.partition(".")
    return f"{_BLOCKS[first]}.{number}.", inner, end


def _cut(value: Tensor, names: tuple[str, ...]) -> tuple[Tensor, ...]:
    """Queries, keys and values, each as wide as the network, and what is left of the rows."""
    match len(names):
        case 0:
            return ()
        case 1:
            return (value,)
        case 3:
            return tuple(value.chunk(3))
        case _:
            width = value.shape[0] // 7  # 3 of attention and 4 of the MLP (mlp_ratio 4)
            return torch.split(value, [width, width, width, value.shape[0] - 3 * width])
