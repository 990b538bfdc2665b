"""Tiny checkpoints as one file in the layouts of CompVis' and Stability's repositories.

The inverse of the published key names: what a folder in the diffusers layout would have been before
somebody converted it.
"""

import re
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

Weights = dict[str, Tensor]
RESNET = {
    "norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0", "conv2": "out_layers.3", "conv_shortcut": "skip_connection",
}  # fmt: skip
TOP = {
    "conv_in": "input_blocks.0.0", "conv_norm_out": "out.0", "conv_out": "out.2",
    "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0", "add_embedding.linear_2": "label_emb.0.2",
}  # fmt: skip


def weights_of(folder: Path) -> Weights:
    (file,) = folder.glob("*.safetensors")
    return load_file(file)


def unet(weights: Weights, layers: int) -> Weights:
    """``layers`` resnets a block down, one more up."""
    attended = {name.split(".attentions.")[0] for name in weights if ".attentions." in name}
    return {_unet_name(name, layers, attended): value for name, value in weights.items()}


def _unet_name(name: str, layers: int, attended: set[str]) -> str:
    for ours, theirs in TOP.items():
        if name.startswith(ours + "."):
            return name.replace(ours, theirs)
    if found := re.match(r"(down|up)_blocks\.(\d+)\.(resnets|attentions)\.(\d+)\.(.*)", name):
        way, block, kind, number, rest = found.groups()
        place = int(block) * (layers + 1) + int(number)
        outer = f"input_blocks.{place + 1}" if way == "down" else f"output_blocks.{place}"
        return f"{outer}.1.{rest}" if kind == "attentions" else f"{outer}.0.{_resnet(rest)}"
    if found := re.match(r"down_blocks\.(\d+)\.downsamplers\.0\.conv\.(.*)", name):
        return f"input_blocks.{(int(found[1]) + 1) * (layers + 1)}.0.op.{found[2]}"
    if found := re.match(r"up_blocks\.(\d+)\.upsamplers\.0\.conv\.(.*)", name):
        slot = 2 if f"up_blocks.{found[1]}" in attended else 1
        return f"output_blocks.{(int(found[1]) + 1) * (layers + 1) - 1}.{slot}.conv.{found[2]}"
    if found := re.match(r"mid_block\.resnets\.(\d)\.(.*)", name):
        return f"middle_block.{2 * int(found[1])}.{_resnet(found[2])}"
    found = re.match(r"mid_block\.attentions\.0\.(.*)", name)
    assert found, name
    return f"middle_block.1.{found[1]}"


def _resnet(rest: str) -> str:
    part, _, end = rest.partition(".")
    return f"{RESNET[part]}.{end}"


def vae(weights: Weights, blocks: int) -> Weights:
    return dict(_vae_entry(name, value, blocks) for name, value in weights.items())


def _vae_entry(name: str, value: Tensor, blocks: int) -> tuple[str, Tensor]:
    name = name.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
    name = re.sub(r"down_blocks\.(\d+)\.resnets\.(\d+)", r"down.\1.block.\2", name)
    name = re.sub(r"down_blocks\.(\d+)\.downsamplers\.0", r"down.\1.downsample", name)
    name = re.sub(
        r"up_blocks\.(\d+)\.resnets\.(\d+)",
        lambda found: f"up.{blocks - 1 - int(found[1])}.block.{found[2]}",
        name,
    )
    name = re.sub(
        r"up_blocks\.(\d+)\.upsamplers\.0",
        lambda found: f"up.{blocks - 1 - int(found[1])}.upsample",
        name,
    )
    name = re.sub(r"mid_block\.resnets\.(\d)", lambda found: f"mid.block_{int(found[1]) + 1}", name)
    if "mid_block.attentions.0" in name:
        name = name.replace("mid_block.attentions.0", "mid.attn_1").replace("group_norm", "norm")
        for ours, theirs in (("to_q", "q"), ("to_k", "k"), ("to_v", "v"), ("to_out.0", "proj_out")):
            if f".{ours}." in name:
                name = name.replace(ours, theirs)
                value = value[:, :, None, None] if name.endswith("weight") else value
    return name, value


def clip(weights: Weights) -> Weights:
    """As SD 1 holds CLIP: transformers' own names, from before they were flattened."""
    return {
        f"transformer.text_model.{name.removeprefix('text_model.')}": value
        for name, value in weights.items()
    }


def open_clip(weights: Weights) -> Weights:
    """As SD 2 and SDXL hold OpenCLIP: queries, keys and values fused."""
    plain = {name.removeprefix("text_model."): value for name, value in weights.items()}
    out: Weights = {}
    for name, value in plain.items():
        if name == "text_projection.weight":
            out["model.text_projection"] = value.T.contiguous()
        elif ".self_attn." in name and "out_proj" not in name:
            continue
        else:
            new = name.replace("encoder.layers.", "transformer.resblocks.")
            for theirs, ours in (
                ("embeddings.position_embedding.weight", "positional_embedding"),
                ("embeddings.token_embedding.weight", "token_embedding.weight"),
                ("final_layer_norm", "ln_final"), ("layer_norm", "ln_"), ("mlp.fc1", "mlp.c_fc"),
                ("mlp.fc2", "mlp.c_proj"), ("self_attn", "attn"),
            ):  # fmt: skip
                new = new.replace(theirs, ours)
            out[f"model.{new}"] = value
    layers = {found[1] for name in plain if (found := re.match(r"encoder\.layers\.(\d+)\.", name))}
    for layer in layers:
        for end in ("weight", "bias"):
            parts = [
                plain[f"encoder.layers.{layer}.self_attn.{which}_proj.{end}"] for which in "qkv"
            ]
            out[f"model.transformer.resblocks.{layer}.attn.in_proj_{end}"] = torch.cat(parts)
    return out


def write_single_file(path: Path, folder: Path, parts: dict[str, str], **extra: Any) -> Path:
    """The diffusers folder ``folder`` as one file; ``parts`` tells each role's prefix.

    Args:
        path: The file.
        folder: A tiny checkpoint.
        parts: ``{"unet": prefix, "vae": prefix, "text_encoder": prefix, ...}``.
        extra: ``open``: the roles that are in OpenCLIP's layout; ``dtype``; ``metadata``; ``marks``.
    """
    everything: Weights = {}
    for role, prefix in parts.items():
        weights = weights_of(folder / role)
        match role:
            case "unet":
                made = unet(weights, 1)
            case "vae":
                made = vae(weights, 3)
            case _:
                made = open_clip(weights) if role in extra.get("open", ()) else clip(weights)
        everything |= {prefix + name: value for name, value in made.items()}
    dtype = extra.get("dtype")
    everything = {
        name: value.to(dtype) if dtype else value for name, value in everything.items()
    } | {mark: torch.zeros(0) for mark in extra.get("marks", ())}
    save_file(
        {name: value.contiguous().clone() for name, value in everything.items()},
        path,
        metadata=extra.get("metadata"),
    )
    return path
