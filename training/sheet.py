"""Renders a sheet to judge Gesso by: photographs and sketches that it never saw, one column a prompt.

    python -m training.sheet --model DIR --scenes 900001 900002 --out sheet.png

Columns: source, autoencoder round trip, then one a prompt. The loop is a plain deterministic one, no part of the package.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import torch
from diffusers import AutoencoderTiny, UNet2DConditionModel
from numpy.typing import NDArray
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from training.autoencoder import photographs
from training.hardware import DTYPE
from training.pictures import Variant, draw
from training.text import tokenize

PROMPTS = (
    "photograph",
    "oil painting",
    "oil painting, dramatic side light",
    "watercolour",
    "pencil drawing",
    "ink drawing",
    "pastel",
    "charcoal",
)
SHOWN_PX = 320


class Model:
    """A released folder's networks, in bf16."""

    def __init__(self, folder: Path) -> None:
        self.vae = AutoencoderTiny.from_pretrained(folder / "vae")
        self.scale = self.vae.config.scaling_factor
        self.unet = UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=DTYPE)
        self.unet.to(memory_format=torch.channels_last)
        self.text = CLIPTextModel.from_pretrained(folder / "text_encoder")
        self.tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")

    @torch.no_grad()
    def render(
        self,
        pixels: Tensor,
        prompts: Sequence[str],
        *,
        strength: float,
        guidance: float,
        steps: int,
        seed: int,
    ) -> tuple[Tensor, Tensor]:
        """The round trip `[1, 3, H, W]` and one picture a prompt `[n, 3, H, W]`, -1...1, all from the same noise."""
        z = self.vae.encode(pixels).latents * self.scale
        round_trip = self.vae.decode(z / self.scale).sample
        count = len(prompts)
        noise = torch.randn(z.shape, generator=torch.Generator().manual_seed(seed))
        x = ((1 - strength) * z + strength * noise).repeat(count, 1, 1, 1)
        words = self.text(
            input_ids=tokenize(self.tokenizer, [*prompts, *[""] * count])
        ).last_hidden_state
        levels = torch.linspace(strength, 0, steps + 1).tolist()
        for t, t_next in pairwise(levels):
            v = self.velocity(x, t, words, guidance)
            x = x + (t_next - t) * v
        return round_trip, self.vae.decode(x / self.scale).sample

    def velocity(self, x: Tensor, t: float, words: Tensor, guidance: float) -> Tensor:
        """The guided velocity; `words` holds the prompts' and then the empty prompts' embeddings."""
        if guidance == 1:
            return self.unet(x.to(DTYPE), t * 1000, words[: len(x)].to(DTYPE)).sample.float()
        both = self.unet(x.repeat(2, 1, 1, 1).to(DTYPE), t * 1000, words.to(DTYPE)).sample.float()
        said, unsaid = both.chunk(2)
        return unsaid + guidance * (said - unsaid)


def sketches(seeds: Sequence[int]) -> list[Tensor]:
    """Line drawings `[1, 3, 256, 256]`, -1...1, of the scenes of some seeds."""
    drawn = [draw(seed, variants=[Variant("line_drawing")])[0][0][1] for seed in seeds]
    return [torch.from_numpy(p.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1 for p in drawn]


def picture_file(path: Path) -> Tensor:
    """A picture file `[1, 3, H, W]`, -1...1, cropped to whole multiples of 32."""
    pixels = cv2.imread(str(path))[..., ::-1]
    height, width = (side // 32 * 32 for side in pixels.shape[:2])
    return (
        torch.from_numpy(pixels[:height, :width].copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
    )


def shown(picture: Tensor) -> NDArray[np.uint8]:
    """A picture as it stands in the sheet."""
    array = ((picture.clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
    return cv2.resize(array, (SHOWN_PX, SHOWN_PX), interpolation=cv2.INTER_AREA)


def sheet(
    model: Model, sources: Sequence[Tensor], prompts: Sequence[str], **options: float
) -> NDArray[np.uint8]:
    """The whole sheet, a row a source."""
    rows = []
    for pixels in sources:
        round_trip, made = model.render(pixels, prompts, **options)
        rows.append(np.concatenate([shown(p) for p in (pixels[0], round_trip[0], *made)], axis=1))
    return np.concatenate(rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=Path("src/underpaint/models/gesso"))
    parser.add_argument(
        "--scenes", type=int, nargs="*", default=[], help="seeds of scenes to sketch"
    )
    parser.add_argument("--files", type=Path, nargs="*", default=[])
    parser.add_argument("--photographs", nargs="*", default=["astronaut", "coffee", "chelsea"])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--prompts", nargs="*", default=list(PROMPTS))
    parser.add_argument("--strength", type=float, default=0.6)
    parser.add_argument("--guidance", type=float, default=2.0)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--seed", type=int, default=7)
    chosen = parser.parse_args()
    everything = [picture for name, picture in photographs().items() if name in chosen.photographs]
    everything += sketches(chosen.scenes)
    everything += [picture_file(path) for path in chosen.files]
    settings = {
        "strength": chosen.strength, "guidance": chosen.guidance, "steps": chosen.steps, "seed": chosen.seed
    }  # fmt: skip
    drawn = sheet(Model(chosen.model), everything, chosen.prompts, **settings)
    cv2.imwrite(str(chosen.out), drawn[..., ::-1])
