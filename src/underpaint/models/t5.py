"""T5's hidden states, for the families that read prompts through it."""

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from transformers import T5TokenizerFast  # pyright: ignore[reportUnknownVariableType, reportAttributeAccessIssue]  an alias
from transformers.models.t5.modeling_t5 import T5EncoderModel

from underpaint.errors import Notice
from underpaint.models.catalog import Checkpoint
from underpaint.models.loading import opened, opened_tokenizer


@dataclass(frozen=True, slots=True, eq=False)
class LongReader:
    """T5 with its tokenizer, which reads ``longest`` tokens of a prompt."""

    tokenizer: Any
    network: T5EncoderModel
    longest: int

    @torch.inference_mode()
    def encode(self, text: str) -> tuple[Tensor, tuple[Notice, ...]]:
        """Hidden states [1, longest, C], and a notice where words did not fit."""
        ids = self.tokenizer(
            text,
            padding="max_length",
            max_length=self.longest,
            truncation=True,
            add_special_tokens=True,
            return_tensors="pt",
        )["input_ids"]
        every = cast(
            "list[int]", self.tokenizer(text, truncation=False, verbose=False)["input_ids"]
        )
        hidden = cast("Tensor", self.network(ids)[0])
        if len(every) <= self.longest:
            return hidden, ()
        lost = str(self.tokenizer.decode(every[self.longest - 1 : -1])).strip()
        message = (
            f"the model reads {self.longest - 1} tokens of a prompt; left out: {lost[:120]!r}; "
            "shorten it, or put what matters first"
        )
        return hidden, (Notice("prompt-truncated", message),)


def open_long_reader(checkpoint: Checkpoint, number: int, *, longest: int) -> LongReader:
    """The checkpoint's T5, which is its text encoder of that number; in float32."""
    return LongReader(
        opened_tokenizer(cast("Any", T5TokenizerFast), checkpoint, f"tokenizer_{number}"),
        opened(T5EncoderModel, checkpoint, f"text_encoder_{number}", torch.float32),
        longest,
    )
