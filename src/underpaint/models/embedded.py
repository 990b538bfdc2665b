"""What text encoders hand to a denoiser, and how rows of one call are put together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from underpaint.denoiser import Denoiser, Row


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
