"""Opening networks and tokenizers from a checkpoint's files: what all families share."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import torch
from diffusers.utils import logging as diffusers_logging
from safetensors import SafetensorError
from torch import Tensor
from transformers.utils import logging as transformers_logging

from underpaint.errors import ModelError
from underpaint.models.catalog import Checkpoint
from underpaint.models.headers import check_weights
from underpaint.models.hub import FP16
from underpaint.models.json_files import read_json
from underpaint.models.single_file import opened_part
from underpaint.models.vocabularies import complete_tokenizer


def opened(
    kind: Any, checkpoint: Checkpoint, role: str, dtype: torch.dtype | Literal["auto"]
) -> Any:
    """The network of that role, ready for inference; every weight comes from a checked file.

    ``auto`` leaves transformers' numbers as they are stored.

    Raises:
        ValueError: weights are missing.
        ModelError: its files are damaged.
    """
    part = checkpoint.part(role)
    if part.file is not None:
        try:
            network = opened_part(kind, part, role, None if dtype == "auto" else dtype)
        except ValueError as problem:
            raise ValueError(f"{part.file.name} does not fit, {problem}") from None
        return network.eval().requires_grad_(requires_grad=False)
    files = checked(checkpoint, role)
    halves = [file for file in files if f".{FP16}" in file.name]
    variant = {"variant": FP16} if halves and len(halves) == len(files) else {}
    # transformers calls it dtype and diffusers torch_dtype
    named = "dtype" if kind.__module__.startswith("transformers") else "torch_dtype"
    network, report = kind.from_pretrained(
        part.config,
        use_safetensors=True,
        local_files_only=True,
        output_loading_info=True,
        **{named: dtype},
        **variant,
    )
    if missing := sorted(report["missing_keys"]):
        raise ValueError(f"{role} has no weights for {missing[0]} ({len(missing)} missing)")
    return network.eval().requires_grad_(requires_grad=False)


def checked(checkpoint: Checkpoint, role: str) -> tuple[Path, ...]:
    """The files of that role, their headers read.

    Raises:
        ModelError: one is missing or damaged.
    """
    try:
        return check_weights(checkpoint.part(role).config)
    except ModelError as problem:
        raise ModelError(f"the model {checkpoint.name} cannot be opened: {problem}") from None


def opened_tokenizer(kind: Any, checkpoint: Checkpoint, role: str) -> Any:
    """The tokenizer of that role.

    Raises:
        ModelError: the checkpoint is a single file, and its vocabulary is nowhere on this machine.
    """
    if checkpoint.file is None or role in checkpoint.parts:
        return kind.from_pretrained(checkpoint.part(role).config, local_files_only=True)
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
    """Turns what the libraries raise about a checkpoint into one sentence."""
    try:
        yield
    except ModelError:
        raise
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, SafetensorError) as problem:
        first_line = (str(problem).strip() or type(problem).__name__).splitlines()[0]
        raise ModelError(
            f"the model {checkpoint.name} cannot be opened: {first_line[:200]}; fetch it anew"
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


def fed(x: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
    """``x [B, C, h, w]`` as convolutions like it: on the device, in its numbers, channels last."""
    return x.to(device, dtype).contiguous(memory_format=torch.channels_last)
