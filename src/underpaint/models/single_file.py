"""Networks from a single ``.safetensors`` file in its original layout.

Key names are converted by diffusers' own tables, FLUX.1's by ours. Weights are mapped from the file and
become the network's own, so they are held once; where they are converted to other numbers, or cut from
a fused projection of SD3 or OpenCLIP, one tensor at a time.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from diffusers.loaders import single_file_utils as tables
from safetensors import safe_open
from torch import Tensor

from underpaint.models.flux_layout import as_diffusers
from underpaint.models.parts import Part
from underpaint.models.recognition import CORE

Weights = dict[str, Tensor]
# Beside 8-bit weights that are stored divided by it: ComfyUI's names until 2025, and since.
SCALES = (".scale_weight", ".weight_scale")
# Autoencoders under diffusers' first names, such as sd-vae-ft-mse.
_NEW_NAMES = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
_OLD_ATTENTION = re.compile(rf"(\.attentions\.\d+\.)({'|'.join(_NEW_NAMES)})(?=\.)")


def opened_part(kind: Any, part: Part, role: str, dtype: torch.dtype | None) -> Any:
    """The network of that role, every weight from the file.

    Args:
        kind: Its class.
        part: Where it lies.
        role: Which part it is.
        dtype: The numbers that it will compute in; None leaves them as stored, 8-bit ones in bfloat16.

    Raises:
        ValueError: the file does not hold the part, or lacks some of its weights.
    """
    weights = _renewed(_unscaled(_read(part), dtype or torch.bfloat16))
    if not weights:
        raise ValueError(f"it holds no {role}")
    with torch.device("meta"):
        network = _unfilled(kind, part.config)
    wanted = network.state_dict()
    if not wanted.keys() <= weights.keys():  # else they are under diffusers' names already
        try:
            weights = _named_as(wanted, _converted(weights, kind, part, role))
        except KeyError as missing:
            raise ValueError(f"its {role} has no weights for {missing.args[0]}") from None
    if lacking := sorted(wanted.keys() - weights.keys()):
        raise ValueError(f"its {role} has no weights for {lacking[0]} ({len(lacking)} missing)")
    for name, weight in wanted.items():
        if weight.shape != (own := weights[name].shape):
            raise ValueError(
                f"its {role} has {name} as {list(own)} instead of {list(weight.shape)}"
            )
    network.load_state_dict({name: weights[name] for name in wanted}, strict=True, assign=True)
    _fill_buffers(network)
    if dtype is not None:
        return network.to(dtype)
    for parameter in network.parameters():
        if parameter.dtype.itemsize == 1:  # nothing is looked up or added in 8 bits
            parameter.data = parameter.data.to(torch.bfloat16)
    return network


def _read(part: Part) -> Weights:
    with cast("Any", safe_open)(part.file, framework="pt") as file:
        names = [str(name) for name in file.keys()]  # noqa: SIM118  it is no mapping
        return {name: file.get_tensor(name) for name in names if name.startswith(part.prefix)}


def _unscaled(weights: Weights, dtype: torch.dtype) -> Weights:
    """The weights, those that lie there divided by a scale multiplied by it again."""
    for name in [name for name in weights if name.endswith(SCALES)]:
        scale, scaled = weights.pop(name).float(), name.rpartition(".")[0] + ".weight"
        if scaled not in weights:
            continue
        weight = weights[scaled]
        if scale.numel() not in {1, weight.shape[0]}:
            raise ValueError(f"{scaled} is scaled in blocks, which is not read")
        rows = scale.reshape(-1, *[1] * (weight.dim() - 1))
        weights[scaled] = (weight.float() * rows).to(dtype)
    return weights


def _renewed(weights: Weights) -> Weights:
    """The weights, attention's under the names that diffusers has for it since 2023."""
    return {_OLD_ATTENTION.sub(_since, name): weight for name, weight in weights.items()}


def _since(found: re.Match[str]) -> str:
    return found[1] + _NEW_NAMES[found[2]]


def _unfilled(kind: Any, config: Path) -> Any:
    if kind.__module__.startswith("transformers"):
        return kind(kind.config_class.from_pretrained(config, local_files_only=True))
    return kind.from_config(kind.load_config(config, local_files_only=True))


def _converted(weights: Weights, kind: Any, part: Part, role: str) -> Weights:
    """The part's weights under diffusers' and transformers' names."""
    prefix, convert = part.prefix, cast("Any", tables)
    plain = {name.removeprefix(prefix): weight for name, weight in weights.items()}
    if role == "unet":
        named = {CORE + name: weight for name, weight in plain.items()}
        return convert.convert_ldm_unet_checkpoint(named, kind.load_config(part.config))
    if role == "vae":
        return convert.convert_ldm_vae_checkpoint(plain, kind.load_config(part.config))
    if role == "transformer" and "img_in.weight" in plain:
        return as_diffusers(plain)
    if role == "transformer":
        return convert.convert_sd3_transformer_checkpoint_to_diffusers(plain)
    if any(name.startswith("model.") for name in plain):  # OpenCLIP's own layout
        with torch.device("meta"):
            network = _unfilled(kind, part.config)
        return convert.convert_open_clip_checkpoint(network, plain, prefix="model.")
    return {name.removeprefix("transformer."): weight for name, weight in plain.items()}


def _named_as(wanted: Mapping[str, Tensor], weights: Weights) -> Weights:
    """The weights under the names that this version of transformers has for them."""
    if not any(name.startswith("text_model.") for name in wanted):
        weights = {name.removeprefix("text_model."): w for name, w in weights.items()}
    if "shared.weight" in weights:  # T5 reads words through one table under two names
        weights.setdefault("encoder.embed_tokens.weight", weights["shared.weight"])
    projection = wanted.get("text_projection.weight")
    if projection is not None and "text_projection.weight" not in weights:
        # SD3's files leave CLIP-L's projection out where it is none, as in diffusers' reader
        weights["text_projection.weight"] = torch.eye(projection.shape[0], dtype=torch.float32)
    return weights


def _fill_buffers(network: Any) -> None:
    """Positions are no weights: what counts them is made anew."""
    for module in network.modules():
        for name, buffer in list(module.named_buffers(recurse=False)):
            if buffer.is_meta and name == "position_ids":
                setattr(module, name, torch.arange(buffer.shape[-1])[None])
            elif buffer.is_meta:
                raise ValueError(f"the file cannot fill {name}")
