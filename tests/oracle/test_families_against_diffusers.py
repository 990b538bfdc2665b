"""Every family's whole picture against diffusers' own img2img pipeline on the same weights.

Both are told the same levels and get the same noise, prompts and latents; float32.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    ChromaImg2ImgPipeline,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxImg2ImgPipeline,
    LatentConsistencyModelImg2ImgPipeline,
    QwenImageImg2ImgPipeline,
    StableDiffusion3Img2ImgPipeline,
    StableDiffusionXLImg2ImgPipeline,
    ZImageImg2ImgPipeline,
)
from diffusers.image_processor import VaeImageProcessor

from tests.conftest import soft_picture
from tests.tiny_families import (
    make_tiny_chroma,
    make_tiny_flux,
    make_tiny_lcm,
    make_tiny_qwen_image,
    make_tiny_sd3,
    make_tiny_xl,
    make_tiny_z_image,
)
from underpaint import Engine, Request, pixels
from underpaint.models.stable_diffusion import guidance_features
from underpaint.plan import make_plan

pytestmark = pytest.mark.filterwarnings("ignore")  # diffusers' own, about its config and numpy

PROMPT, NEGATIVE, SEED, SCALE, STRENGTH, STEPS = "oil painting, side light", "blur", 11, 3.0, 0.6, 4


class Rendered:
    """What ours makes of one request, and what theirs needs to make the same."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.engine = Engine(folder, device="cpu", precision="float32")
        asked = {
            "negative_prompt": NEGATIVE,
            "guidance_scale": SCALE,
            "sampler": "euler",
            "strength": STRENGTH,
            **options,
        }
        self.request = Request(
            source=soft_picture(64, 48),
            prompt=PROMPT,
            seed=SEED,
            steps=STEPS,
            **asked,
        )
        self.picture = np.asarray(self.engine.render(self.request).image).astype(int)
        tensor, frame = pixels.frame(
            pixels.read(self.request.source),
            multiple=self.engine.checkpoint.multiple_px,
            minimum=16,
        )
        self.latents = self.engine.model.codec.encode(tensor)[None]
        self.schedule = self.engine.checkpoint.schedule_at(frame.work)
        self.levels = make_plan(
            self.schedule, strength=STRENGTH, steps=STEPS, sampler="euler"
        ).levels

    @property
    def sigmas(self) -> list[float]:
        return [level.sigma / (level.alpha + level.sigma) for level in self.levels[:-1]]

    def assert_is(self, theirs: Any) -> None:
        other = np.rint(theirs.images[0] * 255).astype(int)
        assert self.picture.shape == other.shape
        assert (np.abs(self.picture - other) <= 1).mean() >= 0.999
        assert other.std() > 5


def opened(kind: Any, folder: Path, **absent: None) -> Any:
    pipe = kind.from_pretrained(folder, local_files_only=True, **absent)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def call(pipe: Any, ours: Rendered, **options: Any) -> Any:
    return pipe(
        prompt=PROMPT,
        image=ours.latents,
        strength=1.0,  # the start is among the levels that are handed over
        generator=torch.Generator("cpu").manual_seed(SEED),
        output_type="np",
        **options,
    )


@pytest.mark.parametrize("refiner", [False, True], ids=["base", "refiner"])
@pytest.mark.parametrize("negative", [NEGATIVE, ""], ids=["negative", "silent"])
def test_xl(tmp_path: Path, *, refiner: bool, negative: str) -> None:
    folder = make_tiny_xl(tmp_path / "xl", refiner=refiner)
    ours = Rendered(folder, negative_prompt=negative)
    pipe = opened(StableDiffusionXLImg2ImgPipeline, folder)
    pipe.scheduler = EulerDiscreteScheduler.from_config(pipe.scheduler.config)
    times = [round(ours.schedule.time(level)) for level in ours.levels[:-1]]
    # None is how diffusers is told of silence; its refiner encodes the empty prompt
    told = negative or None
    ours.assert_is(call(pipe, ours, negative_prompt=told, guidance_scale=SCALE, timesteps=times))


@pytest.mark.parametrize("channels", [32, 33, 256])
def test_features_of_a_guidance_scale(channels: int) -> None:
    scales = [1.0, 4.0, 8.5]
    other = LatentConsistencyModelImg2ImgPipeline.get_guidance_scale_embedding(
        None, torch.tensor(scales) - 1, channels
    )
    torch.testing.assert_close(guidance_features(scales, channels), other)


def test_latent_consistency(tmp_path: Path) -> None:
    folder = make_tiny_lcm(tmp_path / "lcm")
    ours = Rendered(folder, negative_prompt="", guidance_scale=8.5, strength=0.48, sampler="lcm")
    pipe = opened(LatentConsistencyModelImg2ImgPipeline, folder)
    ours.assert_is(
        call(pipe, ours, guidance_scale=8.5, timesteps=[479, 359, 239, 119], num_inference_steps=4)
    )


class FlowLevels(FlowMatchEulerDiscreteScheduler):
    """The levels that are handed over, with no shift on top."""

    def set_timesteps(self, *_: Any, sigmas: Any = None, **__: Any) -> None:
        levels = torch.tensor(sigmas, dtype=torch.float32)
        self.timesteps = levels * self.config.num_train_timesteps
        self.sigmas = torch.cat([levels, torch.zeros(1)])
        self.num_inference_steps = len(levels)
        self._step_index = self._begin_index = None


@pytest.mark.parametrize("long_reader", [True, False], ids=["t5", "without t5"])
def test_sd3(tmp_path: Path, *, long_reader: bool) -> None:
    folder = make_tiny_sd3(tmp_path / "sd3", long_reader=long_reader)
    ours = Rendered(folder)
    absent = {} if long_reader else {"text_encoder_3": None, "tokenizer_3": None}
    pipe = opened(StableDiffusion3Img2ImgPipeline, folder, **absent)
    pipe.scheduler = FlowLevels.from_config(pipe.scheduler.config)
    ours.assert_is(
        call(
            pipe,
            ours,
            negative_prompt=NEGATIVE,
            guidance_scale=SCALE,
            sigmas=ours.sigmas,
            height=48,
            width=64,
        )
    )


@pytest.mark.parametrize("dev", [True, False], ids=["dev", "schnell"])
def test_flux(tmp_path: Path, *, dev: bool) -> None:
    folder = make_tiny_flux(tmp_path / "flux", dev=dev)
    ours = Rendered(folder, guidance_scale=SCALE if dev else 1.0)
    pipe = opened(FluxImg2ImgPipeline, folder)
    pipe.scheduler = FlowLevels.from_config(pipe.scheduler.config)
    ours.assert_is(
        call(
            pipe,
            ours,
            guidance_scale=SCALE,
            sigmas=ours.sigmas,
            height=48,
            width=64,
            max_sequence_length=512 if dev else 256,
        )
    )


def takes_latents(pipe: Any) -> Any:
    """The pipeline, which takes 16 channels for latents as it takes 4."""
    pipe.image_processor = VaeImageProcessor(vae_scale_factor=8, vae_latent_channels=16)
    pipe.scheduler = FlowLevels.from_config(pipe.scheduler.config)
    return pipe


def mask_as_its_makers_do(pipe: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chroma's: diffusers adds a mask of ones and zeros to the scores (its issue 12116)."""
    prepare = pipe._prepare_attention_mask

    def prepared(**given: Any) -> torch.Tensor | None:
        mask = prepare(**given)
        return None if mask is None else mask.bool()

    monkeypatch.setattr(pipe, "_prepare_attention_mask", prepared)


SILENT = pytest.mark.parametrize("negative", [NEGATIVE, ""], ids=["negative", "silent"])


@SILENT
def test_chroma(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, negative: str) -> None:
    folder = make_tiny_chroma(tmp_path / "chroma")
    ours = Rendered(folder, negative_prompt=negative)
    pipe = takes_latents(opened(ChromaImg2ImgPipeline, folder))
    mask_as_its_makers_do(pipe, monkeypatch)
    ours.assert_is(
        call(
            pipe,
            ours,
            negative_prompt=negative,
            guidance_scale=SCALE,
            sigmas=ours.sigmas,
            height=48,
            width=64,
        )
    )


@SILENT
def test_z_image(tmp_path: Path, negative: str) -> None:
    folder = make_tiny_z_image(tmp_path / "z-image")
    ours = Rendered(folder, negative_prompt=negative)
    pipe = takes_latents(opened(ZImageImg2ImgPipeline, folder))
    ours.assert_is(
        call(
            pipe,
            ours,
            negative_prompt=negative,
            guidance_scale=SCALE - 1,  # theirs is 0 where there is none
            sigmas=ours.sigmas,
            height=48,
            width=64,
        )
    )


@SILENT
def test_qwen_image(tmp_path: Path, negative: str) -> None:
    folder = make_tiny_qwen_image(tmp_path / "qwen-image")
    ours = Rendered(folder, negative_prompt=negative)
    pipe = takes_latents(opened(QwenImageImg2ImgPipeline, folder))
    ours.assert_is(
        call(
            pipe,
            ours,
            negative_prompt=negative,
            true_cfg_scale=SCALE,
            sigmas=ours.sigmas,
            height=48,
            width=64,
        )
    )


@pytest.mark.parametrize(
    ("make", "kind", "scale"),
    [
        (make_tiny_chroma, ChromaImg2ImgPipeline, "guidance_scale"),
        (make_tiny_z_image, ZImageImg2ImgPipeline, "guidance_scale"),
        (make_tiny_qwen_image, QwenImageImg2ImgPipeline, "true_cfg_scale"),
    ],
    ids=["chroma", "z-image", "qwen-image"],
)
def test_a_run_from_pure_noise_stands_at_the_levels_of_their_own_scheduler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Any, kind: Any, scale: str
) -> None:
    folder = make(tmp_path / "flow")
    # guidance is off in both: 1 here and with Chroma and Qwen-Image, 0 with Z-Image
    ours = Rendered(folder, guidance_scale=1.0, strength=1.0)
    pipe = opened(kind, folder)
    own = pipe.scheduler
    takes_latents(pipe).scheduler = own
    if kind is ChromaImg2ImgPipeline:
        mask_as_its_makers_do(pipe, monkeypatch)
    off = 0.0 if kind is ZImageImg2ImgPipeline else 1.0
    ours.assert_is(call(pipe, ours, **{scale: off}, num_inference_steps=STEPS, height=48, width=64))
