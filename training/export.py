"""Writes Gesso's released folder from a training run, and checks that stock diffusers renders with it.

    python -m training.export --run DIR --to src/underpaint/models/gesso

The folder is written and checked inside the run, then swapped in whole. `--untrained` writes random weights, for code that needs
the layout before there is a model.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
from diffusers import (
    AutoencoderTiny,
    DPMSolverMultistepScheduler,
    StableDiffusionImg2ImgPipeline,
    UNet2DConditionModel,
)
from diffusers import __version__ as diffusers_version
from PIL import Image
from safetensors.torch import save_file
from torch import nn
from transformers import CLIPTextModel, CLIPTokenizer

from training.autoencoder import new_autoencoder
from training.captions import subjects_of, train_tokenizer
from training.denoiser import new_unet
from training.text import new_text_encoder
from training.vocabulary import NEAR, phrases

GUIDANCE_SCALE = 2.0
STEPS_OVER_ALL = 10  # twice as many change photographs by less than 1 of 255
COMFORTABLE_PX = 512 * 512
MIN_PX = 64


def latest_networks(run: Path) -> tuple[UNet2DConditionModel, CLIPTextModel]:
    """The running mean of the UNet, and the frozen text encoder."""
    unet = new_unet().eval()
    with torch.no_grad():
        torch._foreach_copy_(list(unet.parameters()), torch.load(run / "denoiser.pt")["mean"])
    return unet, CLIPTextModel.from_pretrained(run / "text").eval()


def untrained_networks(tokenizer: CLIPTokenizer) -> tuple[UNet2DConditionModel, CLIPTextModel]:
    """Random networks whose output is not zero."""
    torch.manual_seed(0)
    unet, text = new_unet().eval(), new_text_encoder(tokenizer).eval()
    nn.init.normal_(unet.conv_out.weight, std=0.02)
    return unet, text


def write_text_encoder(text: CLIPTextModel, folder: Path) -> None:
    """Float32, with the `text_model.` prefix that every reader of such folders knows."""
    text.save_pretrained(folder)
    weights = {
        name if name.startswith("text_model.") else f"text_model.{name}": value.contiguous()
        for name, value in text.state_dict().items()
        if not name.endswith("position_ids")
    }
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def write_index(folder: Path, guidance: float, subjects: Sequence[str]) -> None:
    """`model_index.json` in the Stable Diffusion layout, and Underpaint's own defaults beside it."""
    index = {
        "_class_name": "StableDiffusionPipeline",
        "_diffusers_version": diffusers_version,
        "feature_extractor": [None, None],
        "image_encoder": [None, None],
        "requires_safety_checker": False,
        "safety_checker": [None, None],
        "scheduler": ["diffusers", "DPMSolverMultistepScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderTiny"],
    }
    (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")
    own = {
        "guidance_scale": guidance,
        "steps_over_all": STEPS_OVER_ALL,
        "comfortable_px": COMFORTABLE_PX,
        "min_px": MIN_PX,
        "longest_chunks": 1,
        "vocabulary": {"phrases": phrases(subjects), "near": NEAR},
    }
    (folder / "underpaint.json").write_text(json.dumps(own, indent=2) + "\n")


def write_folder(run: Path, folder: Path, *, untrained: bool, guidance: float) -> None:
    """All parts of the released model, in an empty folder."""
    folder.mkdir(parents=True)
    if (run / "tokenizer").exists():
        shutil.copytree(run / "tokenizer", folder / "tokenizer")
    else:
        train_tokenizer([], folder / "tokenizer")
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    unet, text = untrained_networks(tokenizer) if untrained else latest_networks(run)
    unet.half().save_pretrained(folder / "unet")
    vae = new_autoencoder() if untrained else AutoencoderTiny.from_pretrained(run / "vae")
    vae.half().save_pretrained(folder / "vae")
    write_text_encoder(text, folder / "text_encoder")
    scheduler = DPMSolverMultistepScheduler(
        num_train_timesteps=1000,
        prediction_type="flow_prediction",
        use_flow_sigmas=True,
        flow_shift=1.0,
        steps_offset=1,
    )
    scheduler.save_pretrained(folder / "scheduler")
    write_index(folder, guidance, subjects_of(run / "pictures"))
    for config in folder.glob("*/config.json"):
        forget_where(config)


def forget_where(config: Path) -> None:
    """Takes the maker's own paths out of a config."""
    content = json.loads(config.read_text())
    content.pop("_name_or_path", None)
    config.write_text(json.dumps(content, indent=2) + "\n")


def check(folder: Path) -> None:
    """Renders with stock diffusers; raises ValueError when the picture is not finite or is blank."""
    pipeline = StableDiffusionImg2ImgPipeline.from_pretrained(folder, safety_checker=None)
    pipeline.set_progress_bar_config(disable=True)
    ramp = Image.linear_gradient("L").resize((128, 128)).convert("RGB")
    made = pipeline(
        "oil painting, dramatic side light", ramp, strength=0.6, num_inference_steps=10, guidance_scale=2.0,
        generator=torch.Generator().manual_seed(0), output_type="pt",
    ).images  # fmt: skip
    if not made.isfinite().all() or made.std() < 0.01:
        message = f"{folder} renders nothing: deviation {made.std().item():.4f}; train it first"
        raise ValueError(message)


def export(run: Path, to: Path, *, untrained: bool, guidance: float) -> None:
    """Writes and checks the folder inside the run, then swaps it in; a model card that is already there stays."""
    made, fresh, old = (
        run / "release",
        to.with_name(f".{to.name}.fresh"),
        to.with_name(f".{to.name}.old"),
    )
    for left_over in (made, fresh, old):
        shutil.rmtree(left_over, ignore_errors=True)
    write_folder(run, made, untrained=untrained, guidance=guidance)
    if (to / "README.md").exists():
        shutil.copy(to / "README.md", made / "README.md")
    check(made)
    shutil.copytree(made, fresh)
    if to.exists():
        to.rename(old)
    fresh.rename(to)
    shutil.rmtree(old, ignore_errors=True)
    for path in sorted(p for p in to.rglob("*") if p.is_file()):
        print(f"{path.stat().st_size / 1e6:8.3f} MB  {path.relative_to(to)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--to", type=Path, default=Path("src/underpaint/models/gesso"))
    parser.add_argument("--untrained", action="store_true")
    parser.add_argument(
        "--guidance", type=float, default=GUIDANCE_SCALE, help="the model's own guidance scale"
    )
    options = parser.parse_args()
    export(options.run, options.to, untrained=options.untrained, guidance=options.guidance)
