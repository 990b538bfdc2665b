"""The ways that ``benchmarks.compare_sd15`` compares: what each is, and whether this machine can run it."""

import importlib.util
from dataclasses import dataclass
from typing import Literal

import torch

from underpaint.devices import find_dtype


@dataclass(frozen=True)
class Way:
    """One way to a picture.

    Attributes:
        name: What ``--ways`` calls it.
        about: What it is, in a few words.
        library: Whose code runs.
        precision: Its numbers; ``auto`` is the fastest that the device computes natively.
        channels_last: Whether a diffusers pipeline is laid out so; Underpaint always is.
        compiled: Whether its UNet goes through ``torch.compile``.
        stands_in_for: The bfloat16 way whose place it takes on hardware without bfloat16.
    """

    name: str
    about: str
    library: Literal["underpaint", "diffusers", "openvino"]
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    channels_last: bool = False
    compiled: bool = False
    stands_in_for: str | None = None

    def numbers(self, device: torch.device) -> str:
        """The name of its numbers on ``device``, such as ``bfloat16``."""
        return str(find_dtype(self.precision, device)).removeprefix("torch.")


WAYS = (
    Way("underpaint", "as it comes", "underpaint"),
    Way("underpaint-float32", "in float32", "underpaint", "float32"),
    Way("underpaint-compiled", "its UNet compiled, by the benchmark", "underpaint", compiled=True),
    Way("diffusers", "as it comes", "diffusers", "float32"),
    Way("diffusers-bf16", "channels_last", "diffusers", "bfloat16", channels_last=True),
    Way(
        "diffusers-channels-last", "channels_last", "diffusers", "float32",
        channels_last=True, stands_in_for="diffusers-bf16",
    ),
    Way(
        "diffusers-compiled", "channels_last, its UNet compiled", "diffusers",
        channels_last=True, compiled=True,
    ),
    Way("openvino-bf16", "diffusers around OpenVINO's networks", "openvino", "bfloat16"),
    Way(
        "openvino-float32", "diffusers around OpenVINO's networks", "openvino", "float32",
        stands_in_for="openvino-bf16",
    ),
)  # fmt: skip


def why_not_here(way: Way, device: torch.device) -> str | None:
    """Why a way cannot run on this machine, or says nothing new on it; None where it runs."""
    fastest = find_dtype("auto", device)
    if way.precision == "bfloat16" and fastest is not torch.bfloat16:
        return f"{'this CPU' if device.type == 'cpu' else device} has no bfloat16 instructions"
    if way.stands_in_for and fastest is torch.bfloat16:
        return f"it stands in for {way.stands_in_for} on hardware without bfloat16"
    if way.name == "underpaint-float32" and fastest is torch.float32:
        return "underpaint, as it comes, computes in float32 here"
    if way.library == "openvino" and device.type != "cpu":
        return f"OpenVINO runs on the CPU, and the device is {device}"
    if way.library == "openvino" and importlib.util.find_spec("openvino") is None:
        return "the package openvino is not installed"
    return _why_not_compiled(device) if way.compiled else None


def _why_not_compiled(device: torch.device) -> str | None:
    if device.type == "cuda":
        found = importlib.util.find_spec("triton")
        return None if found else "torch.compile needs the package triton, which is not installed"
    if device.type != "cpu":
        return f"torch.compile is experimental on {device.type}"
    from torch._inductor import cpp_builder, exc

    try:
        cpp_builder.get_cpp_compiler()
    except exc.InvalidCxxCompiler:
        return "torch.compile needs a C++ compiler, and finds none"
    return None
