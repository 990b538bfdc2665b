"""What a model takes is told before it is loaded, and refused with the figure where it cannot fit."""

from pathlib import Path

import pytest
import torch

from tests.tiny_families import make_tiny_xl
from underpaint import Engine
from underpaint.errors import ModelError
from underpaint.models import catalog, loading
from underpaint.models.memory import Needs, check_fits, free_memory, needs_of


def test_needs_are_counted_from_the_files(tmp_path: Path) -> None:
    folder = make_tiny_xl(tmp_path / "xl")
    checkpoint = catalog.find(folder)
    model = Engine(folder, device="cpu", precision="float32").model

    def numbers(*networks: torch.nn.Module) -> int:
        return sum(p.numel() for network in networks for p in network.parameters())

    words = [one.network for one in model.words.clip.models]  # type: ignore[attr-defined]
    networks = (model.denoiser.network, model.codec.network)  # type: ignore[attr-defined]
    full = needs_of(checkpoint, number_bytes=4, tile_px=1280)
    assert full == Needs(4 * numbers(*networks), 4 * numbers(*words), 4096 * 1500)
    half = needs_of(checkpoint, number_bytes=2, tile_px=1280)
    assert half == Needs(2 * numbers(*networks), full.words, full.work // 2)


@pytest.mark.parametrize(
    ("memory", "gpu", "words"),
    [
        (6_000_000_000, None, None),
        (4_900_000_000, None, "takes 5.5 GB of memory and 4.9 GB are free, 0.6 GB too few"),
        (None, None, None),
        (2_100_000_000, 3_500_000_000, None),
        (2_100_000_000, 3_000_000_000, "3.5 GB of the GPU and 3.0 GB are free, 0.5 GB too few"),
        (1_000_000_000, 9_000_000_000, "2.0 GB of memory and 1.0 GB are free"),
    ],
)
def test_what_is_missing_is_told(memory: int | None, gpu: int | None, words: str | None) -> None:
    needs = Needs(networks=3_000_000_000, words=2_000_000_000, work=500_000_000)
    if words is None:
        check_fits("big", needs, own_memory=memory, device_free=gpu)
    else:
        with pytest.raises(ModelError, match=words):
            check_fits("big", needs, own_memory=memory, device_free=gpu)


def test_a_model_that_cannot_fit_is_refused_before_its_weights_are_read(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "free_memory", lambda: 1000)
    monkeypatch.setattr(loading, "opened", lambda *_: pytest.fail("it was read"))
    with pytest.raises(ModelError, match="GB too few"):
        _ = Engine(tiny, device="cpu", precision="float32").model


def test_a_container_s_limit_counts(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:  100 kB\nMemAvailable:   50 kB\n")
    assert free_memory(meminfo, tmp_path) == 50 * 1024
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("10\n")
    assert free_memory(meminfo, tmp_path) == 50 * 1024
    (tmp_path / "memory.stat").write_text("anon 5\ninactive_file 4\n")
    (tmp_path / "memory.max").write_text("30010\n")
    assert free_memory(meminfo, tmp_path) == 30_004
    assert free_memory(tmp_path / "nothing", tmp_path) is None
