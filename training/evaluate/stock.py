"""Measure 7: whether stock diffusers, given the same levels and noise, makes the same picture."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from diffusers import DPMSolverMultistepScheduler
from PIL import Image

from training.evaluate.photographs import photographs
from training.evaluate.setting import SEED, Data, Setting, table, verdict
from underpaint import Engine, Request

PROMPT, NEGATIVE, SCALE = "oil painting, dramatic side light", "photograph", 2.0
STEPS_OVER_ALL, STEPS = 10, 6
SIZE_PX = 256


class FedExactly(DPMSolverMultistepScheduler):
    """diffusers rounds a flow's times to whole numbers before it feeds them; here they stay."""

    def set_timesteps(self, *args: Any, **options: Any) -> None:
        """Sets levels as ever, and feeds their exact times."""
        super().set_timesteps(*args, **options)
        self.timesteps = self.sigmas[:-1].float() * self.config.num_train_timesteps


def measure(setting: Setting) -> Data:
    """PSNR in dB between both renders of each photograph at 256², in float32; infinite where all bytes agree."""
    from diffusers import StableDiffusionImg2ImgPipeline  # noisy when imported

    engine = Engine(setting.folder, precision="float32", device="cpu")
    pipe = StableDiffusionImg2ImgPipeline.from_pretrained(setting.folder, local_files_only=True).to(
        torch.float32
    )
    pipe.set_progress_bar_config(disable=True)
    pipe.scheduler = FedExactly.from_config(pipe.scheduler.config)
    sources = list(photographs(SIZE_PX).items())
    return {
        name: psnr_db(theirs(pipe, Image.fromarray(source)), ours(engine, Image.fromarray(source)))
        for name, source in (sources if setting.thorough else sources[:2])
    }


def ours(engine: Engine, source: Image.Image) -> np.ndarray:
    """The engine's render `[H, W, 3]`, uint8."""
    # diffusers' flow levels are .999·(1 - i/10); the last six of ten are .5994·(1 - i/6).
    strength = 0.999 * STEPS / STEPS_OVER_ALL
    request = Request(
        source=source,
        prompt=PROMPT,
        negative_prompt=NEGATIVE,
        seed=SEED,
        guidance_scale=SCALE,
        strength=strength,
        steps=STEPS,
        sampler="dpmpp_2m",
    )
    return np.asarray(engine.render(request).image)


def theirs(pipe: Any, source: Image.Image) -> np.ndarray:
    """The stock pipeline's render `[H, W, 3]`, uint8."""
    done = pipe(
        prompt=PROMPT,
        negative_prompt=NEGATIVE,
        image=source,
        guidance_scale=SCALE,
        num_inference_steps=STEPS_OVER_ALL,
        strength=STEPS / STEPS_OVER_ALL,
        generator=torch.Generator("cpu").manual_seed(SEED),
    )
    return np.asarray(done.images[0])


def psnr_db(one: np.ndarray, other: np.ndarray) -> float:
    """The peak signal-to-noise ratio of two uint8 pictures."""
    error = float(((one.astype(float) - other) ** 2).mean())
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def lines(found: Data) -> list[str]:
    """The figures, to read."""
    rows = [[name, f"{value:.1f}"] for name, value in found.items()]
    least = min(found.values())
    return [
        *table(["photograph", "PSNR, dB"], rows),
        verdict("lowest PSNR", least, 40.0, written="{:.1f} dB"),
    ]
