"""What a model will take of memory, told before anything is loaded; no torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from underpaint.allocator import give_back
from underpaint.errors import ModelError, Notice
from underpaint.models.catalog import Checkpoint

Offload = Literal["auto", "none", "text"]
"""Whether text encoders leave memory once a prompt is read: where it is short, never, or always."""

TEXT_BYTES = 4  # text encoders compute in float32, on the CPU
# But large ones, whose billions of numbers stay as they are stored (upcast.py).
STORED = frozenset(
    {"T5EncoderModel", "Qwen3Model", "Qwen3ForCausalLM", "Qwen2_5_VLForConditionalGeneration"}
)
# Peak of a decoder's activations a pixel in float32: two maps of its widest layer at full size.
DECODER_BYTES: Mapping[str, int] = {
    "AutoencoderKL": 1500,
    "AutoencoderTiny": 600,
    "AutoencoderKLQwenImage": 3000,
}
BLOCKS = 24  # of T5-XXL; one at a time is in float32
_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Needs:
    """Bytes that a loaded model takes.

    Attributes:
        networks: Weights of the denoising network and the autoencoder, where they run.
        words: Weights of the text encoders, in the CPU's memory.
        work: What the autoencoder holds while it works on one picture or tile.
        mapped: Of ``words``, what is no more than pages of files, which the system can let go at any time.
        smaller: What to use where that is too much.
    """

    networks: int
    words: int
    work: int
    mapped: int = 0
    smaller: str = "a smaller model"

    def turns_taken(self, name: str) -> Notice:
        """What to say where text encoders and network do not fit beside one another."""
        return Notice(
            "taking-turns",
            f"the text encoders of {name} ({self.words / 1e9:.1f} GB) do not fit into memory beside its "
            "network, so they leave it once a prompt is read; --offload none keeps them",
        )


def needs_of(checkpoint: Checkpoint, *, number_bytes: int, tile_px: int) -> Needs:
    """What ``checkpoint`` takes in numbers of that size, from the headers of its files.

    Raises:
        ModelError: a file is damaged.
    """
    networks = words = mapped = 0
    for role in checkpoint.classes:
        if role.startswith("tokenizer"):
            continue
        part = checkpoint.part(role)
        count = part.parameters()
        if checkpoint.classes[role] in STORED:
            stored = part.stored_bytes()
            words += max(stored, 2 * count) + TEXT_BYTES * count // BLOCKS
            mapped += stored if stored >= 2 * count else 0  # 8-bit numbers are widened
            continue
        if part.is_quantised:
            networks += part.stored_bytes()
            continue
        if role.startswith("text_encoder"):
            words += TEXT_BYTES * count
        else:
            networks += number_bytes * count
    area = min(checkpoint.defaults.comfortable_area, tile_px**2)
    work = area * DECODER_BYTES[checkpoint.classes["vae"]] * number_bytes // 4
    flux = checkpoint.family.name == "flux" and not checkpoint.part("transformer").is_quantised
    return Needs(networks, words, work, mapped, "a GGUF file of it" if flux else "a smaller model")


def check_fits(
    name: str,
    needs: Needs,
    *,
    offload: Offload = "auto",
    own_memory: int | None,
    device_free: int | None,
) -> bool:
    """Whether text encoders and network take turns in memory; there is room for that.

    As far as is known: where the free memory is not, everything stays.

    Args:
        name: The model's.
        needs: What it takes.
        offload: ``text`` where they shall take turns, ``none`` where they shall not.
        own_memory: Bytes of the CPU's memory that are free, None where that cannot be known.
        device_free: Bytes of a GPU's that are free; None where networks run on the CPU.

    Raises:
        ModelError: there is not; it says how much is missing.
    """
    on_device = needs.networks + needs.work
    if device_free is not None:
        _check(name, "the GPU", on_device, device_free, f"{needs.smaller}, or --device cpu")
        _check(name, "memory", needs.words - needs.mapped, own_memory, needs.smaller)
        return offload == "text"
    together = on_device + needs.words
    turns = offload == "text" or (
        offload == "auto" and own_memory is not None and together > own_memory
    )
    advice = f"{needs.smaller}, or --precision bfloat16"
    if offload == "none":
        advice = f"--offload text, {advice}"
    needed = max(on_device, needs.words) if turns else together
    _check(name, "memory", needed, own_memory, advice)
    return turns


def _check(name: str, where: str, needed: int, free: int | None, advice: str) -> None:
    if free is not None and needed > free:
        raise ModelError(
            f"the model {name} takes {needed / 1e9:.1f} GB of {where} and {free / 1e9:.1f} GB are free, "
            f"{(needed - free) / 1e9:.1f} GB too few; close other programs, or use {advice}"
        )


def free_memory(meminfo: Path = _MEMINFO, cgroup: Path = _CGROUP) -> int | None:
    """Bytes of the CPU's memory that are free for this process; None where that cannot be known.

    On Linux what the kernel calls available, or what a container's limit leaves where that is less; elsewhere what
    psutil tells, which is installed there. What this process keeps for its next tensors is given back first, as
    nobody could tell it from what is used.
    """
    give_back()
    try:
        lines = meminfo.read_text().splitlines()
        told = dict(line.split(":", 1) for line in lines if ":" in line)
        available = 1024 * int(told["MemAvailable"].split()[0])
    except (OSError, KeyError, ValueError, IndexError):
        return _told_by_psutil()
    try:
        limit = (cgroup / "memory.max").read_text().strip()
        used = int((cgroup / "memory.current").read_text())
        told = dict(line.split() for line in (cgroup / "memory.stat").read_text().splitlines())
        kept = int(told.get("inactive_file", 0))  # files that were read; given up when it is tight
        return min(available, int(limit) - used + kept) if limit != "max" else available
    except (OSError, ValueError):
        return available


def _told_by_psutil() -> int | None:
    try:
        import psutil  # noqa: PLC0415  # pyright: ignore[reportMissingModuleSource]
    except ImportError:
        return None
    available: int = psutil.virtual_memory().available  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return available
