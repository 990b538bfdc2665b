"""What both halves of a guided evaluation have in common, computed once.

Guidance asks a network about one x at one time with two texts. Up to the first layer that reads the text, both halves
are the same: in Stable Diffusion 1 and 2 a block of convolutions and one self-attention among the largest.
"""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any, cast

import torch
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.unets.unet_2d_blocks import CrossAttnDownBlock2D
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn

from underpaint.denoiser import Row


class Halves:
    """Lets the first layers of a UNet compute equal rows once.

    Attributes:
        twins: For each row that repeats an earlier one, which; those rows are the last of a call.
    """

    def __init__(self) -> None:
        self.twins: tuple[int, ...] = ()
        self._one_call = Lock()

    def __deepcopy__(self, memo: dict[int, Any]) -> "Halves":
        """Another network's own; its hooks are copied with it, and a lock cannot be."""
        memo[id(self)] = made = Halves()
        return made

    @contextmanager
    def of(self, rows: Sequence[Row]) -> Generator[None]:
        """While it is entered, the network is called with these rows, and no other thread calls it."""
        with self._one_call:
            self.twins = twins_of(rows)
            try:
                yield
            finally:
                self.twins = ()

    def first(
        self, _layer: nn.Module, given: tuple[Any, ...], named: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """What a layer is given, without the repetitions."""
        return tuple(map(self._cut, given)), {name: self._cut(one) for name, one in named.items()}

    def both(self, _layer: nn.Module, _given: Any, made: Tensor) -> Tensor:
        """What it made, with them."""
        return torch.cat([made, *(made[i : i + 1] for i in self.twins)]) if self.twins else made

    def _cut(self, one: Any) -> Any:
        return one[: len(one) - len(self.twins)] if isinstance(one, Tensor) else one


def twins_of(rows: Sequence[Row]) -> tuple[int, ...]:
    """For each of the last rows that repeat an earlier one's x and level, which one that is.

    Nothing where a row that does not repeat comes after one that does.
    """
    first: dict[tuple[int, float, float], int] = {}
    twins: list[int] = []
    for i, row in enumerate(rows):
        seen = first.setdefault((id(row.x), row.level.alpha, row.level.sigma), i)
        if seen < i:
            twins.append(seen)
        elif twins:
            return ()
    return tuple(twins)


def halved(network: UNet2DConditionModel) -> Halves | None:
    """The layers of a UNet before the first that reads the text, made to follow a ``Halves``.

    None where there is nothing to gain: where the text, or the scale of guidance, is part of what every layer is
    told, as in SDXL, or where no such layer is in the first block.
    """
    layers = _before_the_text(network)
    if not layers:
        return None
    halves = Halves()
    for layer in layers:
        layer.register_forward_pre_hook(halves.first, with_kwargs=True)
        layer.register_forward_hook(halves.both)
    return halves


def _before_the_text(network: UNet2DConditionModel) -> list[nn.Module]:
    told = ("addition_embed_type", "class_embed_type", "time_cond_proj_dim", "encoder_hid_dim_type")
    begun = network.down_blocks[0]
    if any(network.config[name] for name in told) or not isinstance(begun, CrossAttnDownBlock2D):
        return []
    reader = cast("Any", begun.attentions[0])
    block = reader.transformer_blocks[0]
    if not isinstance(block, BasicTransformerBlock) or block.norm_type != "layer_norm":
        return []
    before = [network.conv_in, begun.resnets[0]]
    if not block.only_cross_attention:  # which makes its first attention a reader too
        before += [reader.norm, reader.proj_in, block.norm1, block.attn1]
    return before
