"""Freed memory is kept for the next tensor, and given back when asked."""

import os
import subprocess
import sys

import pytest

from underpaint import allocator

pytestmark = pytest.mark.skipif(allocator._glibc() is None, reason="another C library")

SIDE = 64  # MB of the first tensor; each after it takes one less
PAGES = SIDE * 2**20 // os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 1
REPEATEDLY = f"""
import resource, sys, threading, torch
from underpaint.allocator import give_back, keep_freed
def faults(): return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def resident(): return int(open("/proc/self/statm").read().split()[1])
def work():
    begun = faults()
    for fewer in range(8): torch.ones(({SIDE} - fewer) * 2**18)
    print(faults() - begun)
if "keep" in sys.argv: keep_freed()
if "thread" in sys.argv:
    thread = threading.Thread(target=work); thread.start(); thread.join()
else: work()
held = resident()
give_back()
print(held - resident())
"""


def measured(*how: str, **environment: str) -> tuple[int, int]:
    """Pages that eight tensors in turn had to fetch, and those that went back at the end."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    said = subprocess.run(
        [sys.executable, "-c", REPEATEDLY, *how], env=clean | environment, check=True,
        capture_output=True, text=True,
    ).stdout.split()  # fmt: skip
    return int(said[0]), int(said[1])


@pytest.mark.parametrize("where", [[], ["thread"]])
def test_a_tensor_gets_the_memory_that_the_last_one_left(where: list[str]) -> None:
    fetched, given_back = measured("keep", *where)
    assert fetched < 0.5 * measured(*where)[0]  # in whatever size the kernel hands out pages
    assert given_back > 0.9 * PAGES


def test_whoever_tuned_the_library_in_the_environment_is_obeyed() -> None:
    tuned = measured("keep", MALLOC_MMAP_THRESHOLD_=str(2**20))
    assert tuned[0] > 0.8 * measured()[0]
