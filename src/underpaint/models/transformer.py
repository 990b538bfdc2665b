"""What the denoisers of rectified-flow transformers (SD3, FLUX and their kin) have in common."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from underpaint.denoiser import Row, to_x0
from underpaint.levels import Prediction, Schedule
from underpaint.models import attention
from underpaint.models.embedded import in_groups, lengths_of

Feed = Callable[[Tensor, Tensor, Sequence[Row]], Mapping[str, Any]]
"""Latents [B, C, h, w], times [B] (0 to 1000 of a flow's sigma) and rows to a network's arguments."""


@dataclass(slots=True, eq=False)
class ExactTimes:
    """Hands a network's embedding of time what it was fed, and not what it was rounded to.

    Most of diffusers' networks round times to the numbers that they compute in before they multiply
    by 1000, and bf16 cannot tell .600 from .602. A ``Feed`` says here what the embedding is to see.

    Attributes:
        told: The embedding's first arguments, float32.
    """

    told: tuple[Tensor, ...] = ()

    def attach(self, embedding: Any) -> "ExactTimes":
        """Itself, heard by ``embedding`` from now on."""
        embedding.register_forward_pre_hook(self._before)
        return self

    def _before(self, _: object, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        return (*self.told, *arguments[len(self.told) :])


@dataclass(frozen=True, slots=True, eq=False)
class TransformerDenoiser:
    """x0 estimates from one call of a diffusers transformer (``denoiser.Denoiser``).

    A family says how its network is fed and how its output becomes latents again; device, numbers,
    times and what the prediction means are here.

    Attributes:
        network: The transformer.
        schedule: Its levels.
        device: Where it runs.
        dtype: In which numbers; times stay in float32, since bf16 cannot tell 600 from 602.
        feed: The network's arguments for a batch; tensors in them are brought to where it runs.
        unpack: The output and the latents' height and width to [B, C, h, w].
    """

    network: Any
    schedule: Schedule
    device: torch.device
    dtype: torch.dtype
    feed: Feed
    unpack: Callable[[Tensor, int, int], Tensor]

    @property
    def prediction(self) -> Prediction:
        """What the network predicts."""
        return self.schedule.prediction

    @torch.inference_mode()
    def __call__(self, rows: Sequence[Row]) -> list[Tensor]:
        """One network call for all rows; estimates [C, h, w] float32 on the CPU."""
        lengths = lengths_of(rows)
        if len(set(lengths)) > 1:
            groups = [[i for i, n in enumerate(lengths) if n == one] for one in set(lengths)]
            return in_groups(self, rows, groups)
        x = torch.stack([row.x for row in rows])
        times = torch.tensor(
            [self.schedule.time(row.level) for row in rows], dtype=torch.float32, device=self.device
        )
        arguments = {name: self._placed(value) for name, value in self.feed(x, times, rows).items()}
        with attention.fastest(self.device):
            made = self.network(**arguments, return_dict=False)[0]
        pictures = cast("list[Tensor]", made)  # a list of them, or a batch already
        output = torch.stack(pictures) if isinstance(made, list) else cast("Tensor", made)
        estimates = self.unpack(output.float().cpu(), x.shape[-2], x.shape[-1])
        return [
            to_x0(self.prediction, row.x, row.level, one)
            for row, one in zip(rows, estimates, strict=True)
        ]

    def _placed(self, value: Any) -> Any:
        """On the device; what was made in float64 is a time or a place, and stays in float32."""
        if isinstance(value, list):
            return [self._placed(one) for one in cast("list[Any]", value)]
        if not isinstance(value, Tensor):
            return value
        exact = value.dtype == torch.float64
        return value.to(self.device, torch.float32 if exact else self.dtype)


def packed(x: Tensor) -> Tensor:
    """Latents [B, C, h, w] as tokens [B, (h/2)·(w/2), 4·C], each a 2x2 patch, channel by channel."""
    batch, channels, height, width = x.shape
    patches = x.reshape(batch, channels, height // 2, 2, width // 2, 2)
    return patches.permute(0, 2, 4, 1, 3, 5).reshape(
        batch, (height // 2) * (width // 2), 4 * channels
    )


def unpacked(tokens: Tensor, height: int, width: int) -> Tensor:
    """The inverse of ``packed`` for latents of that height and width."""
    batch, _, depth = tokens.shape
    patches = tokens.reshape(batch, height // 2, width // 2, depth // 4, 2, 2)
    return patches.permute(0, 3, 1, 4, 2, 5).reshape(batch, depth // 4, height, width)


def places(height: int, width: int) -> Tensor:
    """Ids [h·w, 3] float64 of tokens in a picture: 0, row, column (FLUX's rotary positions)."""
    rows, columns = torch.meshgrid(
        torch.arange(height, dtype=torch.float64),
        torch.arange(width, dtype=torch.float64),
        indexing="ij",
    )
    return torch.stack([torch.zeros_like(rows), rows, columns], dim=-1).reshape(-1, 3)
