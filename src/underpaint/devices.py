"""Where a model runs and in which numbers, and the facts about it that decide bytes."""

import platform
import sys
from collections.abc import Generator
from contextlib import contextmanager
from importlib.metadata import version
from typing import cast

import torch

from underpaint.errors import RequestError
from underpaint.planning import PRECISIONS
from underpaint.recipe import VERSIONS_THAT_DECIDE, Build


def find_device(name: str) -> torch.device:
    """The device of that name; for ``auto`` a GPU where there is one.

    Raises:
        RequestError: it is not available here.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError, TypeError):
        raise RequestError(
            f"the device {name!r} is not available here; auto picks one, cpu is always there"
        ) from None
    return device


def find_dtype(name: str, device: torch.device, *, wide: bool = False) -> torch.dtype:
    """The numbers of that name; for ``auto`` the fastest that the device computes natively.

    Args:
        name: One of ``PRECISIONS``.
        device: Where it runs.
        wide: Whether the network leaves float16's range, as large transformers do: on GPUs before Ampere
            it then runs in bfloat16, which they only imitate.

    Raises:
        RequestError: no such precision is known.
    """
    if name not in PRECISIONS:
        raise RequestError(f"precision must be one of {', '.join(PRECISIONS)}, got {name!r}")
    if name != "auto":
        return cast("torch.dtype", getattr(torch, name))
    match device.type:
        case "cuda":
            native = torch.cuda.is_bf16_supported(including_emulation=False)
            return torch.bfloat16 if native or wide else torch.float16
        case "cpu" if _cpu_has_bfloat16():
            return torch.bfloat16
        case _:
            return torch.float32


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
