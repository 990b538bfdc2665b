"""Stable Diffusion 1.5 or XL with random weights, in full size or tiny, and what one evaluation of it costs.

Speed does not depend on what weights say, so nothing needs to be fetched. The shapes are those of the
published configurations; the tokenizer knows single letters only, which costs as much to read.
"""

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal, cast, get_args

import torch

Size = Literal["full", "tiny", "xl"]
SIZES: tuple[Size, ...] = get_args(Size)
SEED = 15
PAIR = 2  # rows of a guided evaluation
# SD 1.5's unet/config.json, as far as it differs from diffusers' defaults.
UNET: dict[str, Any] = {"sample_size": 64, "cross_attention_dim": 768, "attention_head_dim": 8}
# SDXL base's, likewise.
UNET_XL: dict[str, Any] = {
    "sample_size": 128,
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 2, 10),
    "attention_head_dim": (5, 10, 20),
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}


def kept_checkpoint(parent: Path, size: Size) -> Path:
    """The checkpoint's folder in ``parent``: made there once, whole or not at all.

    Another process makes it, so that its memory goes back: full size takes 5 GB of it, and 4.3 GB of disk; XL 12 and 14.
    """
    folder = parent / f"random-sd15-{size}"
    if folder.is_dir():
        return folder
    making = parent / f"{folder.name}.making"
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    command = [sys.executable, "-m", "benchmarks.random_sd15", str(making), "--size", size]
    made = subprocess.run(command, check=False)
    if made.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {made.returncode}")
    making.rename(folder)
    return folder


def main() -> None:
    """Writes the checkpoint into an empty folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", choices=SIZES, default="full")
    options = parser.parse_args()
    from benchmarks.quiet import quieten
    from tests.tiny_checkpoint import make_tiny_checkpoint

    quieten()
    match options.size:
        case "tiny":
            make_tiny_checkpoint(options.folder, seed=SEED)
        case "xl":
            _make_xl(options.folder)
        case _:
            _make_full(options.folder)


def evaluation_flops(checkpoint: Path, side_px: int) -> int:
    """Floating-point operations of one guided evaluation, two for a multiplication with its addition.

    Counted on tensors without content, where attention is counted too: torch has no count for the
    kernel that it runs attention with on CPUs, and 16 % of full SD 1.5 would be missing at 512².
    """
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from torch.utils.flop_counter import FlopCounterMode

    config, vae, text = (
        json.loads((checkpoint / role / "config.json").read_text("utf-8"))
        for role in ("unet", "vae", "text_encoder")
    )
    sizes = 6  # the numbers that SDXL reads beside the prompt's pooled vector
    cells = side_px // 2 ** (len(vae["block_out_channels"]) - 1)
    with torch.device("meta"), FlopCounterMode(display=False) as counter, torch.inference_mode():
        unet = cast("Any", UNet2DConditionModel.from_config(config))
        unet(
            torch.empty(PAIR, config["in_channels"], cells, cells),
            torch.empty(PAIR),
            torch.empty(PAIR, text["max_position_embeddings"], config["cross_attention_dim"]),
            added_cond_kwargs={
                "text_embeds": torch.empty(
                    PAIR,
                    (config["projection_class_embeddings_input_dim"] or 0)
                    - sizes * (config["addition_time_embed_dim"] or 0),
                ),
                "time_ids": torch.empty(PAIR, sizes),
            },
        )
    return counter.get_total_flops()


def _make_full(folder: Path) -> None:
    """Writes 4.3 GB: the networks in float32, and the small files of the tiny checkpoint in their sizes."""
    from tests.tiny_checkpoint import INDEX, scheduler_config, write_json, write_tokenizer

    _make_networks(folder, UNET, sample_px=512)
    _make_clip(folder / "text_encoder", width=768, layers=12, heads=12)
    write_tokenizer(folder / "tokenizer", tokens=77)
    write_json(folder / "model_index.json", INDEX)
    write_json(folder / "scheduler" / "scheduler_config.json", scheduler_config())


def _make_xl(folder: Path) -> None:
    """Writes 14 GB, likewise."""
    from tests.tiny_checkpoint import scheduler_config, write_json, write_tokenizer
    from tests.tiny_families import xl_index

    _make_networks(folder, UNET_XL, sample_px=1024, scaling_factor=0.13025)
    _make_clip(folder / "text_encoder", width=768, layers=12, heads=12)
    _make_clip(folder / "text_encoder_2", width=1280, layers=32, heads=20, projected=True)
    for role in ("tokenizer", "tokenizer_2"):
        write_tokenizer(folder / role, tokens=77)
    index = {
        "_class_name": "StableDiffusionXLPipeline",
        "scheduler": ["diffusers", "DDIMScheduler"],
        **xl_index(),
    }
    write_json(folder / "model_index.json", index)
    write_json(folder / "scheduler" / "scheduler_config.json", scheduler_config())


def _make_networks(folder: Path, unet: dict[str, Any], *, sample_px: int, **vae: float) -> None:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    torch.manual_seed(SEED)
    UNet2DConditionModel(**unet).save_pretrained(folder / "unet")
    AutoencoderKL(
        block_out_channels=(128, 256, 512, 512),
        layers_per_block=2,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        sample_size=sample_px,
        **vae,
    ).save_pretrained(folder / "vae")


def _make_clip(
    folder: Path, *, width: int, layers: int, heads: int, projected: bool = False
) -> None:
    from transformers.models.clip.configuration_clip import CLIPTextConfig
    from transformers.models.clip.modeling_clip import CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        vocab_size=49408,
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        max_position_embeddings=77,
        bos_token_id=512,
        eos_token_id=513,
        pad_token_id=513,
        projection_dim=width,
    )
    (CLIPTextModelWithProjection if projected else CLIPTextModel)(config).save_pretrained(folder)


if __name__ == "__main__":
    main()
