"""Both halves of guidance compute once what the text does not reach yet."""

import copy
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from tests.test_attention import small_unet
from underpaint.denoiser import Guidance, Prompt, Row
from underpaint.guidance import guided
from underpaint.levels import Level, Schedule, read_schedule
from underpaint.models.embedded import Embedded
from underpaint.models.halves import halved, twins_of
from underpaint.models.stable_diffusion import UNetDenoiser

AT, LATER = Level(0.6, 0.8), Level(0.8, 0.6)
SCHEDULE: Schedule = read_schedule({"_class_name": "DDIMScheduler", "prediction_type": "epsilon"})


def prompt(seed: int) -> Prompt:
    words = torch.randn(1, 77, 32, generator=torch.Generator().manual_seed(seed))
    return Prompt(Embedded(words))


def row(x: Tensor, level: Level = AT, **also: Any) -> Row:
    return Row(x, level, prompt(1), prompt(2), Guidance(scale=5.0), **also)


@pytest.fixture
def pictures() -> list[Tensor]:
    draw = torch.Generator().manual_seed(3)
    return [torch.randn(4, 16, 24, generator=draw) for _ in range(2)]


def painter(unet: UNet2DConditionModel, *, once: bool) -> UNetDenoiser:
    halves = halved(unet) if once else None
    return UNetDenoiser(unet, SCHEDULE, torch.device("cpu"), torch.float32, halves=halves)


def heard(layer: nn.Module) -> list[int]:
    """How many rows each call of a layer computes."""
    seen: list[int] = []
    forward: Callable[..., Any] = layer.forward

    def counting(x: Tensor, *given: Any, **named: Any) -> Any:
        seen.append(len(x))
        return forward(x, *given, **named)

    layer.forward = counting
    return seen


@pytest.mark.parametrize("linear", [False, True], ids=["convolved", "linear"])
def test_halves_say_what_they_said_and_begin_once(pictures: list[Tensor], *, linear: bool) -> None:
    config = {"use_linear_projection": linear}
    rows = [row(pictures[0]), row(pictures[1], LATER), row(pictures[1])]
    wanted = guided(painter(small_unet(**config), once=False))(rows)
    unet = small_unet(**config)
    first, second = unet.down_blocks[0].attentions[0].transformer_blocks[0], unet.mid_block
    layers = [unet.conv_in, unet.down_blocks[0].resnets[0], first.attn1, first.attn2, second]
    counts = [heard(layer) for layer in layers]
    for one, other in zip(guided(painter(unet, once=True))(rows), wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    assert counts == [[3], [3], [3], [6], [6]]


def test_rows_without_a_twin_are_all_computed(pictures: list[Tensor]) -> None:
    unet = small_unet()
    denoiser, count = guided(painter(unet, once=True)), heard(unet.conv_in)
    plain = [replace(row(x), guidance=Guidance()) for x in pictures]
    denoiser(plain)
    denoiser([row(pictures[0]), plain[1]])  # the second has no second half
    denoiser([row(pictures[0])])
    denoiser([row(pictures[0]), row(pictures[0], LATER)])
    assert count == [2, 2, 1, 2]


def test_two_threads_may_ask_one_network(pictures: list[Tensor]) -> None:
    denoiser = painter(small_unet(), once=True)
    pair, plain = [row(pictures[0])], [replace(row(x), guidance=Guidance()) for x in pictures]
    wanted = guided(denoiser)(pair), guided(denoiser)(plain)

    def ask(rows: list[Row]) -> list[list[Tensor]]:
        return [guided(denoiser)(rows) for _ in range(30)]

    with ThreadPoolExecutor(2) as threads:
        for answers, right in zip(threads.map(ask, (pair, plain)), wanted, strict=True):
            for answer in answers:
                for one, other in zip(answer, right, strict=True):
                    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_a_copy_of_a_network_has_halves_of_its_own(pictures: list[Tensor]) -> None:
    unet = small_unet()
    first = painter(unet, once=True)
    assert first.halves is not None
    copied = copy.deepcopy(unet)
    with first.halves.of([row(pictures[0]), row(pictures[0])]):
        x, words = torch.stack([pictures[0], pictures[1]]), torch.randn(2, 77, 32)
        said = copied(x, torch.tensor([500.0, 500.0]), words).sample
    assert not torch.equal(said[0], said[1])
    alone = copied(x[1:], torch.tensor([500.0]), words[1:]).sample
    torch.testing.assert_close(said[1:], alone, rtol=1e-4, atol=1e-5)


def test_only_the_last_rows_of_a_call_are_twins(pictures: list[Tensor]) -> None:
    x, y = (row(one) for one in pictures)
    later, equal = row(pictures[0], LATER), row(pictures[0].clone())
    assert twins_of([]) == ()
    assert twins_of([x, y]) == ()
    assert twins_of([x, later, equal]) == ()
    assert twins_of([x, y, x, y]) == (0, 1)
    assert twins_of([x, y, later, later, x]) == (2, 0)
    assert twins_of([x, x, y]) == ()


@pytest.mark.parametrize(
    "config",
    [
        {"addition_embed_type": "text", "addition_embed_type_num_heads": 4},
        {"time_cond_proj_dim": 8},
        {
            "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
            "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        },
    ],
    ids=["told the text", "told the scale", "no reader at first"],
)
def test_networks_that_are_told_more_than_the_time_share_nothing(config: dict[str, Any]) -> None:
    assert halved(small_unet(**config)) is None


def test_a_first_block_that_only_reads_shares_its_convolutions(pictures: list[Tensor]) -> None:
    config = {"only_cross_attention": (True, False)}
    wanted = guided(painter(small_unet(**config), once=False))([row(pictures[0])])
    unet = small_unet(**config)
    reader = unet.down_blocks[0].attentions[0].transformer_blocks[0].attn1
    counts = [heard(unet.down_blocks[0].resnets[0]), heard(reader)]
    made = guided(painter(unet, once=True))([row(pictures[0])])
    torch.testing.assert_close(made[0], wanted[0], rtol=1e-4, atol=1e-5)
    assert counts == [[1], [2]]
