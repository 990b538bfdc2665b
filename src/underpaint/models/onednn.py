"""oneDNN's own operators for layers on the CPU, and weights in the layout that it multiplies in.

torch hands convolutions to oneDNN with weights in torch's layout, which oneDNN changes at every call: a third of the
time of the innermost convolutions of Stable Diffusion 1.5 at 512². Matrix products in float32 it hands to MKL, which on
AMD's processors runs at 0.4 of oneDNN's rate. The operators here are those that ``torch.compile`` puts in their
place where it freezes a network.
"""

from typing import cast

import torch
from torch import Tensor, nn

LEAST_WEIGHTS = 2**16  # of a convolution; those of fewer are brought there in no time
LEAST_CHANNELS = 32  # in and out; with fewer, oneDNN takes another layout for some sizes


class Linear(nn.Linear):
    """A linear layer whose product oneDNN computes; its weight may be packed."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  torch's name
        """``input [..., in] · weightᵀ + bias``."""
        made = torch.ops.mkldnn._linear_pointwise(input, self.weight, self.bias, "none", [], "")  # noqa: SLF001
        return cast("Tensor", made)


class Conv2d(nn.Conv2d):
    """A convolution with a packed weight."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  torch's name
        """``input [B, C, h, w]`` convolved."""
        made = torch.ops.mkldnn._convolution_pointwise(  # noqa: SLF001
            input, self.weight, self.bias, self.padding, self.stride, self.dilation, self.groups,
            "none", [], "",
        )  # fmt: skip
        return cast("Tensor", made)


def use(network: nn.Module) -> None:
    """Lets oneDNN compute the plain linear layers of a network that computes in float32 on the CPU."""
    if is_here():
        for module in network.modules():
            if type(module) is nn.Linear:
                module.__class__ = Linear


def pack(network: nn.Module) -> None:
    """The same, and packs their weights and, with AVX512, those of wide convolutions, layer by layer.

    With AVX2 alone torch's way with convolutions is the faster one (SD 1.5's UNet, 512²: 7.5 s, packed 9.0).

    A packed weight takes the other's place, so it is held once. Its shape and numbers (``dtype``) stay, and
    ``to_dense`` gives it back. Layers in numbers that oneDNN does not multiply here are left as they are.
    """
    if not is_here():
        return
    for module in network.modules():
        if type(module) is nn.Linear and _multiplies(module.weight.dtype):
            packed = torch.ops.mkldnn._reorder_linear_weight(module.weight.detach())  # noqa: SLF001
            module.__class__ = Linear
        elif _convolves() and type(module) is nn.Conv2d and _is_wide(module):
            packed = torch.ops.mkldnn._reorder_convolution_weight(  # noqa: SLF001
                module.weight.detach(),
                module.padding,
                module.stride,
                module.dilation,
                module.groups,
            )
            module.__class__ = Conv2d
        else:
            continue
        module.weight = nn.Parameter(packed, requires_grad=False)


def is_here() -> bool:
    """Whether torch has these operators, and a processor for which they were measured."""
    vectors = torch.backends.cpu.get_cpu_capability().startswith("AVX")
    return vectors and hasattr(torch.ops.mkldnn, "_reorder_convolution_weight")


def _convolves() -> bool:
    return torch.backends.cpu.get_cpu_capability().startswith("AVX512")


def _multiplies(dtype: torch.dtype) -> bool:
    native = dtype is torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported()  # noqa: SLF001
    return native or dtype is torch.float32


def _is_wide(layer: nn.Conv2d) -> bool:
    # The best layout of 1x1 weights depends on the size of the picture, which is not known yet.
    plain = layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
    channels = min(layer.in_channels, layer.out_channels) // layer.groups
    wide = channels >= LEAST_CHANNELS and layer.weight.numel() >= LEAST_WEIGHTS
    return plain and wide and min(layer.kernel_size) > 1 and _multiplies(layer.weight.dtype)
