"""The Chroma family: FLUX.1's latents and blocks, read by T5 alone, with guidance in two halves.

Rock, github.com/lodestone-rock/flux and huggingface.co/lodestones/Chroma1-HD: nothing attends to the
pads of a prompt but the first. diffusers adds its mask of ones and zeros to the scores instead
(huggingface/diffusers, issue 12116), so short prompts come out otherwise there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from diffusers.models.transformers.transformer_chroma import ChromaTransformer2DModel
from torch import Tensor

from underpaint.denoiser import Row
from underpaint.models.catalog import Checkpoint
from underpaint.models.embedded import Sentences, hidden_of
from underpaint.models.loading import opened, placed
from underpaint.models.t5 import open_masked_reader
from underpaint.models.transformer import (
    ExactTimes,
    TransformerDenoiser,
    packed,
    places,
    unpacked,
)

T5_TOKENS = 512  # as trained


@dataclass(frozen=True, slots=True, eq=False)
class Feed:
    """The transformer's arguments, and its times exactly."""

    exact: ExactTimes

    def __call__(self, x: Tensor, times: Tensor, rows: Sequence[Row]) -> Mapping[str, Tensor]:
        """Tokens, times in 0 to 1, words, and where all of them are."""
        hidden = hidden_of(rows)
        self.exact.told = (times,)
        return {
            "hidden_states": packed(x),
            "timestep": times / 1000,
            "encoder_hidden_states": hidden,
            "img_ids": places(x.shape[-2] // 2, x.shape[-1] // 2),
            "txt_ids": torch.zeros(hidden.shape[1], 3, dtype=torch.float64),
        }


def _in_numbers(dtype: torch.dtype, _module: object, _told: object, features: Tensor) -> Tensor:
    """Features come in the numbers of the times, and go to a layer in the network's own."""
    return features.to(dtype)


def open_denoiser(
    checkpoint: Checkpoint, *, device: torch.device, dtype: torch.dtype
) -> TransformerDenoiser:
    """Its transformer."""
    transformer = placed(opened(ChromaTransformer2DModel, checkpoint, "transformer", dtype), device)
    times = transformer.time_text_embed
    feed = Feed(ExactTimes().attach(times))
    times.register_forward_hook(partial(_in_numbers, dtype))
    return TransformerDenoiser(transformer, checkpoint.schedule, device, dtype, feed, unpacked)


def open_words(checkpoint: Checkpoint) -> Sentences:
    """Its T5."""
    reader = open_masked_reader(checkpoint, longest=T5_TOKENS)
    return Sentences(reader, "Chroma, which reads T5")
