"""What a model takes is told before it is loaded, and refused with the figure where it cannot fit."""

import copy
import gc
import sys
import weakref
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    Qwen3Config,
    Qwen3Model,
    T5Config,
    T5EncoderModel,
)

import underpaint
from tests.conftest import soft_picture
from tests.tiny_families import make_tiny_xl
from underpaint import Engine, Request, devices
from underpaint.devices import find_device, find_dtype
from underpaint.errors import ModelError, RequestError
from underpaint.models import catalog, model
from underpaint.models.loading import free_for, free_on_gpu, refusals
from underpaint.models.memory import Needs, Offload, check_fits, free_memory, needs_of
from underpaint.models.upcast import in_float32


def test_needs_are_counted_from_the_files(tmp_path: Path) -> None:
    folder = make_tiny_xl(tmp_path / "xl")
    checkpoint = catalog.find(folder)
    loaded = Engine(folder, device="cpu", precision="float32").model

    def numbers(*networks: torch.nn.Module) -> int:
        return sum(p.numel() for network in networks for p in network.parameters())

    words = [one.network for one in loaded.words.clip.models]  # type: ignore[attr-defined]
    networks = (loaded.denoiser.network, loaded.codec.network)  # type: ignore[attr-defined]
    full = needs_of(checkpoint, number_bytes=4, tile_px=1280)
    assert full == Needs(4 * numbers(*networks), 4 * numbers(*words), 4096 * 1500)
    half = needs_of(checkpoint, number_bytes=2, tile_px=1280)
    assert half == Needs(2 * numbers(*networks), full.words, full.work // 2)


@pytest.mark.parametrize(
    ("memory", "gpu", "words"),
    [
        (6_000_000_000, None, None),
        (3_400_000_000, None, "takes 3.5 GB of memory and 3.4 GB are free, 0.1 GB too few"),
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


@pytest.mark.parametrize(
    ("offload", "memory", "turns"),
    [
        ("auto", 5_600_000_000, False),
        ("auto", 5_400_000_000, True),
        ("auto", None, False),
        ("text", 9_000_000_000, True),
        ("none", 5_600_000_000, False),
    ],
)
def test_text_encoders_and_network_take_turns_where_memory_is_short(
    offload: Offload, memory: int | None, turns: bool
) -> None:
    needs = Needs(networks=3_000_000_000, words=2_000_000_000, work=500_000_000)
    taken = check_fits("big", needs, offload=offload, own_memory=memory, device_free=None)
    assert taken is turns


def test_one_who_wants_both_in_memory_is_told_the_way_out() -> None:
    needs = Needs(networks=3_000_000_000, words=2_000_000_000, work=500_000_000)
    with pytest.raises(ModelError, match=r"takes 5\.5 GB .* use --offload text, a smaller model"):
        check_fits("big", needs, offload="none", own_memory=5_000_000_000, device_free=None)


def test_taking_turns_holds_one_of_both_and_gives_the_same_bytes(tmp_path: Path) -> None:
    folder = make_tiny_xl(tmp_path / "xl")
    asked = [
        Request(source=soft_picture(64, 64), prompt=text, seed=1, steps=2)
        for text in ("oil", "ink", "oil")
    ]
    plain = Engine(folder, device="cpu", precision="float32", offload="none")
    turning = Engine(folder, device="cpu", precision="float32", offload="text")
    for request in asked:
        made = turning.render(request)
        assert turning.model._words is None  # the network was the last that was needed
        assert made.encode(".png") == plain.render(request).encode(".png")
        network = weakref.ref(turning.model.denoiser.network)  # type: ignore[attr-defined]
        _ = turning.model.words
        gc.collect()
        assert network() is None
    assert made.notices == ()
    assert plain.model._words is not None


@pytest.mark.parametrize("calling", ["render", "find", "refine", "sweep"])
def test_every_call_from_python_can_say_who_leaves_memory(calling: str, tmp_path: Path) -> None:
    scene = soft_picture(64, 64)
    nearly = underpaint.render(scene, "ink", steps=1, seed=1)
    given = {
        "render": lambda: underpaint.render(scene, "ink", offload="disk"),  # type: ignore[arg-type]
        "find": lambda: underpaint.find(scene, "ink", keep=0.5, offload="disk"),  # type: ignore[arg-type]
        "refine": lambda: underpaint.refine(nearly, offload="disk"),  # type: ignore[arg-type]
        "sweep": lambda: underpaint.sweep(scene, "ink", tmp_path, offload="disk"),  # type: ignore[arg-type]
    }
    with pytest.raises(RequestError, match="offload must be one of auto, none, text, got 'disk'"):
        given[calling]()


def test_a_negative_prompt_that_nothing_hears_is_not_read(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine(tiny, device="cpu", precision="float32")
    read: list[str] = []
    words = engine.model.words
    plain = type(words).encode

    def counted(self: object, text: str, **options: object) -> object:
        read.append(text)
        return plain(self, text, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(type(words), "encode", counted)
    fields = {"source": soft_picture(64, 64), "steps": 1, "negative_prompt": "blur"}
    engine.render(Request(prompt="oil", guidance_scale=1.0, **fields))
    assert read == ["oil"]
    engine.render(Request(prompt="oil", guidance_scale=2.0, **fields))
    assert read == ["oil", "blur"]


def test_what_torch_holds_unused_of_a_gpu_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, number in {"memory_reserved": 700, "memory_allocated": 200}.items():
        monkeypatch.setattr(torch.cuda, name, lambda _, number=number: number)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (1000, 4000))
    assert free_on_gpu(torch.device("cuda")) == 1500
    assert free_on_gpu(torch.device("cpu")) is None


def test_short_memory_while_opening_is_no_damaged_download(tiny: Path) -> None:
    checkpoint = catalog.find(tiny)
    with pytest.raises(torch.OutOfMemoryError), refusals(checkpoint):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
    with pytest.raises(ModelError, match="cannot be opened: odd"), refusals(checkpoint):
        raise RuntimeError("odd")


def test_a_gpu_that_cannot_run_it_is_no_damaged_download_either(tiny: Path) -> None:
    told = "CUDA error: no kernel image is available for execution on the device\nmore"
    words = r"on the GPU: CUDA error: no kernel .* --device cpu"
    with pytest.raises(ModelError, match=words) as no, refusals(catalog.find(tiny)):
        raise RuntimeError(told)
    assert "fetch it anew" not in str(no.value)
    with pytest.raises(OSError, match="1455"), refusals(catalog.find(tiny)):
        raise OSError("die Auslagerungsdatei ist zu klein (os error 1455)")


def test_apples_gpus_share_the_processors_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 900)
    monkeypatch.setattr(torch.mps, "driver_allocated_memory", lambda: 200)
    apple = torch.device("mps")
    assert [free_for(apple, own) for own in (None, 500, 5000)] == [700, 500, 700]
    assert free_for(torch.device("cpu"), 5000) == 5000
    assert free_on_gpu(apple) is None  # so text encoders are counted beside the network


@pytest.mark.parametrize("has", [True, False])
def test_apples_gpus_run_unets_in_float16(monkeypatch: pytest.MonkeyPatch, *, has: bool) -> None:
    monkeypatch.setattr(devices, "_takes_bfloat16", lambda _: has)
    apple = torch.device("mps")
    assert find_dtype("auto", apple) is torch.float16
    assert find_dtype("auto", apple, wide=True) is (torch.bfloat16 if has else torch.float32)


@pytest.mark.parametrize(
    ("name", "native"),
    [
        ("gfx1030", False),
        ("gfx906:sramecc+", False),
        ("gfx1100", True),
        ("gfx90a", True),
        ("gfx942", True),
    ],
)
def test_amds_older_gpus_imitate_bfloat16_whatever_torch_says(
    monkeypatch: pytest.MonkeyPatch, name: str, *, native: bool
) -> None:
    monkeypatch.setattr(torch.version, "hip", "6.4")
    properties = SimpleNamespace(gcnArchName=name)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: properties)
    gpu = torch.device("cuda")
    assert find_dtype("auto", gpu) is (torch.bfloat16 if native else torch.float16)
    assert find_dtype("auto", gpu, wide=True) is torch.bfloat16


def test_auto_passes_over_a_gpu_that_torch_was_not_built_for(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "GeForce GTX 1050")
    request = Request(source=soft_picture(32, 32), prompt="oil", strength=0.5, steps=1)
    engine = Engine(tiny, precision="float32")  # nothing is computed on a GPU that is not there
    assert engine.device.type == "cpu"
    (notice,) = [one for one in engine.render(request).notices if one.code == "gpu-unusable"]
    assert "GTX 1050" in notice.message
    with pytest.raises(RequestError, match="not available here, or not to this build"):
        Engine(tiny, device="cuda")
    monkeypatch.setattr(devices, "_computes", lambda _: True)
    assert find_device("auto").type == "cuda"


def test_pages_of_files_are_no_need_beside_a_gpu() -> None:
    needs = Needs(
        9_000_000_000, 11_000_000_000, 0, mapped=9_000_000_000, smaller="a GGUF file of it"
    )
    check_fits("flux", needs, own_memory=3_000_000_000, device_free=10_000_000_000)
    with pytest.raises(ModelError, match=r"takes 2\.0 GB of memory"):
        check_fits("flux", needs, own_memory=1_000_000_000, device_free=10_000_000_000)
    with pytest.raises(ModelError, match="use a GGUF file of it, or --device cpu"):
        check_fits("flux", needs, own_memory=None, device_free=8_000_000_000)


@pytest.mark.parametrize(("native", "wide", "wanted"), [
    (True, False, torch.bfloat16), (True, True, torch.bfloat16),
    (False, False, torch.float16), (False, True, torch.bfloat16),
])  # fmt: skip
def test_a_gpu_that_only_imitates_bfloat16_runs_unets_in_float16(
    monkeypatch: pytest.MonkeyPatch, *, native: bool, wide: bool, wanted: torch.dtype
) -> None:
    monkeypatch.setattr(
        torch.cuda,
        "is_bf16_supported",
        lambda including_emulation=True: native or including_emulation,
    )
    asked: list[object] = []
    monkeypatch.setattr(torch.cuda, "device", lambda one: nullcontext(asked.append(one)))
    gpu = torch.device("cuda:1")
    assert find_dtype("auto", gpu, wide=wide) is wanted
    assert asked == ([] if wide else [gpu])  # another card may be another kind


def test_short_memory_is_told_and_got_along_with(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs = needs_of(catalog.find(tiny), number_bytes=4, tile_px=1280)
    free = needs.networks + needs.work + needs.words // 2
    monkeypatch.setattr(model, "free_memory", lambda: free)
    engine = Engine(tiny, device="cpu", precision="float32")
    result = engine.render(Request(source=soft_picture(64, 64), prompt="oil", steps=1))
    assert "taking-turns" in [notice.code for notice in result.notices]
    with pytest.raises(ModelError, match="--offload text"):
        _ = Engine(tiny, device="cpu", precision="float32", offload="none").model
    with pytest.raises(RequestError, match="offload must be one of auto, none, text, got 'disk'"):
        Engine(tiny, offload="disk")  # type: ignore[arg-type]


@pytest.mark.parametrize("stored", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", ["t5", "qwen", "clip"])
def test_what_is_stored_in_half_precision_answers_as_if_loaded_in_float32(
    kind: str, stored: torch.dtype
) -> None:
    torch.manual_seed(3)
    made = small(kind).eval()
    half = copy.deepcopy(made).to(stored)
    whole = copy.deepcopy(half).float()
    ids = torch.randint(0, 50, (1, 7))
    kept = in_float32(half)
    with torch.inference_mode():
        for _ in range(2):
            assert torch.equal(kept(ids)[0], whole(ids)[0])
    large = [one for one in kept.parameters() if one.dim() > 1]
    assert {one.dtype for one in large} == {stored}


def small(kind: str) -> torch.nn.Module:
    match kind:
        case "t5":
            config = T5Config(
                vocab_size=50, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2,
                feed_forward_proj="gated-gelu",
            )  # fmt: skip
            return T5EncoderModel(config)
        case "qwen":
            return Qwen3Model(
                Qwen3Config(
                    vocab_size=50, hidden_size=16, intermediate_size=32, num_hidden_layers=2,
                    num_attention_heads=2, num_key_value_heads=1, head_dim=8,
                )
            )  # fmt: skip
        case _:
            return CLIPTextModel(
                CLIPTextConfig(
                    vocab_size=50, hidden_size=16, intermediate_size=32, num_hidden_layers=2,
                    num_attention_heads=2, max_position_embeddings=8,
                )
            )  # fmt: skip


def test_a_model_that_cannot_fit_is_refused_before_its_weights_are_read(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "free_memory", lambda: 1000)
    monkeypatch.setattr(model, "open_autoencoder", lambda *_, **__: pytest.fail("it was read"))
    with pytest.raises(ModelError, match="GB too few"):
        _ = Engine(tiny, device="cpu", precision="float32").model


def test_a_container_s_limit_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:  100 kB\nMemAvailable:   50 kB\n")
    assert free_memory(meminfo, tmp_path) == 50 * 1024
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("10\n")
    assert free_memory(meminfo, tmp_path) == 50 * 1024
    (tmp_path / "memory.stat").write_text("anon 5\ninactive_file 4\n")
    (tmp_path / "memory.max").write_text("30010\n")
    assert free_memory(meminfo, tmp_path) == 30_004
    told = SimpleNamespace(virtual_memory=lambda: SimpleNamespace(available=77))
    monkeypatch.setitem(sys.modules, "psutil", told)  # elsewhere than on Linux
    assert free_memory(tmp_path / "nothing", tmp_path) == 77
    monkeypatch.setitem(sys.modules, "psutil", None)
    assert free_memory(tmp_path / "nothing", tmp_path) is None
