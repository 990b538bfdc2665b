"""The Stable Diffusion family: a UNet, an autoencoder, one CLIP text encoder; Gesso is one of them.

The networks are diffusers' and transformers'. What is here is how they are fed.
"""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.utils import logging as diffusers_logging
from safetensors import SafetensorError
from torch import Tensor
from transformers.models.clip.modeling_clip import CLIPTextModel
from transformers.models.clip.tokenization_clip import CLIPTokenizer
from transformers.utils import logging as transformers_logging

from underpaint.denoiser import Prompt, Row, to_x0
from underpaint.errors import ModelError, Notice
from underpaint.levels import Prediction, Schedule
from underpaint.models.catalog import Checkpoint


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
        x = _fed(picture[None], self.device, self.dtype)
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
        picture = cast("Any", self.network).decode(_fed(z, self.device, self.dtype)).sample
        return cast("Tensor", picture)[0].float().clamp(-1, 1).cpu()


@dataclass(frozen=True, slots=True, eq=False)
class UNetDenoiser:
    """x0 estimates from a diffusers UNet (``denoiser.Denoiser``)."""

    network: UNet2DConditionModel
    schedule: Schedule
    device: torch.device
    dtype: torch.dtype

    @property
    def prediction(self) -> Prediction:
        """What the network predicts."""
        return self.schedule.prediction

    @torch.inference_mode()
    def __call__(self, rows: Sequence[Row]) -> list[Tensor]:
        """One network call for all rows; estimates [C, h, w] float32 on the CPU."""
        x = _fed(torch.stack([row.x for row in rows]), self.device, self.dtype)
        # float32 all the way: bf16 cannot tell 600 from 602.
        times = torch.tensor(
            [self.schedule.time(row.level) for row in rows], dtype=torch.float32, device=self.device
        )
        words = torch.cat([cast("Tensor", row.prompt) for row in rows]).to(self.device, self.dtype)
        output = cast("Tensor", self.network(x, times, words, return_dict=False)[0]).float().cpu()
        return [
            to_x0(self.prediction, row.x, row.level, one)
            for row, one in zip(rows, output, strict=True)
        ]


@dataclass(frozen=True, slots=True, eq=False)
class Words:
    """Prompts to embeddings through CLIP's tokenizer and text model."""

    tokenizer: CLIPTokenizer
    network: CLIPTextModel

    @torch.inference_mode()
    def encode(self, text: str) -> tuple[Prompt, tuple[Notice, ...]]:
        """The embedding [1, tokens, C] float32, and a notice where words did not fit."""
        tokenizer = cast("Any", self.tokenizer)
        longest = int(tokenizer.model_max_length)
        every = cast("list[int]", tokenizer(text, truncation=False, verbose=False)["input_ids"])
        ids = tokenizer(
            text, padding="max_length", max_length=longest, truncation=True, return_tensors="pt"
        )["input_ids"]
        hidden = cast("Tensor", self.network(ids)[0])
        if len(every) <= longest:
            return Prompt(hidden), ()
        lost = str(tokenizer.decode(every[longest - 1 : -1])).strip()
        message = (
            f"the model reads {longest - 2} tokens of a prompt; left out: {lost[:120]!r}; "
            "shorten it, or put what matters first"
        )
        return Prompt(hidden), (Notice("prompt-truncated", message),)


@dataclass(frozen=True, slots=True, eq=False)
class StableDiffusion:
    """A loaded model of this family.

    Attributes:
        codec: Its autoencoder.
        denoiser: Its UNet, not yet guided.
        words: Its text encoder.
    """

    codec: Autoencoder
    denoiser: UNetDenoiser
    words: Words


def load(checkpoint: Checkpoint, *, device: torch.device, dtype: torch.dtype) -> StableDiffusion:
    """The checkpoint's networks on ``device`` in ``dtype``; the text encoder stays in float32.

    Raises:
        ModelError: weights are missing, are no safetensors, or do not fit their config.
    """
    folder = checkpoint.folder
    vae_class = {"AutoencoderKL": AutoencoderKL, "AutoencoderTiny": AutoencoderTiny}[
        checkpoint.classes["vae"]
    ]
    with _without_chatter(), _refusals(checkpoint):
        unet = _opened(UNet2DConditionModel, folder / "unet", torch_dtype=dtype)
        vae = _opened(vae_class, folder / "vae", torch_dtype=dtype)
        text = _opened(CLIPTextModel, folder / "text_encoder", dtype=torch.float32)
        tokenizer = cast("Any", CLIPTokenizer).from_pretrained(
            folder / "tokenizer", local_files_only=True
        )
    for network in (unet, vae):
        network.to(device=device, memory_format=torch.channels_last)
    return StableDiffusion(
        codec=Autoencoder(
            network=vae,
            device=device,
            dtype=dtype,
            scale=float(vae.config.scaling_factor),
            shift=float(getattr(vae.config, "shift_factor", None) or 0.0),
        ),
        denoiser=UNetDenoiser(unet, checkpoint.schedule, device, dtype),
        words=Words(tokenizer, text),
    )


def _opened(kind: Any, folder: Path, **dtype: torch.dtype) -> Any:
    """The network in that folder, ready for inference; every weight comes from the file."""
    network, report = kind.from_pretrained(
        folder, use_safetensors=True, local_files_only=True, output_loading_info=True, **dtype
    )
    if missing := sorted(report["missing_keys"]):
        raise ValueError(f"{folder.name} has no weights for {missing[0]} ({len(missing)} missing)")
    return network.eval().requires_grad_(requires_grad=False)


@contextmanager
def _refusals(checkpoint: Checkpoint) -> Generator[None]:
    """Turns what the libraries raise about a checkpoint into one sentence."""
    try:
        yield
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, SafetensorError) as problem:
        first_line = (str(problem).strip() or type(problem).__name__).splitlines()[0]
        raise ModelError(
            f"the model {checkpoint.name} cannot be opened: {first_line[:200]}; fetch it anew"
        ) from problem


@contextmanager
def _without_chatter() -> Generator[None]:
    """Keeps the libraries' progress bars and advice off standard error while they load."""
    voices = (diffusers_logging, transformers_logging)
    levels = [voice.get_verbosity() for voice in voices]
    bars = transformers_logging.is_progress_bar_enabled()
    for voice in voices:
        voice.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        for voice, level in zip(voices, levels, strict=True):
            voice.set_verbosity(level)
        if bars:
            transformers_logging.enable_progress_bar()


def _fed(x: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
    return x.to(device, dtype).contiguous(memory_format=torch.channels_last)
