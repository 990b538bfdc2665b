"""oneDNN's operators are layers as torch has them."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn
from torch.nn import functional as F

from underpaint.models import onednn
from underpaint.models.loading import placed

pytestmark = pytest.mark.skipif(not onednn.is_here(), reason="torch has no such operators here")

ROUNDING = {
    torch.float32: {"rtol": 1e-5, "atol": 1e-5},
    torch.bfloat16: {"rtol": 0.02, "atol": 0.02},
}


def twins(make: Callable[[], nn.Module], dtype: torch.dtype) -> tuple[nn.Module, nn.Module]:
    """The same layers twice, in a network each."""
    torch.manual_seed(0)
    one, other = (
        nn.Sequential(make()).to(dtype).requires_grad_(requires_grad=False) for _ in range(2)
    )
    other.load_state_dict(one.state_dict())
    return one, other


def numbers() -> list[torch.dtype]:
    native = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return [torch.float32, torch.bfloat16] if native else [torch.float32]


@pytest.mark.parametrize("dtype", numbers())
@pytest.mark.parametrize("prepare", [onednn.use, onednn.pack])
@pytest.mark.parametrize("bias", [True, False])
@torch.inference_mode()
def test_linear_layers_say_what_torchs_say(
    dtype: torch.dtype, prepare: Callable[[nn.Module], None], *, bias: bool
) -> None:
    ours, plain = twins(lambda: nn.Linear(40, 24, bias=bias), dtype)
    prepare(ours)
    assert type(ours[0]) is onednn.Linear
    inputs = [
        torch.randn(40),
        torch.randn(3, 40),
        torch.randn(0, 40),
        torch.randn(2, 40, 9).transpose(1, 2),
        torch.randn(6, 5, 80)[:, ::2, ::2],
    ]
    for x in inputs:
        made, wanted = ours(x.to(dtype)), plain(x.to(dtype))
        torch.testing.assert_close(made, wanted, **ROUNDING[dtype])


wide_vectors = pytest.mark.skipif(
    not onednn._convolves(), reason="convolutions are left alone without AVX512"
)


@wide_vectors
@pytest.mark.parametrize("dtype", numbers())
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [(1, 7, 9), (2, 8, 8), (1, 40, 3)])
@torch.inference_mode()
def test_wide_convolutions_say_what_torchs_say(
    dtype: torch.dtype, stride: int, size: tuple[int, int, int]
) -> None:
    ours, plain = twins(lambda: nn.Conv2d(96, 80, 3, stride=stride, padding=1), dtype)
    onednn.pack(ours)
    assert type(ours[0]) is onednn.Conv2d
    rows, height, width = size
    x = torch.randn(rows, 96, height, width).to(dtype).contiguous(memory_format=torch.channels_last)
    made = ours(x)
    torch.testing.assert_close(made, plain(x), **ROUNDING[dtype])
    assert made.is_contiguous(memory_format=torch.channels_last)


@wide_vectors
def test_a_packed_weight_is_the_weight() -> None:
    ours, plain = twins(lambda: nn.Conv2d(96, 80, 3), torch.float32)
    onednn.pack(ours)
    weight: Any = ours[0].weight
    assert weight.is_mkldnn
    assert (weight.shape, weight.dtype) == (plain[0].weight.shape, torch.float32)
    assert torch.equal(weight.to_dense(), plain[0].weight)


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Conv2d(4, 320, 3),
        lambda: nn.Conv2d(512, 512, 1),
        lambda: nn.Conv2d(96, 96, 3, padding_mode="reflect"),
        lambda: nn.Conv2d(96, 96, 3, padding="same"),
        lambda: nn.Conv2d(512, 512, 3, groups=512),
        lambda: nn.Conv2d(96, 80, 3).half(),
        lambda: nn.Linear(40, 24).half(),
        lambda: OwnLinear(40, 24),
    ],
)
def test_other_layers_are_left_alone(make: Callable[[], nn.Module]) -> None:
    layer: Any = make()
    kind = type(layer)
    onednn.pack(nn.Sequential(layer))
    assert type(layer) is kind
    assert not layer.weight.is_mkldnn


class OwnLinear(nn.Linear):
    """As GGUF's: what its weight holds is its own affair."""


def test_without_wide_vectors_convolutions_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, _ = twins(lambda: nn.Conv2d(96, 80, 3), torch.float32)
    monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: "AVX2")
    onednn.pack(ours)
    assert type(ours[0]) is nn.Conv2d


def test_without_the_operators_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, _ = twins(lambda: nn.Linear(40, 24), torch.float32)
    monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: "NO AVX")
    onednn.pack(ours)
    onednn.use(ours)
    assert type(ours[0]) is nn.Linear


@torch.inference_mode()
def test_a_placed_network_says_the_same_at_any_size() -> None:
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        in_channels=4, out_channels=4, block_out_channels=(64, 128), layers_per_block=1,
        cross_attention_dim=32, attention_head_dim=8,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    ).eval().requires_grad_(requires_grad=False)  # fmt: skip
    asked = [(torch.randn(rows, 4, h, w), torch.randn(rows, 77, 32)) for rows, h, w in
             [(2, 16, 24), (1, 8, 8), (2, 32, 8)]]  # fmt: skip
    wanted: list[Tensor] = [unet(x, 500, words).sample for x, words in asked]
    placed(unet, torch.device("cpu"))
    kinds = {type(module) for module in unet.modules()}
    assert onednn.Linear in kinds
    assert (onednn.Conv2d in kinds) is onednn._convolves()
    for (x, words), output in zip(asked, wanted, strict=True):
        torch.testing.assert_close(unet(x, 500, words).sample, output, rtol=1e-4, atol=1e-5)


@torch.inference_mode()
def test_a_layer_that_is_converted_while_it_runs_is_read_as_it_is_then() -> None:
    ours, plain = twins(lambda: nn.Linear(40, 24), torch.bfloat16)
    onednn.use(ours)
    wide = plain[0].weight.float()
    ours[0].weight, ours[0].bias = nn.Parameter(wide), nn.Parameter(plain[0].bias.float())
    x = torch.randn(3, 40)
    torch.testing.assert_close(ours(x), F.linear(x, wide, plain[0].bias.float()))
