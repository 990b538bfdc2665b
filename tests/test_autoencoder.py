"""The autoencoder at any size and in any numbers: tiles without seams, no overflow."""

import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.conftest import soft_picture
from tests.tiny_checkpoint import make_tiny_checkpoint
from underpaint import Engine, Request, pixels
from underpaint.errors import ModelError
from underpaint.geometry import windows
from underpaint.models import bands
from underpaint.models.autoencoder import Autoencoder


@settings(derandomize=True)
@given(st.integers(1, 5000), st.integers(2, 600), st.data())
def test_windows_cover_a_length_and_share_an_overlap(length: int, tile: int, data: object) -> None:
    overlap = data.draw(st.integers(0, tile - 1))  # type: ignore[attr-defined]
    spans = windows(length, tile, overlap)
    assert spans[0][0] == 0
    assert spans[-1][1] == length
    assert all(end - begin == min(tile, length) for begin, end in spans)
    assert all(a[1] - b[0] >= overlap for a, b in pairwise(spans))


def psnr(one: Tensor, other: Tensor) -> float:
    return -10 * math.log10(((one - other) / 2).square().mean().item() + 1e-12)


def picture(width: int, height: int) -> Tensor:
    tensor, _ = pixels.frame(pixels.read(soft_picture(width, height)), multiple=8, minimum=16)
    generator = torch.Generator().manual_seed(1)
    return (tensor + 0.1 * torch.randn(tensor.shape, generator=generator)).clamp(-1, 1)


def codecs(model: Path | None, tile_px: int, overlap_px: int) -> tuple[Autoencoder, Autoencoder]:
    whole = Engine(model, device="cpu", precision="float32").model.codec
    assert isinstance(whole, Autoencoder)
    tiled = Autoencoder(
        whole.network, whole.device, whole.dtype, whole.scale, whole.shift, whole.cell_px,
        tile_px=tile_px, overlap_px=overlap_px,
    )  # fmt: skip
    return whole, tiled


@pytest.mark.parametrize(("width", "height"), [(520, 312), (256, 520), (312, 256)])
def test_the_built_in_autoencoder_shows_no_seams(width: int, height: int) -> None:
    whole, tiled = codecs(None, 256, 128)
    source = picture(width, height)
    latents = whole.encode(source)
    assert latents.shape == tiled.encode(source).shape
    assert psnr(tiled.encode(source), latents) >= 45
    assert psnr(tiled.decode(latents), whole.decode(latents)) >= 45


@pytest.mark.parametrize(("width", "height"), [(200, 136), (104, 264)])
@pytest.mark.parametrize("positions", [150, 900, 2**17])
def test_bands_of_a_network_with_normalisation_give_the_numbers_of_the_whole(
    tiny: Path, width: int, height: int, positions: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("underpaint.models.bands.BAND_POSITIONS", positions)
    whole, banded = codecs(tiny, 96, 48)
    source = picture(width, height)
    latents = whole.encode(source)
    torch.testing.assert_close(banded.encode(source), latents, atol=1e-4, rtol=1e-4)
    wanted = whole.decode(latents)
    assert wanted.std() > 0.05  # not only grey
    torch.testing.assert_close(banded.decode(latents), wanted, atol=1e-4, rtol=1e-4)
    assert banded.notices == ()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_statistics_of_a_band_are_the_same_wherever_it_lies(dtype: torch.dtype) -> None:
    band = torch.randn(1, 32, 9, 50, generator=torch.Generator().manual_seed(2)) * 3 + 1
    band = band.to(dtype).contiguous(memory_format=torch.channels_last)
    for ours, theirs in zip(bands._of_band(band, 8), bands._of_band_on_cpu(band, 8), strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-4, atol=1e-4)


def test_on_a_gpu_bands_are_large_and_ask_nothing_of_the_processors_own(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, banded = codecs(tiny, 96, 48)
    source = picture(200, 136)
    latents = whole.encode(source)
    monkeypatch.setattr(
        bands, "_of_band_on_cpu", bands._of_band
    )  # as where native_group_norm refuses
    monkeypatch.setattr(bands, "BAND_POSITIONS", 900)
    torch.testing.assert_close(banded.encode(source), latents, atol=1e-4, rtol=1e-4)
    assert bands._held(torch.empty(1, 1, 8, 8)).positions == 900
    assert bands._held(torch.empty(1, 1, 8, 8, device="meta")).positions == bands.GPU_BAND_POSITIONS


def test_bands_hold_two_maps_of_the_finest_level_at_most() -> None:
    network = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(8, 16, 16), layers_per_block=2, norm_num_groups=4,
    ).eval()  # fmt: skip
    finest = 8 * 4 * 512 * 512
    z = torch.randn(1, 4, 128, 128, generator=torch.Generator().manual_seed(0))

    def peak(decode: Callable[[Tensor], object]) -> int:
        with torch.inference_mode(), torch.profiler.profile(profile_memory=True) as seen:
            decode(z)
        held = most = 0
        for event in seen.profiler.kineto_results.events():  # type: ignore[union-attr]
            if event.name() == "[memory]":
                held += event.nbytes()
                most = max(most, held)
        return most

    with patch("underpaint.models.bands.BAND_POSITIONS", 512 * 8):
        assert peak(lambda z: bands.decoded(network, z)) < 2.6 * finest
    assert peak(network.decode) > 4 * finest


def test_tiles_where_bands_do_not_fit_are_said_once(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, tiled = codecs(tiny, 96, 48)
    source = picture(200, 136)
    monkeypatch.setattr("underpaint.models.autoencoder.free_memory", lambda: 10_000_000)
    latents = whole.encode(source)
    assert tiled.encode(source).shape == latents.shape
    made, wanted = tiled.decode(latents), whole.decode(latents)
    assert made.shape == wanted.shape
    # Random weights, tiles of 12 cells: its statistics differ from tile to tile, and still
    assert psnr(made, wanted) > 25
    assert [(one.code, "200x136" in one.message) for one in tiled.notices] == [("vae-tiles", True)]
    tiled.decode(latents[:, :6, :8])
    assert tiled.notices == ()  # they are the last picture's


def test_a_small_picture_is_not_tiled(tiny: Path) -> None:
    whole, tiled = codecs(tiny, 64, 32)
    source = picture(64, 48)
    assert torch.equal(tiled.encode(source), whole.encode(source))


class Overflows(torch.nn.Module):
    """Decodes to infinity in everything but float32."""

    def __init__(self, *, always: bool = False) -> None:
        super().__init__()
        self.always = always

    def decode(self, z: Tensor) -> object:
        broken = self.always or z.dtype is not torch.float32
        value = math.inf if broken else 0.5
        return type("Out", (), {"sample": torch.full((1, 3, 8, 8), value, dtype=z.dtype)})


def test_an_overflow_is_computed_again_in_float32_and_said_once() -> None:
    codec = Autoencoder(Overflows(), torch.device("cpu"), torch.float16, 1.0, 0.0, 8)  # type: ignore[arg-type]
    for _ in range(2):
        assert float(codec.decode(torch.zeros(4, 1, 1)).mean()) == 0.5
    assert [one.code for one in codec.notices] == ["vae-float32"]
    broken = Autoencoder(Overflows(always=True), torch.device("cpu"), torch.float16, 1.0, 0.0, 8)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="not finite"):
        broken.decode(torch.zeros(4, 1, 1))


def test_an_overflow_reaches_the_result(tmp_path: Path) -> None:
    folder = make_tiny_checkpoint(tmp_path / "tiny")
    engine = Engine(folder, device="cpu", precision="bfloat16")
    network = engine.model.codec.network  # type: ignore[attr-defined]
    with torch.no_grad():
        network.decoder.conv_in.weight.mul_(torch.finfo(torch.bfloat16).max)
        network.decoder.conv_in.weight.mul_(1e4)
    request = Request(source=soft_picture(32, 32), prompt="x", steps=1, seed=1)
    with pytest.raises(ModelError, match="not finite"):
        engine.render(request)


def test_one_that_says_that_it_overflows_is_in_float32_at_once(tmp_path: Path) -> None:
    folder = make_tiny_checkpoint(tmp_path / "tiny")  # diffusers' default says so
    engine = Engine(folder, device="cpu", precision="float16")
    codec = engine.model.codec
    assert isinstance(codec, Autoencoder)
    assert codec.dtype is torch.float32
    assert codec.network.decoder.conv_in.weight.dtype is torch.float32
