"""Attention in blocks is attention."""

import math
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor
from torch.nn import functional as F

from underpaint.models import attention
from underpaint.models.attention import InBlocks, in_blocks


@pytest.fixture(params=[2**21, 700])
def _blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks as they are, and small ones that end in the middle."""
    monkeypatch.setattr(attention, "BLOCK", request.param)
    monkeypatch.setattr(attention, "LEAST_ROWS", min(512, request.param // 100))


@pytest.mark.usefixtures("_blocks")
@pytest.mark.parametrize("sizes", [(1, 1, 1, 1), (2, 3, 65, 65), (1, 8, 33, 7), (3, 2, 20, 77)])
def test_blocks_give_what_torchs_own_attention_gives(sizes: tuple[int, int, int, int]) -> None:
    batch, heads, queries, keys = sizes
    draw = torch.Generator().manual_seed(1)
    # as they come from a projection: heads beside each other
    query, key, value = (
        torch.randn(batch, n, heads, 24, generator=draw).transpose(1, 2)
        for n in (queries, keys, keys)
    )
    wanted = F.scaled_dot_product_attention(query, key, value)
    torch.testing.assert_close(in_blocks(query, key, value), wanted, rtol=1e-5, atol=1e-6)
    halved = in_blocks(*(one.bfloat16() for one in (query, key, value)))
    assert halved.dtype == torch.bfloat16
    torch.testing.assert_close(halved.float(), wanted, rtol=0.05, atol=0.05)


def off_by(made: Tensor, query: Tensor, key: Tensor, value: Tensor) -> float:
    """How far an answer is from that of the same numbers in float64, in decibels of it."""
    wanted = F.scaled_dot_product_attention(query.double(), key.double(), value.double())
    error = (made.double() - wanted).square().mean() / wanted.square().mean()
    return 10 * math.log10(error.item())


def of_heads(seed: int, *scales: float) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    sizes = torch.tensor(scales)[None, :, None, None]
    return (torch.randn(1, len(scales), 70, 24, generator=draw) * sizes).bfloat16()


def test_scores_out_of_range_are_held_in_it_head_by_head() -> None:
    query, key, value = of_heads(1, 60.0, 0.5), of_heads(2, 8.0, 0.5), of_heads(3, 1.0, 1.0)
    powers = (query.float() @ key.float().transpose(-1, -2)).abs().amax((2, 3)) * 24**-0.5
    assert powers[0, 0] > 128.0  # a power of two that no number holds
    assert powers[0, 1] < attention.RANGE
    made = in_blocks(query, key, value)
    assert torch.isfinite(made).all()
    assert off_by(made[:, :1], query[:, :1], key[:, :1], value[:, :1]) < -24
    assert off_by(made[:, 1:], query[:, 1:], key[:, 1:], value[:, 1:]) < -40


def test_what_all_keys_have_in_common_costs_nothing() -> None:
    query, key, value = (of_heads(seed, 1.0, 1.0) for seed in (1, 2, 3))
    far = key + 64.0  # softmax does not see it, and bfloat16 keeps a quarter of each key
    assert off_by(in_blocks(query, far, value), query, far, value) < -43


def small_unet(**config: Any) -> UNet2DConditionModel:
    torch.manual_seed(0)
    common: dict[str, Any] = {
        "in_channels": 4, "out_channels": 4, "block_out_channels": (32, 64), "layers_per_block": 1,
        "cross_attention_dim": 32, "attention_head_dim": 8,
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    }  # fmt: skip
    return UNet2DConditionModel(**{**common, **config}).eval()


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many queries each attention in blocks had."""
    seen: list[int] = []

    def counting(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        seen.append(query.shape[-2])
        return in_blocks(query, key, value)

    monkeypatch.setattr(attention, "in_blocks", counting)
    return seen


@torch.inference_mode()
def test_a_network_says_the_same_with_its_attention_in_blocks(counted: list[int]) -> None:
    unet = small_unet().bfloat16()
    x, words = torch.randn(2, 4, 16, 24).bfloat16(), torch.randn(2, 77, 32).bfloat16()
    before = unet(x, 500, words).sample
    assert not counted
    with InBlocks():
        within = unet(x, 500, words).sample
    assert len(counted) == len(unet.attn_processors)
    torch.testing.assert_close(within, before, rtol=0.05, atol=0.05)


@torch.inference_mode()
def test_what_is_more_than_plain_attention_is_torchs_own(counted: list[int]) -> None:
    query, key, value = (torch.randn(1, 2, 9, 8).bfloat16() for _ in range(3))
    mask = torch.ones(9, 9, dtype=torch.bool).tril()
    calls: list[tuple[list[Any], dict[str, Any]]] = [
        ([query, key, value, mask], {}),
        ([query, key, value], {"attn_mask": mask}),
        ([query, key, value], {"is_causal": True}),
        ([query, key, value], {"scale": 0.5}),
        ([query.float(), key.float(), value.float()], {}),
        ([query[0], key[0], value[0]], {}),
        ([query, key[:, :1], value[:, :1]], {"enable_gqa": True}),
        ([query, key[:, :1], value[:, :1]], {}),
        ([query, key, torch.cat([value, value], -1)], {}),
        ([query[:, :, :0], key, value], {}),
    ]
    for given, named in calls:
        wanted = F.scaled_dot_product_attention(*given, **named)
        with InBlocks():
            assert torch.equal(F.scaled_dot_product_attention(*given, **named), wanted)
    assert not counted
    with InBlocks():
        F.scaled_dot_product_attention(query=query, key=key, value=value, attn_mask=None)
    assert counted == [9]


@pytest.mark.parametrize(("tiles", "expected"), [(True, False), (False, True)])
def test_blocks_are_for_processors_without_tiles(
    monkeypatch: pytest.MonkeyPatch, *, tiles: bool, expected: bool
) -> None:
    monkeypatch.setattr("torch.cpu._is_amx_tile_supported", lambda: tiles)
    assert isinstance(attention.fastest(torch.device("cpu")), InBlocks) is expected
    assert not isinstance(attention.fastest(torch.device("meta")), InBlocks)
