"""The Z-Image family: one stream of picture and words, read by a Qwen3 language model.

Tongyi-MAI, github.com/Tongyi-MAI/Z-Image. Its network counts time from noise to picture and predicts
the way to the picture, so it is told ``1 - sigma`` and its output is turned round.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from diffusers.models.transformers.transformer_z_image import ZImageTransformer2DModel
from torch import Tensor
from transformers import Qwen2Tokenizer  # pyright: ignore[reportUnknownVariableType, reportAttributeAccessIssue]  an alias
from transformers.models.qwen3.modeling_qwen3 import Qwen3Model

from underpaint.denoiser import Row
from underpaint.models.catalog import Checkpoint
from underpaint.models.embedded import Sentences, hidden_of
from underpaint.models.language_model import LanguageModel
from underpaint.models.loading import opened, opened_tokenizer, placed
from underpaint.models.transformer import TransformerDenoiser
from underpaint.models.upcast import in_float32

TOKENS = 512  # of the template and the prompt, as its makers' inference.py reads them
# Qwen3's chat template for one message, with thinking left to the model.
BEFORE, AFTER = "<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n"


@dataclass(frozen=True, slots=True)
class Feed:
    """The transformer's arguments, for patches of that many cells a side."""

    patch: int

    def __call__(self, x: Tensor, times: Tensor, rows: Sequence[Row]) -> Mapping[str, Any]:
        """Pictures as videos of one frame, how far they are from noise, and words; a list of each."""
        return {
            "x": list(x[:, :, None]),
            "t": 1 - times.cpu().double() / 1000,  # MPS has no float64
            "cap_feats": list(hidden_of(rows)),
            "patch_size": self.patch,
        }


def turned_round(output: Tensor, _height: int, _width: int) -> Tensor:
    """What it predicts [B, C, 1, h, w] as a flow [B, C, h, w] from the picture to noise."""
    return -output[:, :, 0]


def open_denoiser(
    checkpoint: Checkpoint, *, device: torch.device, dtype: torch.dtype
) -> TransformerDenoiser:
    """Its transformer."""
    transformer = placed(opened(ZImageTransformer2DModel, checkpoint, "transformer", dtype), device)
    feed = Feed(int(transformer.config.all_patch_size[0]))
    return TransformerDenoiser(transformer, checkpoint.schedule, device, dtype, feed, turned_round)


def open_words(checkpoint: Checkpoint) -> Sentences:
    """Its language model."""
    reader = LanguageModel(
        opened_tokenizer(cast("Any", Qwen2Tokenizer), checkpoint, "tokenizer"),
        in_float32(opened(Qwen3Model, checkpoint, "text_encoder", "auto")),
        BEFORE,
        AFTER,
        longest=TOKENS,
        dropped=0,
        layer=-2,
    )
    return Sentences(reader, "Z-Image, which reads Qwen3")
