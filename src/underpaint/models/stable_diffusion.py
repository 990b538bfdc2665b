"""The Stable Diffusion family: a UNet, an autoencoder, one CLIP text encoder; Gesso is one of them.

The networks are diffusers' and transformers'. What is here is how they are fed.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, cast

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor
from transformers.models.clip.modeling_clip import CLIPTextModel
from transformers.models.clip.tokenization_clip import CLIPTokenizer

from underpaint.denoiser import Prompt, Row, to_x0
from underpaint.errors import Notice
from underpaint.levels import Prediction, Schedule
from underpaint.models import attention
from underpaint.models.catalog import Checkpoint
from underpaint.models.clip_text import ClipWords, TextModel, share_a_call, stacked
from underpaint.models.embedded import Embedded, embedded, in_groups
from underpaint.models.halves import Halves, halved
from underpaint.models.loading import fed, opened, opened_tokenizer, placed


@dataclass(frozen=True, slots=True, eq=False)
class UNetDenoiser:
    """x0 estimates from a diffusers UNet (``denoiser.Denoiser``).

    Attributes:
        network: The UNet.
        schedule: Its levels.
        device: Where it runs.
        dtype: In which numbers.
        also: What a family feeds beside x, times and words: ``added_cond_kwargs`` for rows.
        halves: What lets its first layers compute equal rows once, where that is worth something.
    """

    network: UNet2DConditionModel
    schedule: Schedule
    device: torch.device
    dtype: torch.dtype
    also: Callable[[Sequence[Row]], dict[str, Tensor]] | None = None
    halves: Halves | None = None

    @property
    def prediction(self) -> Prediction:
        """What the network predicts."""
        return self.schedule.prediction

    @torch.inference_mode()
    def __call__(self, rows: Sequence[Row]) -> list[Tensor]:
        """One network call for all rows that fit into one; estimates [C, h, w] float32 on the CPU."""
        words = [embedded(row).hidden for row in rows]
        groups = share_a_call(words)
        if len(groups) > 1:
            return in_groups(self, rows, groups)
        x = fed(torch.stack([row.x for row in rows]), self.device, self.dtype)
        # float32 all the way: bf16 cannot tell 600 from 602.
        times = torch.tensor(
            [self.schedule.time(row.level) for row in rows], dtype=torch.float32, device=self.device
        )
        with attention.fastest(self.device), self.halves.of(rows) if self.halves else nullcontext():
            output = self.network(
                x,
                times,
                stacked(words).to(self.device, self.dtype),
                timestep_cond=self._guidance_embedding(rows),
                added_cond_kwargs=self._also(rows),
                return_dict=False,
            )[0]
        estimates = cast("Tensor", output).float().cpu()
        return [
            to_x0(self.prediction, row.x, row.level, one)
            for row, one in zip(rows, estimates, strict=True)
        ]

    def _also(self, rows: Sequence[Row]) -> dict[str, Tensor] | None:
        if self.also is None:
            return None
        return {name: value.to(self.device, self.dtype) for name, value in self.also(rows).items()}

    def _guidance_embedding(self, rows: Sequence[Row]) -> Tensor | None:
        channels = self.network.config["time_cond_proj_dim"]
        if channels is None:
            return None
        features = guidance_features([row.guidance.scale for row in rows], channels)
        return features.to(self.device, self.dtype)


def guidance_features(scales: Sequence[float], channels: int) -> Tensor:
    """Fourier features [B, channels] of guidance scales, for networks that take them as an input.

    Luo et al. 2023 (LCM), section 4.2; as in its reference code the features are of
    ``1000 * (scale - 1)``.
    """
    half = channels // 2
    # In this order of operations: angles of thousands show every rounding.
    rates = torch.exp(torch.arange(half, dtype=torch.float32) * -(math.log(10000.0) / (half - 1)))
    amounts = 1000.0 * (torch.tensor(scales, dtype=torch.float32) - 1.0)
    angles = amounts[:, None] * rates
    features = torch.cat([angles.sin(), angles.cos()], dim=1)
    return torch.nn.functional.pad(features, (0, channels % 2))


@dataclass(frozen=True, slots=True, eq=False)
class Words:
    """Prompts to embeddings through one text encoder or several."""

    clip: ClipWords

    def encode(
        self, text: str, *, negative: bool = False, clip_skip: int = 0
    ) -> tuple[Prompt, tuple[Notice, ...]]:
        """The embedding [1, tokens, C] float32, and a notice where words did not fit."""
        made, notices = self.clip.encode(text, clip_skip=clip_skip)
        return Prompt(Embedded(made.words, negative=negative)), notices


def open_denoiser(
    checkpoint: Checkpoint, *, device: torch.device, dtype: torch.dtype
) -> UNetDenoiser:
    """Its UNet."""
    unet = open_unet(checkpoint, device=device, dtype=dtype)
    return UNetDenoiser(unet, checkpoint.schedule, device, dtype, halves=halved(unet))


def open_words(checkpoint: Checkpoint) -> Words:
    """Its CLIP."""
    text = open_text_model(CLIPTextModel, checkpoint, "text_encoder")
    own = checkpoint.defaults
    return Words(ClipWords((text,), longest_chunks=own.longest_chunks, vocabulary=own.vocabulary))


def open_text_model(kind: Any, checkpoint: Checkpoint, role: str) -> TextModel:
    """The text encoder of that role with its tokenizer, in float32."""
    words = role.replace("text_encoder", "tokenizer")
    return TextModel(
        opened_tokenizer(CLIPTokenizer, checkpoint, words),
        opened(kind, checkpoint, role, torch.float32),
    )


def open_unet(
    checkpoint: Checkpoint, *, device: torch.device, dtype: torch.dtype
) -> UNet2DConditionModel:
    """The UNet, channels last."""
    unet = opened(UNet2DConditionModel, checkpoint, "unet", dtype)
    return placed(unet.to(memory_format=torch.channels_last), device)
