"""Where a model runs and in which numbers, and the facts about it that decide bytes."""

import platform
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from typing import cast

import torch

from underpaint.errors import Notice, RequestError
from underpaint.planning import PRECISIONS
from underpaint.recipe import VERSIONS_THAT_DECIDE, Build

# AMD's before CDNA and RDNA 3: Polaris, Vega, RDNA 1 and 2.
IMITATING = (
    "gfx80", "gfx900", "gfx902", "gfx904", "gfx906", "gfx909", "gfx90c", "gfx101", "gfx103",
)  # fmt: skip


def find_device(name: str) -> torch.device:
    """The device of that name; for ``auto`` a GPU where there is one that torch can compute on.

    Raises:
        RequestError: it is not available here.
    """
    if name == "auto":
        gpu = _gpu()
        return gpu if gpu is not None and _computes(gpu) else torch.device("cpu")
    device: torch.device | None = None
    with suppress(RuntimeError, TypeError):
        device = torch.device(name)
    if device is None or not _computes(device):
        raise RequestError(
            f"the device {name!r} is not available here, or not to this build of torch; auto picks one, "
            "cpu is always there"
        )
    return device


def device_notices(name: str, found: torch.device) -> tuple[Notice, ...]:
    """What to say where ``auto`` passed a GPU over."""
    gpu = _gpu() if name == "auto" else None
    if gpu is None or gpu.type == found.type:
        return ()
    which = torch.cuda.get_device_name(gpu) if gpu.type == "cuda" else "Apple's"
    message = (
        f"torch {torch.__version__} finds a GPU ({which}) and cannot compute on it, so the CPU is used; install a "
        "build of torch that was made for it"
    )
    return (Notice("gpu-unusable", message),)


def _gpu() -> torch.device | None:
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps") if torch.backends.mps.is_available() else None


def _computes(device: torch.device) -> bool:
    """Whether torch can run anything there: memory may be had on GPUs that no kernel was built for."""
    try:
        return (torch.ones(2, device=device) * 2).sum().item() == 4.0
    except (RuntimeError, AssertionError, NotImplementedError):
        return False


def find_dtype(name: str, device: torch.device, *, wide: bool = False) -> torch.dtype:
    """The numbers of that name; for ``auto`` the fastest that the device computes natively.

    Args:
        name: One of ``PRECISIONS``.
        device: Where it runs.
        wide: Whether the network leaves float16's range, as large transformers do: on GPUs before Ampere
            it then runs in bfloat16, which they only imitate, on Apple's before macOS 14 in float32.

    Raises:
        RequestError: no such precision is known.
    """
    if name not in PRECISIONS:
        raise RequestError(f"precision must be one of {', '.join(PRECISIONS)}, got {name!r}")
    if name != "auto":
        return cast("torch.dtype", getattr(torch, name))
    match device.type:
        case "cuda":
            return torch.bfloat16 if wide or _cuda_has_bfloat16(device) else torch.float16
        case "mps" if not wide:
            return torch.float16
        case "mps" if _takes_bfloat16(device):
            return torch.bfloat16
        case "cpu" if _cpu_has_bfloat16():
            return torch.bfloat16
        case _:
            return torch.float32


def _cuda_has_bfloat16(device: torch.device) -> bool:
    """Whether that very GPU computes in bfloat16. torch says so of all of AMD's, of which older ones imitate it."""
    if torch.version.hip is not None:
        name: str = torch.cuda.get_device_properties(device).gcnArchName  # pyright: ignore[reportUnknownVariableType]
        return not name.startswith(IMITATING)
    with torch.cuda.device(device):
        return torch.cuda.is_bf16_supported(including_emulation=False)


def _takes_bfloat16(device: torch.device) -> bool:
    try:
        return torch.ones(1, dtype=torch.bfloat16, device=device).item() == 1.0
    except (RuntimeError, TypeError):
        return False


def _cpu_has_bfloat16() -> bool:
    # Without these instructions bfloat16 is emulated and slower than float32.
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


@contextmanager
def denormals_flushed() -> Generator[None]:
    """Lets this thread take numbers below 1e-38 as 0, which softmax and SiLU make many of.

    They cost dozens of cycles each. The setting is the thread's, and the numbers of whoever calls
    are none of ours, so it is put back.
    """
    was_on = _halved(sys.float_info.min) == 0
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(was_on)


def _halved(number: float) -> float:
    return number / 2


def describe(device: torch.device, dtype: torch.dtype, *, rows_per_call: int) -> Build:
    """What a run on ``device`` in ``dtype`` depends on, beside its request."""
    found = {name: version(name) for name in VERSIONS_THAT_DECIDE}
    return Build(
        underpaint=found["underpaint"],
        torch=found["torch"],
        diffusers=found["diffusers"],
        transformers=found["transformers"],
        numpy=found["numpy"],
        pillow=found["pillow"],
        instruction_set=f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
        device=str(device),
        precision=str(dtype).removeprefix("torch."),
        threads=torch.get_num_threads(),
        rows_per_call=rows_per_call,
    )
