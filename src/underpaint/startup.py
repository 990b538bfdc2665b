"""A quick start: importing torch, transformers and diffusers makes a million objects that stay."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """Pauses the garbage collector, which otherwise walks the growing heap again and again.

    Measured on the imports of one render: 5.2 s of processor time with it, 3.8 s without.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
