"""Learned measures of how alike two pictures look, LPIPS and DISTS: optional, by the packages that have them.

Both are torchmetrics', on networks that torchvision fetches once, with weights learned on ImageNet.
"""

import importlib.util
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from underpaint import pixels
from underpaint.errors import ModelError, PictureError, RequestError
from underpaint.fidelity.comparison import DIGITS, STRUCTURE_SIDE_PX, at_one_size
from underpaint.pixels import Picture, Source

if TYPE_CHECKING:
    from torch import Tensor

PACKAGES = ("torchmetrics", "torchvision")
SHORTEST_PX = 64  # what AlexNet and VGG halve five times must be left with something


def lpips(source: Source | Picture, result: Source | Picture) -> float:
    """Learned perceptual image patch similarity, 0 (equal) to about 1; AlexNet's, longer side at most 512 px.

    Zhang et al. 2018 (arXiv 1801.03924), equation 1. Small where textures and edges lie where they lay.

    Raises:
        PictureError: one cannot be read, is too small, or their shapes differ.
        RequestError: the packages are not installed.
        ModelError: the network's weights are neither here nor can be fetched.
    """
    measured = _found("lpips", "learned_perceptual_image_patch_similarity")
    return _measured(
        lambda one, other: measured(one, other, net_type="alex", normalize=True), source, result
    )


def dists(source: Source | Picture, result: Source | Picture) -> float:
    """Deep image structure and texture similarity, 0 (equal) to about 1; VGG16's, longer side at most 512 px.

    Ding et al. 2020 (arXiv 2004.07728), equation 7. Small also where a texture lies a little elsewhere.

    Raises:
        PictureError, RequestError, ModelError: as ``lpips``.
    """
    measured = _found("dists", "deep_image_structure_and_texture_similarity")
    return _measured(measured, source, result)


def check_installed() -> None:
    """Makes sure that what measures is installed.

    Raises:
        RequestError: it is not, or does not fit the rest.
    """
    try:
        if all(importlib.util.find_spec(name) for name in PACKAGES):
            import torchvision  # noqa: F401, PLC0415  # pyright: ignore[reportMissingImports, reportUnusedImport]

            return
    except (ImportError, RuntimeError, OSError) as problem:
        reason = " ".join(str(problem).split())[:120]
        raise RequestError(
            f"torchvision does not fit the torch that is installed ({reason}); install the version that "
            "was made for it"
        ) from None
    raise RequestError(
        'LPIPS and DISTS need packages that are not installed; pip install "underpaint[perceptual]"'
    )


def _found(module: str, name: str) -> Callable[..., Any]:
    """One of torchmetrics' measures."""
    check_installed()
    try:
        return getattr(import_module(f"torchmetrics.functional.image.{module}"), name)
    except (ImportError, AttributeError):
        raise RequestError(
            f"the torchmetrics that is installed has no {module.upper()}; "
            'pip install --upgrade "underpaint[perceptual]"'
        ) from None


def _measured(
    measure: "Callable[[Tensor, Tensor], Any]", source: Source | Picture, result: Source | Picture
) -> float:
    import torch  # noqa: PLC0415  only here

    pair = at_one_size(
        *(pixels.read(one).to_pil() for one in (source, result)), longest_px=STRUCTURE_SIDE_PX
    )
    if min(pair[0].size) < SHORTEST_PX:
        raise PictureError(
            f"the pictures are compared at {pair[0].width}x{pair[0].height}, and LPIPS and DISTS need "
            f"sides of {SHORTEST_PX} or more; give larger ones"
        )
    ours, theirs = (
        torch.from_numpy(np.array(one)).permute(2, 0, 1)[None].float() / 255 for one in pair
    )
    try:
        with torch.inference_mode():
            return round(float(measure(ours, theirs)), DIGITS)
    except (OSError, RuntimeError) as problem:
        if not isinstance(problem, OSError) and "hash" not in str(problem):
            raise
        place = f"{torch.hub.get_dir()}/checkpoints"
        reason = " ".join(str(problem).split())[:160]
        raise ModelError(
            f"the network's weights cannot be had ({reason}); connect once, or put them into {place}"
        ) from problem
