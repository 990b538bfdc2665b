"""T5's hidden states, for the families that read prompts through it."""

import importlib.util
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from transformers import T5TokenizerFast  # pyright: ignore[reportUnknownVariableType, reportAttributeAccessIssue]  an alias
from transformers.models.t5.modeling_t5 import T5EncoderModel

from underpaint.errors import ModelError, Notice
from underpaint.models.catalog import Checkpoint
from underpaint.models.embedded import prompt_truncated
from underpaint.models.loading import opened, opened_tokenizer
from underpaint.models.upcast import in_float32


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
        return cast("Tensor", self.network(ids)[0]), _left_out(self.tokenizer, text, self.longest)


@dataclass(frozen=True, slots=True, eq=False)
class MaskedReader:
    """T5 as Chroma's makers mask it: words see words alone, and one pad after them is handed on.

    They pad prompts to ``longest`` tokens and let nothing look at the other pads, here or in the
    transformer. Text has no places there, so leaving these out is the same, and shorter.
    """

    tokenizer: Any
    network: T5EncoderModel
    longest: int

    @torch.inference_mode()
    def encode(self, text: str) -> tuple[Tensor, tuple[Notice, ...]]:
        """Hidden states [1, tokens + 1, C], and a notice where words did not fit."""
        words = cast(
            "list[int]",
            self.tokenizer(text, max_length=self.longest, truncation=True)["input_ids"],
        )
        pads = [int(self.tokenizer.pad_token_id)] * (len(words) < self.longest)
        seen = torch.tensor([[1] * len(words) + [0] * len(pads)])
        hidden = self.network(torch.tensor([words + pads]), attention_mask=seen)[0]
        return cast("Tensor", hidden), _left_out(self.tokenizer, text, self.longest)


def _left_out(tokenizer: Any, text: str, longest: int) -> tuple[Notice, ...]:
    every = cast("list[int]", tokenizer(text, truncation=False, verbose=False)["input_ids"])
    if len(every) <= longest:
        return ()
    return (prompt_truncated(longest - 1, str(tokenizer.decode(every[longest - 1 : -1]))),)


def open_long_reader(checkpoint: Checkpoint, number: int, *, longest: int) -> LongReader:
    """The checkpoint's T5, which is its text encoder of that number; in float32."""
    return LongReader(*_opened(checkpoint, f"_{number}"), longest)


def open_masked_reader(checkpoint: Checkpoint, *, longest: int) -> MaskedReader:
    """The checkpoint's only text encoder; in float32."""
    return MaskedReader(*_opened(checkpoint, ""), longest)


def _opened(checkpoint: Checkpoint, number: str) -> tuple[Any, T5EncoderModel]:
    folder = checkpoint.part(f"tokenizer{number}").config
    if (folder / "spiece.model").is_file() and not (folder / "tokenizer.json").is_file():
        _check_reader(checkpoint.name)
    return (
        opened_tokenizer(cast("Any", T5TokenizerFast), checkpoint, f"tokenizer{number}"),
        in_float32(opened(T5EncoderModel, checkpoint, f"text_encoder{number}", "auto")),
    )


def _check_reader(name: str) -> None:
    """Refuses a vocabulary in Google's own format where nothing here reads it."""
    if any(
        importlib.util.find_spec(package) is None
        for package in ("sentencepiece", "google.protobuf")
    ):
        raise ModelError(
            f"the model {name} has T5's vocabulary as spiece.model, and the packages that read it are not "
            "here; pip install sentencepiece protobuf, or put T5's tokenizer.json beside it"
        )
