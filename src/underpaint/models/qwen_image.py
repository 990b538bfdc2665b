"""The Qwen-Image family: a joint transformer over packed latents that reads Qwen2.5-VL.

Wu et al. 2025 (Qwen-Image), github.com/QwenLM/Qwen-Image: the language model is asked to describe
a picture, and what it makes of that request is left out; words lie on the diagonal of the picture's
places, so prompts are as long as they are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from diffusers.models.transformers.transformer_qwenimage import QwenImageTransformer2DModel
from torch import Tensor
from transformers import Qwen2Tokenizer  # pyright: ignore[reportUnknownVariableType, reportAttributeAccessIssue]  an alias
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLForConditionalGeneration

from underpaint.denoiser import Row
from underpaint.models.catalog import Checkpoint
from underpaint.models.embedded import Sentences, hidden_of
from underpaint.models.language_model import LanguageModel
from underpaint.models.loading import opened, opened_tokenizer, placed
from underpaint.models.transformer import ExactTimes, TransformerDenoiser, packed, unpacked
from underpaint.models.upcast import in_float32

TOKENS = 1024  # of a prompt and what follows it, at most, as its makers say
# Their template, and how many tokens stand before the prompt in Qwen's vocabulary.
BEFORE = (
    "<|im_start|>system\nDescribe the image by detailing the color, shape, size, texture, quantity, "
    "text, spatial relationships of the objects and background:<|im_end|>\n<|im_start|>user\n"
)
AFTER = "<|im_end|>\n<|im_start|>assistant\n"
BEFORE_TOKENS = 34


@dataclass(frozen=True, slots=True, eq=False)
class Feed:
    """The transformer's arguments, and its times exactly."""

    exact: ExactTimes

    def __call__(self, x: Tensor, times: Tensor, rows: Sequence[Row]) -> Mapping[str, Any]:
        """Tokens, times in 0 to 1, words, and each picture's frames, rows and columns of tokens."""
        self.exact.told = (times / 1000,)
        return {
            "hidden_states": packed(x),
            "timestep": times / 1000,
            "encoder_hidden_states": hidden_of(rows),
            "img_shapes": [[(1, x.shape[-2] // 2, x.shape[-1] // 2)]] * len(rows),
        }


def open_denoiser(
    checkpoint: Checkpoint, *, device: torch.device, dtype: torch.dtype
) -> TransformerDenoiser:
    """Its transformer."""
    transformer = placed(
        opened(QwenImageTransformer2DModel, checkpoint, "transformer", dtype), device
    )
    feed = Feed(ExactTimes().attach(transformer.time_text_embed))
    return TransformerDenoiser(transformer, checkpoint.schedule, device, dtype, feed, unpacked)


def open_words(checkpoint: Checkpoint) -> Sentences:
    """Its language model; what that sees with, and its head, are not kept."""
    whole = opened(Qwen2_5_VLForConditionalGeneration, checkpoint, "text_encoder", "auto")
    reader = LanguageModel(
        opened_tokenizer(cast("Any", Qwen2Tokenizer), checkpoint, "tokenizer"),
        in_float32(whole.model.language_model),
        BEFORE,
        AFTER,
        longest=TOKENS,
        dropped=BEFORE_TOKENS,
        layer=-1,
    )
    return Sentences(reader, "Qwen-Image, which reads Qwen2.5-VL")
