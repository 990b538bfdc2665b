"""Networks from a single ``.safetensors`` file in its original layout.

Key names are converted by diffusers' own tables. Weights are mapped from the file and become the
network's own, so they are held once; where they are converted to other numbers, one tensor at a time.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from diffusers.loaders import single_file_utils as tables
from safetensors import safe_open
from torch import Tensor

from underpaint.models.catalog import SingleFile

Weights = dict[str, Tensor]


def opened_part(kind: Any, source: SingleFile, config: Path, role: str, dtype: torch.dtype) -> Any:
    """The network of that role, every weight from the file.

    Args:
        kind: Its class.
        source: The file and the names of its parts.
        config: The folder with its ``config.json``.
        role: Which part it is.
        dtype: The numbers that it will compute in.

    Raises:
        ValueError: the file does not hold the part, or lacks some of its weights.
    """
    if role not in source.parts:
        raise ValueError(f"it holds no {role}")
    weights = _converted(_read(source.path, source.parts[role]), kind, source, config, role)
    with torch.device("meta"):
        network = _unfilled(kind, config)
    wanted = network.state_dict()
    weights = _named_as(wanted, weights)
    if missing := sorted(set(wanted) - set(weights)):
        raise ValueError(f"its {role} has no weights for {missing[0]} ({len(missing)} missing)")
    network.load_state_dict({name: weights[name] for name in wanted}, strict=True, assign=True)
    _fill_buffers(network)
    return network.to(dtype)


def _read(path: Path, prefix: str) -> Weights:
    with cast("Any", safe_open)(path, framework="pt") as file:
        names = [str(name) for name in file.keys()]  # noqa: SIM118  it is no mapping
        return {name: file.get_tensor(name) for name in names if name.startswith(prefix)}


def _unfilled(kind: Any, config: Path) -> Any:
    if kind.__module__.startswith("transformers"):
        return kind(kind.config_class.from_pretrained(config, local_files_only=True))
    return kind.from_config(kind.load_config(config, local_files_only=True))


def _converted(weights: Weights, kind: Any, source: SingleFile, config: Path, role: str) -> Weights:
    """The part's weights under diffusers' and transformers' names."""
    prefix, convert = source.parts[role], cast("Any", tables)
    if role == "unet":
        return convert.convert_ldm_unet_checkpoint(weights, kind.load_config(config))
    if role == "vae":
        return convert.convert_ldm_vae_checkpoint(weights, kind.load_config(config))
    if role == "transformer":
        return convert.convert_sd3_transformer_checkpoint_to_diffusers(weights)
    if any(name.startswith(f"{prefix}model.") for name in weights):  # OpenCLIP's own layout
        with torch.device("meta"):
            network = _unfilled(kind, config)
        return convert.convert_open_clip_checkpoint(network, weights, prefix=f"{prefix}model.")
    return {
        name.removeprefix(prefix).removeprefix("transformer."): w for name, w in weights.items()
    }


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
