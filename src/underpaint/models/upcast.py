"""Large text encoders that stay in memory as they are stored and compute in float32, a block at a time."""

from collections.abc import Iterator
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)


def in_float32(network: Network) -> Network:
    """The network itself, which from now on answers as if it had been loaded in float32.

    Its blocks (the members of its outermost ``ModuleList``) are converted as each is reached and let go
    behind it, so memory holds the stored numbers and one block more. Rows are looked up in embeddings as
    they are stored; what is small is converted for good. bfloat16 and float16 convert without loss.
    """
    blocks = list(_blocks(network))
    inside = {id(module) for block in blocks for module in block.modules()}
    for block in blocks:
        if any(_is_half(parameter) for parameter in block.parameters()):
            _convert_while_running(block)
    for module in network.modules():
        if id(module) in inside:
            continue
        if isinstance(module, nn.Embedding):
            module.register_forward_hook(_in_float32)
            continue
        for name, parameter in _halves(module):
            setattr(module, name, _converted(parameter))
    return network


def _blocks(module: nn.Module) -> Iterator[nn.Module]:
    for child in module.children():
        if isinstance(child, nn.ModuleList):
            yield from child
        else:
            yield from _blocks(child)


def _convert_while_running(block: nn.Module) -> None:
    stored = [
        (module, name, parameter)
        for module in block.modules()
        for name, parameter in _halves(module)
    ]

    def before(*_: object) -> None:
        for module, name, parameter in stored:
            setattr(module, name, _converted(parameter))

    def behind(*_: object) -> None:
        for module, name, parameter in stored:
            setattr(module, name, parameter)

    block.register_forward_pre_hook(before)
    block.register_forward_hook(behind, always_call=True)


def _halves(module: nn.Module) -> list[tuple[str, nn.Parameter]]:
    own = module.named_parameters(recurse=False)
    return [(name, parameter) for name, parameter in own if _is_half(parameter)]


def _is_half(numbers: Tensor) -> bool:
    return numbers.is_floating_point() and numbers.dtype != torch.float32


def _converted(parameter: nn.Parameter) -> nn.Parameter:
    return nn.Parameter(parameter.detach().float(), requires_grad=False)


def _in_float32(_module: nn.Module, _arguments: Any, output: Tensor) -> Tensor:
    return output.float()
