"""Writes a package ``torchvision`` that has AlexNet and VGG16 and nothing else, with random weights.

The real one must be built for the very torch that is installed, and fetches its weights.
"""

from pathlib import Path

_PACKAGE = "from . import models, ops, transforms\n"
_ANYTHING = """
def __getattr__(name):  # imported with torchmetrics, and not called here
    if name.startswith("_"):
        raise AttributeError(name)
    return None
"""
_MODELS = """
import enum
import torch
from torch import nn


class _Weights(enum.Enum):
    DEFAULT = 1


AlexNet_Weights = VGG16_Weights = SqueezeNet1_1_Weights = _Weights


class Network(nn.Module):
    def __init__(self, layers, weights):
        super().__init__()
        if weights is not None and FAILS:
            raise OSError("<urlopen error no route to host>")
        with torch.random.fork_rng():
            torch.manual_seed(1)
            self.features = nn.Sequential(*layers())


def alexnet(weights=None):  # Krizhevsky 2014, as torchvision has it
    def layers():
        return [
            nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(True), nn.MaxPool2d(3, 2),
            nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(True), nn.MaxPool2d(3, 2),
            nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(True),
            nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(True),
            nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(True), nn.MaxPool2d(3, 2),
        ]
    return Network(layers, weights)


def vgg16(weights=None):  # Simonyan & Zisserman 2014, configuration D
    def layers():
        made, channels = [], 3
        for width in (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0):
            made += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(True)] if width else [nn.MaxPool2d(2, 2)]
            channels = width or channels
        return made
    return Network(layers, weights)
"""


def write_stand_in(folder: Path, *, fails: bool = False) -> Path:
    """The folder to put into ``PYTHONPATH``; ``fails`` where weights cannot be fetched."""
    package = folder / "torchvision"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text(_PACKAGE)
    for name in ("ops", "transforms"):
        (package / f"{name}.py").write_text(_ANYTHING)
    (package / "models" / "__init__.py").write_text(f"FAILS = {fails}\n{_MODELS}{_ANYTHING}")
    about = folder / "torchvision-0.99.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: torchvision\nVersion: 0.99\n")
    return folder
