"""Checkpoints as one file in the layouts of CompVis', Stability's and Black Forest Labs' repositories.

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
    """As SD 1, SD 3 and FLUX.1 hold CLIP: transformers' own names, from before they were flattened."""
    return {
        f"transformer.{'' if name.startswith('text_projection') else 'text_model.'}"
        f"{name.removeprefix('text_model.')}": value
        for name, value in weights.items()
    }


def t5(weights: Weights) -> Weights:
    """As ComfyUI holds T5; its table of words has one name."""
    return {
        f"transformer.{name}": value
        for name, value in weights.items()
        if name != "encoder.embed_tokens.weight"
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


EMBEDDERS = {
    "time_text_embed.timestep_embedder.linear_1": ("t_embedder.mlp.0", "time_in.in_layer"),
    "time_text_embed.timestep_embedder.linear_2": ("t_embedder.mlp.2", "time_in.out_layer"),
    "time_text_embed.text_embedder.linear_1": ("y_embedder.mlp.0", "vector_in.in_layer"),
    "time_text_embed.text_embedder.linear_2": ("y_embedder.mlp.2", "vector_in.out_layer"),
    "time_text_embed.guidance_embedder.linear_1": ("", "guidance_in.in_layer"),
    "time_text_embed.guidance_embedder.linear_2": ("", "guidance_in.out_layer"),
    "context_embedder": ("context_embedder", "txt_in"),
    "x_embedder": ("", "img_in"),
    "pos_embed.proj": ("x_embedder.proj", ""),
    "proj_out": ("final_layer.linear", "final_layer.linear"),
    "norm_out.linear": ("final_layer.adaLN_modulation.1", "final_layer.adaLN_modulation.1"),
}
SD3_BLOCK = {
    "norm1.linear": "x_block.adaLN_modulation.1", "attn.to_out.0": "x_block.attn.proj",
    "attn.norm_q": "x_block.attn.ln_q", "attn.norm_k": "x_block.attn.ln_k",
    "attn2.to_out.0": "x_block.attn2.proj", "attn2.norm_q": "x_block.attn2.ln_q",
    "attn2.norm_k": "x_block.attn2.ln_k", "ff.net.0.proj": "x_block.mlp.fc1",
    "ff.net.2": "x_block.mlp.fc2", "norm1_context.linear": "context_block.adaLN_modulation.1",
    "attn.to_add_out": "context_block.attn.proj", "attn.norm_added_q": "context_block.attn.ln_q",
    "attn.norm_added_k": "context_block.attn.ln_k", "ff_context.net.0.proj": "context_block.mlp.fc1",
    "ff_context.net.2": "context_block.mlp.fc2",
}  # fmt: skip
SD3_FUSED = {
    "x_block.attn.qkv": ("attn.to_q", "attn.to_k", "attn.to_v"),
    "x_block.attn2.qkv": ("attn2.to_q", "attn2.to_k", "attn2.to_v"),
    "context_block.attn.qkv": ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
}
FLUX_DOUBLE = {
    "norm1.linear": "img_mod.lin", "norm1_context.linear": "txt_mod.lin",
    "attn.norm_q": "img_attn.norm.query_norm", "attn.norm_k": "img_attn.norm.key_norm",
    "attn.norm_added_q": "txt_attn.norm.query_norm", "attn.norm_added_k": "txt_attn.norm.key_norm",
    "attn.to_out.0": "img_attn.proj", "attn.to_add_out": "txt_attn.proj",
    "ff.net.0.proj": "img_mlp.0", "ff.net.2": "img_mlp.2",
    "ff_context.net.0.proj": "txt_mlp.0", "ff_context.net.2": "txt_mlp.2",
}  # fmt: skip
FLUX_DOUBLE_FUSED = {
    "img_attn.qkv": ("attn.to_q", "attn.to_k", "attn.to_v"),
    "txt_attn.qkv": ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
}
FLUX_SINGLE = {
    "norm.linear": "modulation.lin", "proj_out": "linear2",
    "attn.norm_q": "norm.query_norm", "attn.norm_k": "norm.key_norm",
}  # fmt: skip
FLUX_SINGLE_FUSED = {"linear1": ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp")}


def sd3(weights: Weights) -> Weights:
    """As Stability holds SD 3: the words' last modulation is turned round, like the output's."""
    last = max(
        int(name.split(".")[1]) for name in weights if name.startswith("transformer_blocks.")
    )
    turned = (f"transformer_blocks.{last}.norm1_context.linear.", "norm_out.linear.")
    plain = {name: _turned(value, name, turned) for name, value in weights.items()}
    out = {"pos_embed": plain.pop("pos_embed.pos_embed"), **_embedders(plain, 0)}
    return out | _blocks(plain, "transformer_blocks", "joint_blocks", SD3_BLOCK, SD3_FUSED)


def flux(weights: Weights) -> Weights:
    """As Black Forest Labs holds FLUX.1."""
    plain = {name: _turned(value, name, ("norm_out.linear.",)) for name, value in weights.items()}
    out = _embedders(plain, 1)
    out |= _blocks(plain, "transformer_blocks", "double_blocks", FLUX_DOUBLE, FLUX_DOUBLE_FUSED)
    out |= _blocks(
        plain, "single_transformer_blocks", "single_blocks", FLUX_SINGLE, FLUX_SINGLE_FUSED
    )
    return {
        re.sub(r"(query_norm|key_norm)\.weight$", r"\1.scale", name): w for name, w in out.items()
    }


def _turned(value: Tensor, name: str, which: tuple[str, ...]) -> Tensor:
    return torch.cat(value.chunk(2)[::-1]) if name.startswith(which) else value


def _embedders(weights: Weights, column: int) -> Weights:
    return {
        f"{EMBEDDERS[stem][column]}.{end}": value
        for name, value in weights.items()
        for stem, _, end in [name.rpartition(".")]
        if stem in EMBEDDERS
    }


def _blocks(
    weights: Weights,
    ours: str,
    theirs: str,
    names: dict[str, str],
    fused: dict[str, tuple[str, ...]],
) -> Weights:
    out: Weights = {}
    for name, value in weights.items():
        found = re.match(rf"{ours}\.(\d+)\.(.*)\.(weight|bias)$", name)
        if found and found[2] in names:
            out[f"{theirs}.{found[1]}.{names[found[2]]}.{found[3]}"] = value
    for number in {name.split(".")[1] for name in weights if name.startswith(f"{ours}.")}:
        for whole, parts in fused.items():
            for end in ("weight", "bias"):
                pieces = [weights.get(f"{ours}.{number}.{part}.{end}") for part in parts]
                if pieces[0] is not None:
                    out[f"{theirs}.{number}.{whole}.{end}"] = torch.cat(pieces)
    return out


def original(role: str, weights: Weights, *, layers: int, blocks: int, opened: bool) -> Weights:
    """The weights of a role under their original names.

    Args:
        role: Which part it is.
        weights: Under diffusers' and transformers' names.
        layers: Resnets a block of the UNet.
        blocks: Blocks of the autoencoder.
        opened: Whether a text encoder is in OpenCLIP's layout.
    """
    match role:
        case "unet":
            return unet(weights, layers)
        case "vae":
            return vae(weights, blocks)
        case "transformer":
            return (sd3 if "pos_embed.pos_embed" in weights else flux)(weights)
        case _ if "shared.weight" in weights:
            return t5(weights)
        case _:
            return open_clip(weights) if opened else clip(weights)


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
        made = original(role, weights, layers=1, blocks=3, opened=role in extra.get("open", ()))
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
