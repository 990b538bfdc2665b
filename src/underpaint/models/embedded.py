"""What text encoders hand to a denoiser, and how rows of one call are put together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import torch
from torch import Tensor

from underpaint.denoiser import Denoiser, Prompt, Row
from underpaint.errors import Notice, RequestError


@dataclass(frozen=True, slots=True, eq=False)
class Embedded:
    """A prompt as a network reads it.

    Attributes:
        hidden: [1, tokens, C] float32, for cross or joint attention.
        pooled: [1, P] float32, for networks that also take the text as one vector.
        negative: Whether it is steered away from.
    """

    hidden: Tensor
    pooled: Tensor | None = None
    negative: bool = False


class Reader(Protocol):
    """A text encoder of sentences."""

    def encode(self, text: str) -> tuple[Tensor, tuple[Notice, ...]]:
        """Hidden states [1, tokens, C], and what to say about the text."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Sentences:
    """Prompts to embeddings through one reader of sentences, where brackets are text.

    Attributes:
        reader: The text encoder.
        family: Who reads what, for a message: ``Chroma, which reads T5``.
    """

    reader: Reader
    family: str

    @torch.inference_mode()
    def encode(
        self, text: str, *, negative: bool = False, clip_skip: int = 0
    ) -> tuple[Prompt, tuple[Notice, ...]]:
        """Hidden states [1, tokens, C] float32, and a notice where words did not fit."""
        check_no_clip_skip(clip_skip, self.family)
        hidden, notices = self.reader.encode(text)
        return Prompt(Embedded(hidden.float(), negative=negative)), notices


def prompt_truncated(longest: int, lost: str) -> Notice:
    """What to say where a reader of ``longest`` tokens did not get to ``lost``."""
    return Notice(
        "prompt-truncated",
        f"the model reads {longest} tokens of a prompt; left out: {lost.strip()[:120]!r}; shorten it, "
        "or put what matters first",
    )


def check_no_clip_skip(clip_skip: int, family: str) -> None:
    """Refuses what means nothing to a family whose text encoder is not CLIP.

    Raises:
        RequestError: it was asked for.
    """
    if clip_skip:
        raise RequestError(
            f"clip_skip is for models that read CLIP's hidden states, got {clip_skip} with {family}; "
            "leave it out"
        )


def embedded(row: Row) -> Embedded:
    """The row's prompt; only this package makes one."""
    return cast("Embedded", row.prompt)


def lengths_of(rows: Sequence[Row]) -> list[int]:
    """How many tokens each row's prompt has."""
    return [embedded(row).hidden.shape[1] for row in rows]


def in_groups(
    denoiser: Denoiser, rows: Sequence[Row], groups: Sequence[Sequence[int]]
) -> list[Tensor]:
    """The estimates of rows that cannot share one call, a call a group; in the rows' order."""
    answers: dict[int, Tensor] = {}
    for group in groups:
        answers.update(zip(group, denoiser([rows[i] for i in group]), strict=True))
    return [answers[i] for i in range(len(rows))]


def hidden_of(rows: Sequence[Row]) -> Tensor:
    """[B, tokens, C]: what each row's prompt says; all of one length."""
    return torch.cat([embedded(row).hidden for row in rows])


def pooled_of(rows: Sequence[Row]) -> Tensor:
    """[B, P]: what each row's prompt says as one vector.

    Raises:
        ValueError: a prompt was made without one.
    """
    vectors = [embedded(row).pooled for row in rows]
    return torch.cat([vector for vector in vectors if vector is not None])
