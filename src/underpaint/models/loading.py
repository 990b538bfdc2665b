"""Opening networks and tokenizers from a checkpoint's files: what all families share."""

import importlib.util
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, TypeVar, cast

import torch
from diffusers.models.model_loading_utils import (
    load_gguf_checkpoint,  # pyright: ignore[reportUnknownVariableType]  untyped
)
from diffusers.quantizers.quantization_config import GGUFQuantizationConfig
from diffusers.utils import logging as diffusers_logging
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers.utils import logging as transformers_logging

from underpaint.allocator import give_back
from underpaint.errors import ModelError, is_short_memory
from underpaint.models import onednn
from underpaint.models.catalog import Checkpoint
from underpaint.models.flux_layout import as_diffusers
from underpaint.models.headers import check_weights, read_header, variant_of
from underpaint.models.json_files import read_json
from underpaint.models.parts import Part
from underpaint.models.recognition import check_numbers
from underpaint.models.single_file import opened_part
from underpaint.models.vocabularies import complete_tokenizer

Network = TypeVar("Network", bound=nn.Module)


def opened(
    kind: Any, checkpoint: Checkpoint, role: str, dtype: torch.dtype | Literal["auto"]
) -> Any:
    """The network of that role, ready for inference; every weight comes from a checked file.

    ``auto`` leaves transformers' numbers as they are stored. Text encoders are set up for the CPU.

    Raises:
        ValueError: weights are missing.
        ModelError: its files are damaged.
    """
    part = checkpoint.part(role)
    if part.file is not None and part.is_quantised:
        return opened_gguf(kind, part, part.file, torch.float32 if dtype == "auto" else dtype)
    if part.file is not None:
        try:
            network = opened_part(kind, part, role, None if dtype == "auto" else dtype)
        except ValueError as problem:
            raise ValueError(f"{part.file.name} does not fit, {problem}") from None
    else:
        network = _from_folder(kind, checkpoint, role, dtype)
    if not _is_of_diffusers(kind):
        onednn.use(network)
    return network.eval().requires_grad_(requires_grad=False)


def _is_of_diffusers(kind: Any) -> bool:
    return kind.__module__.startswith("diffusers")


def _from_folder(
    kind: Any, checkpoint: Checkpoint, role: str, dtype: torch.dtype | Literal["auto"]
) -> Any:
    files = checked(checkpoint, role)
    variant = {"variant": name} if (name := variant_of(files[0])) else {}
    # the same way whether accelerate is installed or not
    ours = _is_of_diffusers(kind)
    named = {"torch_dtype": dtype, "low_cpu_mem_usage": False} if ours else {"dtype": dtype}
    network, report = kind.from_pretrained(
        checkpoint.part(role).config,
        use_safetensors=True,
        local_files_only=True,
        output_loading_info=True,
        **named,
        **variant,
    )
    if missing := sorted(report["missing_keys"]):
        raise ValueError(f"{role} has no weights for {missing[0]} ({len(missing)} missing)")
    if ours and dtype != "auto":
        _cast(network, dtype)
    return network


def _cast(network: Any, dtype: torch.dtype) -> None:
    """Makes sure of the numbers: diffusers takes weights as stored where a network's first entry has others."""
    kept = cast("Sequence[str]", getattr(network, "_keep_in_fp32_modules", None) or ())
    for name, weight in network.named_parameters():
        if not any(part in kept for part in name.split(".")):
            weight.data = weight.data.to(dtype)


def opened_gguf(kind: Any, part: Part, file: Path, dtype: torch.dtype) -> Any:
    """A network whose weights stay quantised and are unpacked at every use, by diffusers' own reader.

    Raises:
        ModelError: the packages that read such files are not installed.
    """
    if any(importlib.util.find_spec(name) is None for name in ("gguf", "accelerate")):
        raise ModelError(
            f"{file.name} is a GGUF file, and the packages that read it are not here; "
            'pip install "underpaint[gguf]"'
        )
    stored = cast("dict[str, Tensor]", load_gguf_checkpoint(str(file), return_tensors=True))
    plain = {name.removeprefix(part.prefix): weight for name, weight in stored.items()}
    network = kind.from_single_file(
        as_diffusers(plain),
        config=str(part.config.parent),
        subfolder=part.config.name,
        quantization_config=GGUFQuantizationConfig(compute_dtype=dtype),
        torch_dtype=dtype,
        local_files_only=True,
    )
    return network.eval().requires_grad_(requires_grad=False)


def checked(checkpoint: Checkpoint, role: str) -> tuple[Path, ...]:
    """The files of that role, their headers read.

    Raises:
        ModelError: one is missing, damaged or quantised to whole numbers.
    """
    try:
        files = check_weights(checkpoint.part(role).config)
        for file in files:
            check_numbers(read_header(file))
    except ModelError as problem:
        raise ModelError(f"the model {checkpoint.name} cannot be opened: {problem}") from None
    return files


def opened_tokenizer(kind: Any, checkpoint: Checkpoint, role: str) -> Any:
    """The tokenizer of that role.

    Raises:
        ModelError: the checkpoint is a single file, and its vocabulary is nowhere on this machine.
    """
    if checkpoint.file is None or role in checkpoint.parts:
        place = checkpoint.part(role).config
        if not place.is_dir():
            raise ModelError(f"the model {checkpoint.name} has no folder {role}; fetch it anew")
        try:
            return kind.from_pretrained(place, local_files_only=True)
        except Exception as problem:  # the tokenizers package raises plain ones
            raise ModelError(
                f"the {role} of the model {checkpoint.name} is damaged; fetch it anew"
            ) from problem
    of_words = checkpoint.part(role.replace("tokenizer", "text_encoder"))
    encoder = read_json(of_words.config / "config.json")
    with TemporaryDirectory() as folder:
        whole = complete_tokenizer(
            checkpoint.folder / role,
            Path(folder) / role,
            beside=checkpoint.file.path,
            entries=int(encoder["vocab_size"]),
        )
        return kind.from_pretrained(whole, local_files_only=True)


@contextmanager
def refusals(checkpoint: Checkpoint) -> Generator[None]:
    """Turns what the libraries raise about a checkpoint into one sentence; short memory stays what it is."""
    try:
        yield
    except ModelError:
        raise
    except (
        OSError, ValueError, RuntimeError, LookupError, TypeError, ImportError, SafetensorError
    ) as problem:  # fmt: skip
        if is_short_memory(problem):
            raise
        if any(words in str(problem) for words in ("CUDA error", "HIP error")):
            reason = " ".join(str(problem).splitlines()[0].split())[:200]
            raise ModelError(
                f"the model {checkpoint.name} cannot be opened on the GPU: {reason}; use --device cpu, or a build "
                "of torch that was made for it"
            ) from problem
        # torch has its reason in the second line
        lines = (str(problem).strip() or type(problem).__name__).splitlines()[:2]
        reason = " ".join(" ".join(lines).split())[:200].rstrip(".")
        raise ModelError(
            f"the model {checkpoint.name} cannot be opened: {reason}; fetch it anew"
        ) from problem


@contextmanager
def without_chatter() -> Generator[None]:
    """Keeps the libraries' progress bars and advice off standard error while they load."""
    voices = (diffusers_logging, transformers_logging)
    levels = [voice.get_verbosity() for voice in voices]
    bars = transformers_logging.is_progress_bar_enabled()
    for voice in voices:
        voice.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        for voice, level in zip(voices, levels, strict=True):
            voice.set_verbosity(level)
        if bars:
            transformers_logging.enable_progress_bar()


def placed(network: Network, device: torch.device) -> Network:
    """A denoising network on ``device``, as evaluation after evaluation likes it."""
    network.to(device)
    if device.type == "cpu":
        onednn.pack(network)
        give_back()  # what was packed left its place
    return network


def free_on_gpu(device: torch.device) -> int | None:
    """Bytes of a GPU's memory that are free, what torch holds unused among them; None where nothing tells."""
    if device.type != "cuda":
        return None
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + unused


def free_for(device: torch.device, own: int | None) -> int | None:
    """Bytes of the CPU's memory that are free, ``own``, and where a GPU shares it, for that too."""
    if device.type != "mps":
        return own
    left = torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    return left if own is None else min(left, own)


def fed(x: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
    """``x [B, C, h, w]`` as convolutions like it: on the device, in its numbers, channels last."""
    return x.to(device, dtype).contiguous(memory_format=torch.channels_last)
