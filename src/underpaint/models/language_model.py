"""The hidden states of a causal language model, for the families that read prompts through one."""

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from underpaint.errors import Notice
from underpaint.models.embedded import prompt_truncated


@dataclass(frozen=True, slots=True, eq=False)
class LanguageModel:
    """A language model that is given a prompt in a template, as a chat.

    Nothing is padded: what comes later does not change what a causal model makes of what came before.
    The templates of a checkpoint are programs, so the families' own stand in their adapters instead.

    Attributes:
        tokenizer: Its tokenizer.
        network: The model without its head, in whatever numbers it is stored.
        before: What stands before a prompt.
        after: What stands after it.
        longest: The tokens that are handed on, at most.
        dropped: The tokens at the start that are not.
        layer: Which hidden states, counted from the last.
    """

    tokenizer: Any
    network: Any
    before: str
    after: str
    longest: int
    dropped: int
    layer: int

    @torch.inference_mode()
    def encode(self, text: str) -> tuple[Tensor, tuple[Notice, ...]]:
        """Hidden states [1, tokens, C], and a notice where words did not fit."""
        every = self._tokens(f"{self.before}{text}{self.after}")
        most = self.dropped + self.longest
        states = self.network(input_ids=torch.tensor([every[:most]]), output_hidden_states=True)
        hidden = cast("Tensor", states.hidden_states[self.layer])[:, self.dropped :]
        lost = str(self.tokenizer.decode(every[most:]))
        if self.after.endswith(lost):  # no words
            return hidden, ()
        read = most - len(self._tokens(self.before))
        return hidden, (prompt_truncated(read, lost.removesuffix(self.after)),)

    def _tokens(self, text: str) -> list[int]:
        return cast("list[int]", self.tokenizer(text, verbose=False)["input_ids"])
