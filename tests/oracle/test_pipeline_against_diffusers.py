"""Whole pictures against diffusers' own img2img pipeline, loaded from the same folder.

Levels, start, fed times and noise are the same on both sides: runs are chosen whose levels diffusers'
schedulers can hit. The posterior of the autoencoder plays no part: latents are handed over, or the
autoencoder has none.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    StableDiffusionImg2ImgPipeline,
)
from PIL import Image

from tests.conftest import soft_picture
from tests.tiny_checkpoint import make_tiny_checkpoint
from underpaint import Engine, Request, pixels
from underpaint.models.catalog import SHIPPED

pytestmark = pytest.mark.filterwarnings("ignore")  # diffusers' own, about its config and numpy

PROMPT, NEGATIVE, SEED, SCALE = "oil painting, side light", "blur", 11, 3.0


class FedExactly(DPMSolverMultistepScheduler):
    """diffusers rounds a flow's times to whole numbers before it feeds them; here they stay."""

    def set_timesteps(self, *args: Any, **options: Any) -> None:
        super().set_timesteps(*args, **options)
        self.timesteps = self.sigmas[:-1].float() * self.config.num_train_timesteps


def pipeline(folder: Path) -> StableDiffusionImg2ImgPipeline:
    made = StableDiffusionImg2ImgPipeline.from_pretrained(folder, local_files_only=True)
    made.set_progress_bar_config(disable=True)
    return made


def theirs(pipe: StableDiffusionImg2ImgPipeline, image: torch.Tensor, **options: Any) -> np.ndarray:
    done = pipe(
        prompt=PROMPT,
        negative_prompt=NEGATIVE,
        image=image[None] if len(image) == 4 else (image[None] + 1) / 2,  # latents, or a picture
        guidance_scale=SCALE,
        generator=torch.Generator("cpu").manual_seed(SEED),
        output_type="np",
        **options,
    )
    return np.rint(done.images[0] * 255).astype(int)


def ours(engine: Engine, source: Image.Image, **options: Any) -> np.ndarray:
    request = Request(
        source=source,
        prompt=PROMPT,
        negative_prompt=NEGATIVE,
        seed=SEED,
        guidance_scale=SCALE,
        **options,
    )
    return np.asarray(engine.render(request).image).astype(int)


def as_tensor(source: Image.Image, multiple: int) -> torch.Tensor:
    tensor, _ = pixels.frame(pixels.read(source), multiple=multiple, minimum=16)
    return tensor


def assert_same_picture(one: np.ndarray, other: np.ndarray) -> None:
    # The product's promise: both round a float32 picture, whose last digits depend on the order
    # of additions, to 8 bits.
    assert one.shape == other.shape
    assert (np.abs(one - other) <= 1).mean() >= 0.999
    assert one.std() > 10  # and it is a picture, not a grey card


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("sampler", ["ddim", "euler", "dpmpp_2m"])
def test_a_whole_picture_of_a_table_model_is_diffusers_own(
    prediction: str, sampler: str, tmp_path: Path
) -> None:
    folder = make_tiny_checkpoint(tmp_path / "tiny", prediction_type=prediction)
    engine = Engine(folder, device="cpu", precision="float32")
    pipe = pipeline(folder)
    source = soft_picture(64, 48)
    latents = engine.model.codec.encode(as_tensor(source, 8))
    config = {**pipe.scheduler.config, "prediction_type": prediction}
    times = [
        599,
        499,
        399,
        299,
        199,
        99,
    ]  # strength .6 in 6 steps: entry i stands at (i + 1) / 1000
    options: dict[str, Any] = {"timesteps": times, "strength": 1.0}
    match sampler:
        case "ddim":  # takes no list: ten trailing steps, the last six
            pipe.scheduler = DDIMScheduler.from_config(
                config, timestep_spacing="trailing", set_alpha_to_one=True
            )
            options = {"num_inference_steps": 10, "strength": 0.6}
        case "euler":
            pipe.scheduler = EulerDiscreteScheduler.from_config(config)
        case _:
            pipe.scheduler = DPMSolverMultistepScheduler.from_config(
                config, algorithm_type="dpmsolver++", final_sigmas_type="zero"
            )
    assert_same_picture(
        ours(engine, source, strength=0.6, steps=6, sampler=sampler),
        theirs(pipe, latents, **options),
    )


@pytest.mark.slow
def test_a_whole_picture_of_gesso_is_diffusers_own() -> None:
    engine = Engine("gesso", device="cpu", precision="float32")
    pipe = pipeline(SHIPPED["gesso"])
    pipe.scheduler = FedExactly.from_config(pipe.scheduler.config)
    source = soft_picture(128, 96)
    # diffusers' flow levels are .999·(1 - i/10); the last six of ten are .5994·(1 - i/6).
    assert_same_picture(
        ours(engine, source, strength=0.999 * 0.6, steps=6, sampler="dpmpp_2m"),
        theirs(
            pipe,
            as_tensor(source, engine.checkpoint.multiple_px),
            num_inference_steps=10,
            strength=0.6,
        ),
    )


@pytest.mark.slow
def test_the_stock_pipeline_renders_gesso_as_it_comes() -> None:
    pipe = pipeline(SHIPPED["gesso"])
    picture = theirs(
        pipe, as_tensor(soft_picture(128, 96), 32), num_inference_steps=4, strength=0.6
    )
    assert picture.shape == (96, 128, 3)
    assert picture.std() > 10
