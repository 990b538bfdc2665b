"""What every test may ask for."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

# One thread: two that wait for each other on a busy machine are many times slower. Set before torch
# is imported, and inherited by the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="underpaint-tests-")

import numpy as np
import pytest
from PIL import Image

from tests.tiny_checkpoint import make_tiny_checkpoint


@pytest.fixture(scope="session", autouse=True)
def _tidy() -> Iterator[None]:
    yield
    shutil.rmtree(os.environ["XDG_CACHE_HOME"])


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint's folder with minute random networks that predict noise."""
    return make_tiny_checkpoint(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small soft picture, 64×48, as a PNG."""
    path = tmp_path_factory.mktemp("pictures") / "scene.png"
    soft_picture(64, 48).save(path)
    return path


def soft_picture(width: int, height: int, *, seed: int = 0) -> Image.Image:
    """Random soft colours at that size."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
