"""The Stable Diffusion family: a UNet, an autoencoder, one CLIP text encoder; Gesso is one of them.

The networks are diffusers' and transformers'. What is here is how they are fed.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor
from transformers.models.clip.modeling_clip import CLIPTextModel
from transformers.models.clip.tokenization_clip import CLIPTokenizer

from underpaint.denoiser import Prompt, Row, to_x0
from underpaint.errors import Notice
from underpaint.levels import Prediction, Schedule
from underpaint.models.catalog import Checkpoint
from underpaint.models.embedded import Embedded, hidden_of
from underpaint.models.loading import Model, fed, opened, opened_tokenizer


@dataclass(frozen=True, slots=True, eq=False)
class Autoencoder:
    """Pictures to latents and back through a diffusers autoencoder (``codec.Codec``)."""

    network: AutoencoderKL | AutoencoderTiny
    device: torch.device
    dtype: torch.dtype
    scale: float
    shift: float

    @torch.inference_mode()
    def encode(self, picture: Tensor) -> Tensor:
        """Latents [C, h, w] float32 on the CPU, of a picture [3, H, W] in -1…1."""
        x = fed(picture[None], self.device, self.dtype)
        match self.network:
            case AutoencoderTiny():
                latents = cast("Tensor", cast("Any", self.network.encode(x)).latents)
            case _:
                latents = cast("Tensor", cast("Any", self.network.encode(x)).latent_dist.mode())
        return ((latents.float() - self.shift) * self.scale)[0].cpu()

    @torch.inference_mode()
    def decode(self, latents: Tensor) -> Tensor:
        """The picture [3, H, W] float32 on the CPU in -1…1."""
        z = latents[None].to(self.device) / self.scale + self.shift
        picture = cast("Any", self.network).decode(fed(z, self.device, self.dtype)).sample
        return cast("Tensor", picture)[0].float().clamp(-1, 1).cpu()


@dataclass(frozen=True, slots=True, eq=False)
class UNetDenoiser:
    """x0 estimates from a diffusers UNet (``denoiser.Denoiser``).

    Attributes:
        network: The UNet.
        schedule: Its levels.
        device: Where it runs.
        dtype: In which numbers.
        also: What a family feeds beside x, times and words: ``added_cond_kwargs`` for rows.
    """

    network: UNet2DConditionModel
    schedule: Schedule
    device: torch.device
    dtype: torch.dtype
    also: Callable[[Sequence[Row]], dict[str, Tensor]] | None = None

    @property
    def prediction(self) -> Prediction:
        """What the network predicts."""
        return self.schedule.prediction

    @torch.inference_mode()
    def __call__(self, rows: Sequence[Row]) -> list[Tensor]:
        """One network call for all rows; estimates [C, h, w] float32 on the CPU."""
        x = fed(torch.stack([row.x for row in rows]), self.device, self.dtype)
        # float32 all the way: bf16 cannot tell 600 from 602.
        times = torch.tensor(
            [self.schedule.time(row.level) for row in rows], dtype=torch.float32, device=self.device
        )
        output = self.network(
            x,
            times,
            hidden_of(rows).to(self.device, self.dtype),
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
    """Prompts to embeddings through CLIP's tokenizer and text model."""

    tokenizer: CLIPTokenizer
    network: CLIPTextModel

    @torch.inference_mode()
    def encode(self, text: str, *, negative: bool = False) -> tuple[Prompt, tuple[Notice, ...]]:
        """The embedding [1, tokens, C] float32, and a notice where words did not fit."""
        tokenizer = cast("Any", self.tokenizer)
        longest = int(tokenizer.model_max_length)
        every = cast("list[int]", tokenizer(text, truncation=False, verbose=False)["input_ids"])
        ids = tokenizer(
            text, padding="max_length", max_length=longest, truncation=True, return_tensors="pt"
        )["input_ids"]
        hidden = cast("Tensor", self.network(ids)[0])
        if len(every) <= longest:
            return Prompt(Embedded(hidden, negative=negative)), ()
        lost = str(tokenizer.decode(every[longest - 1 : -1])).strip()
        message = (
            f"the model reads {longest - 2} tokens of a prompt; left out: {lost[:120]!r}; "
            "shorten it, or put what matters first"
        )
        return Prompt(Embedded(hidden, negative=negative)), (Notice("prompt-truncated", message),)


def load(checkpoint: Checkpoint, *, device: torch.device, dtype: torch.dtype) -> Model:
    """The checkpoint's networks on ``device`` in ``dtype``; the text encoder stays in float32."""
    tokenizer = opened_tokenizer(CLIPTokenizer, checkpoint, "tokenizer")
    text = opened(CLIPTextModel, checkpoint, "text_encoder", torch.float32)
    return Model(
        codec=open_autoencoder(checkpoint, device=device, dtype=dtype),
        denoiser=UNetDenoiser(
            open_unet(checkpoint, device=device, dtype=dtype), checkpoint.schedule, device, dtype
        ),
        words=Words(tokenizer, text),
    )


def open_unet(
    checkpoint: Checkpoint, *, device: torch.device, dtype: torch.dtype
) -> UNet2DConditionModel:
    """The UNet, channels last."""
    unet = opened(UNet2DConditionModel, checkpoint, "unet", dtype)
    return unet.to(device=device, memory_format=torch.channels_last)


def open_autoencoder(
    checkpoint: Checkpoint, *, device: torch.device, dtype: torch.dtype
) -> Autoencoder:
    """The autoencoder with the scale and shift that its config says."""
    kinds = {"AutoencoderKL": AutoencoderKL, "AutoencoderTiny": AutoencoderTiny}
    vae = opened(kinds[checkpoint.classes["vae"]], checkpoint, "vae", dtype)
    return Autoencoder(
        network=vae.to(device=device, memory_format=torch.channels_last),
        device=device,
        dtype=dtype,
        scale=float(vae.config.scaling_factor),
        shift=float(getattr(vae.config, "shift_factor", None) or 0.0),
    )
