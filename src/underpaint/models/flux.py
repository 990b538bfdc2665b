"""The FLUX.1 family: a transformer over packed latents that reads T5 and CLIP's pooled vector.

Black Forest Labs, github.com/black-forest-labs/flux: 2x2 cells are one token, places are three ids
for rotary positions, and ``dev`` is told its guidance scale instead of being asked twice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from diffusers.models.transformers.transformer_flux import FluxTransformer2DModel
from torch import Tensor
from transformers.models.clip.modeling_clip import CLIPTextModel
from transformers.models.clip.tokenization_clip import CLIPTokenizer

from underpaint.denoiser import Prompt, Row
from underpaint.errors import Notice
from underpaint.models.catalog import Checkpoint
from underpaint.models.embedded import Embedded, check_no_clip_skip, hidden_of, pooled_of
from underpaint.models.loading import opened, opened_tokenizer, placed
from underpaint.models.t5 import LongReader, open_long_reader
from underpaint.models.transformer import (
    ExactTimes,
    TransformerDenoiser,
    packed,
    places,
    unpacked,
)

T5_TOKENS = {True: 512, False: 256}  # with a guidance embedding (dev), without (schnell)


@dataclass(frozen=True, slots=True, eq=False)
class Words:
    """Prompts to embeddings: T5's states, CLIP's pooled vector."""

    tokenizer: CLIPTokenizer
    clip: CLIPTextModel
    long_reader: LongReader

    @torch.inference_mode()
    def encode(
        self, text: str, *, negative: bool = False, clip_skip: int = 0
    ) -> tuple[Prompt, tuple[Notice, ...]]:
        """Hidden states [1, tokens, C] and the pooled vector [1, P], float32.

        Brackets are text here: T5 was taught on sentences.
        """
        check_no_clip_skip(clip_skip, "FLUX, which reads T5")
        ids = cast("Any", self.tokenizer)(
            text,
            padding="max_length",
            max_length=self.tokenizer.model_max_length,
            truncation=True,
            return_tensors="pt",
        )["input_ids"]
        pooled = self.clip(ids).pooler_output
        hidden, notices = self.long_reader.encode(text)
        return Prompt(Embedded(hidden, pooled, negative)), notices


@dataclass(frozen=True, slots=True, eq=False)
class Feed:
    """The transformer's arguments, and its times and scales exactly."""

    embeds_guidance: bool
    exact: ExactTimes

    def __call__(
        self, x: Tensor, times: Tensor, rows: Sequence[Row]
    ) -> Mapping[str, Tensor | None]:
        """Tokens, times in 0 to 1, words, and where all of them are."""
        hidden = hidden_of(rows)
        scales = torch.tensor([row.guidance.scale for row in rows], device=times.device)
        self.exact.told = (times, 1000 * scales) if self.embeds_guidance else (times,)
        return {
            "hidden_states": packed(x),
            "timestep": times / 1000,
            "guidance": scales if self.embeds_guidance else None,
            "encoder_hidden_states": hidden,
            "pooled_projections": pooled_of(rows),
            "img_ids": places(x.shape[-2] // 2, x.shape[-1] // 2),
            "txt_ids": torch.zeros(hidden.shape[1], 3, dtype=torch.float64),
        }


def open_denoiser(
    checkpoint: Checkpoint, *, device: torch.device, dtype: torch.dtype
) -> TransformerDenoiser:
    """Its transformer."""
    transformer = placed(opened(FluxTransformer2DModel, checkpoint, "transformer", dtype), device)
    feed = Feed(checkpoint.embeds_guidance, ExactTimes().attach(transformer.time_text_embed))
    return TransformerDenoiser(transformer, checkpoint.schedule, device, dtype, feed, unpacked)


def open_words(checkpoint: Checkpoint) -> Words:
    """Its CLIP, read as one vector, and T5."""
    return Words(
        opened_tokenizer(CLIPTokenizer, checkpoint, "tokenizer"),
        opened(CLIPTextModel, checkpoint, "text_encoder", torch.float32),
        open_long_reader(checkpoint, 2, longest=T5_TOKENS[checkpoint.embeds_guidance]),
    )
