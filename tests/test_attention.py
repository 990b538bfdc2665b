"""Attention in blocks is attention."""

from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor2_0
from torch.nn import functional as F

from underpaint.models import attention
from underpaint.models.attention import InBlocks, in_blocks, use_blocks


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


def small_unet(**config: Any) -> UNet2DConditionModel:
    torch.manual_seed(0)
    return UNet2DConditionModel(
        in_channels=4, out_channels=4, block_out_channels=(32, 64), layers_per_block=1,
        cross_attention_dim=32, attention_head_dim=8,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"), **config,
    ).eval()  # fmt: skip


@torch.inference_mode()
def test_a_network_says_the_same_with_its_attention_in_blocks() -> None:
    unet = small_unet()
    x, words = torch.randn(2, 4, 16, 24), torch.randn(2, 77, 32)
    before = unet(x, 500, words).sample
    use_blocks(unet)
    assert {type(one) for one in unet.attn_processors.values()} == {InBlocks}
    torch.testing.assert_close(unet(x, 500, words).sample, before, rtol=1e-4, atol=1e-5)
    mask = torch.ones(2, 77)
    mask[:, 40:] = 0
    masked = unet(x, 500, words, encoder_attention_mask=mask).sample
    assert not torch.allclose(masked, before, atol=1e-3)
    unet.set_attn_processor(AttnProcessor2_0())
    torch.testing.assert_close(unet(x, 500, words, encoder_attention_mask=mask).sample, masked)


def test_attention_with_parts_of_its_own_is_left_alone() -> None:
    unet = small_unet(mid_block_type="UNetMidBlock2DSimpleCrossAttn", addition_embed_type=None)
    kinds = {name.split(".")[0]: type(one) for name, one in unet.attn_processors.items()}
    use_blocks(unet)
    after = {name.split(".")[0]: type(one) for name, one in unet.attn_processors.items()}
    assert after["mid_block"] is kinds["mid_block"] is not InBlocks
    assert after["down_blocks"] is InBlocks


@pytest.mark.parametrize(("tiles", "expected"), [(True, False), (False, True)])
def test_blocks_are_for_bfloat16_on_processors_without_tiles(
    monkeypatch: pytest.MonkeyPatch, *, tiles: bool, expected: bool
) -> None:
    monkeypatch.setattr("torch.cpu._is_amx_tile_supported", lambda: tiles)
    assert attention.pays(torch.device("cpu"), torch.bfloat16) is expected
    assert not attention.pays(torch.device("cpu"), torch.float32)
    assert not attention.pays(torch.device("meta"), torch.bfloat16)
