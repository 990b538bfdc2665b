"""What a model will take of memory, told before anything is loaded; no torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from underpaint.errors import ModelError
from underpaint.models.catalog import Checkpoint

TEXT_BYTES = 4  # text encoders compute in float32, on the CPU
# But language models, whose billions of numbers stay as they are stored.
STORED = frozenset({"Qwen3Model", "Qwen3ForCausalLM", "Qwen2_5_VLForConditionalGeneration"})
# Peak of a decoder's activations a pixel in float32: two maps of its widest layer at full size.
DECODER_BYTES: Mapping[str, int] = {
    "AutoencoderKL": 1500,
    "AutoencoderTiny": 600,
    "AutoencoderKLQwenImage": 3000,
}
_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Needs:
    """Bytes that a loaded model takes.

    Attributes:
        networks: Weights of the denoising network and the autoencoder, where they run.
        words: Weights of the text encoders, in the CPU's memory.
        work: What the autoencoder holds while it works on one picture or tile.
    """

    networks: int
    words: int
    work: int


def needs_of(checkpoint: Checkpoint, *, number_bytes: int, tile_px: int) -> Needs:
    """What ``checkpoint`` takes in numbers of that size, from the headers of its files.

    Raises:
        ModelError: a file is damaged.
    """
    networks = words = 0
    for role in checkpoint.classes:
        if role.startswith("tokenizer"):
            continue
        part = checkpoint.part(role)
        if checkpoint.classes[role] in STORED:
            words += sum(header.path.stat().st_size for header in part.headers())
            continue
        count = part.parameters()
        if role.startswith("text_encoder"):
            words += TEXT_BYTES * count
        else:
            networks += number_bytes * count
    area = min(checkpoint.defaults.comfortable_area, tile_px**2)
    work = area * DECODER_BYTES[checkpoint.classes["vae"]] * number_bytes // 4
    return Needs(networks, words, work)


def check_fits(name: str, needs: Needs, *, own_memory: int | None, device_free: int | None) -> None:
    """Makes sure that there is room, as far as that is known.

    Args:
        name: The model's.
        needs: What it takes.
        own_memory: Bytes of the CPU's memory that are free, None where that cannot be known.
        device_free: Bytes of a GPU's that are free; None where networks run on the CPU.

    Raises:
        ModelError: there is not; it says how much is missing.
    """
    on_device = needs.networks + needs.work
    if device_free is not None:
        _check(name, "the GPU", on_device, device_free, "a smaller model, or --device cpu")
        _check(name, "memory", needs.words, own_memory, "a smaller model")
        return
    advice = "a smaller model, or --precision bfloat16"
    _check(name, "memory", on_device + needs.words, own_memory, advice)


def _check(name: str, where: str, needed: int, free: int | None, advice: str) -> None:
    if free is not None and needed > free:
        raise ModelError(
            f"the model {name} takes {needed / 1e9:.1f} GB of {where} and {free / 1e9:.1f} GB are free, "
            f"{(needed - free) / 1e9:.1f} GB too few; close other programs, or use {advice}"
        )


def free_memory(meminfo: Path = _MEMINFO, cgroup: Path = _CGROUP) -> int | None:
    """Bytes of the CPU's memory that are free for this process; None where that cannot be known.

    On Linux what the kernel calls available, or what a container's limit leaves where that is less.
    """
    try:
        lines = meminfo.read_text().splitlines()
        told = dict(line.split(":", 1) for line in lines if ":" in line)
        available = 1024 * int(told["MemAvailable"].split()[0])
    except (OSError, KeyError, ValueError, IndexError):
        return None
    try:
        limit = (cgroup / "memory.max").read_text().strip()
        used = int((cgroup / "memory.current").read_text())
        told = dict(line.split() for line in (cgroup / "memory.stat").read_text().splitlines())
        kept = int(told.get("inactive_file", 0))  # files that were read; given up when it is tight
        return min(available, int(limit) - used + kept) if limit != "max" else available
    except (OSError, ValueError):
        return available
