"""Picture to latents and back, as the core sees it; the networks that do it live in models."""

from collections.abc import Callable
from typing import Protocol, cast

import torch
from torch import Tensor

from underpaint.errors import Notice


class Codec(Protocol):
    """An autoencoder. Pictures are [3, H, W] float32 in -1…1, latents [C, H/f, W/f] float32."""

    @property
    def notices(self) -> tuple[Notice, ...]:
        """What went otherwise than asked, so far."""
        ...

    def encode(self, picture: Tensor) -> Tensor:
        """The latents, unit variance by the model's own scaling; the mode, so nothing is drawn."""
        ...

    def decode(self, latents: Tensor) -> Tensor:
        """The picture, clamped to -1…1."""
        ...


def preview_matrix(codec: Codec, *, side_px: int = 256) -> Tensor:
    """A [C + 1, 3] matrix that takes latents to small colours, fitted on a chart of soft colours.

    Decoding at every step would cost more than the step; one product with this matrix shows the
    picture at latent resolution. Least squares with a little ridge, on one encoded chart of
    ``side_px``, a multiple of what any autoencoder needs.
    """
    coarse = torch.rand((1, 3, 9, 9), generator=torch.Generator().manual_seed(0)) * 2 - 1
    chart = torch.nn.functional.interpolate(coarse, (side_px, side_px), mode="bicubic").clamp(-1, 1)
    latents = codec.encode(chart[0])
    small = torch.nn.functional.interpolate(chart, latents.shape[-2:], mode="area")[0]
    inputs = _with_ones(latents).double()
    ridge = 1e-3 * len(inputs) * torch.eye(inputs.shape[1], dtype=torch.float64)
    target = small.flatten(1).T.double()
    solve = cast("Callable[[Tensor, Tensor], Tensor]", torch.linalg.solve)
    return solve(inputs.T @ inputs + ridge, inputs.T @ target).float()


def preview(latents: Tensor, matrix: Tensor) -> Tensor:
    """A rough picture [3, h, w] in -1…1 of latents [C, h, w], by ``preview_matrix``."""
    colours = _with_ones(latents) @ matrix
    return colours.T.reshape(3, *latents.shape[-2:]).clamp(-1, 1)


def _with_ones(latents: Tensor) -> Tensor:
    flat = latents.flatten(1).T
    return torch.cat([flat, torch.ones_like(flat[:, :1])], dim=1)
