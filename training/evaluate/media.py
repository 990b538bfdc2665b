"""Measure 2: whether a classifier names the medium that was asked for."""

from __future__ import annotations

import numpy as np

from training.evaluate.classifier import MediumNet, classifier, named, probabilities
from training.evaluate.drawn import CLASSES
from training.evaluate.photographs import GREY_PHOTOGRAPHS, PHOTOGRAPHS, Pixels, photographs
from training.evaluate.setting import Data, Setting, table, verdict
from training.vocabulary import MEDIA

STRENGTHS = {0.6: 0.80, 0.8: 0.95}
"""And the share of renders that should be named rightly."""
GATE = ("photograph", "oil", "watercolour", "pencil", "ink")
EITHER = ("pastel", "charcoal")
"""One of these belongs to the gate as well: the better one."""
CROPS = 40
CROP_SHARE = (0.5, 1.0)  # of the side


def measure(setting: Setting) -> Data:
    """What the classifier calls drawn pictures, photographs, and every render.

    Returns:
        `confusion` (rows are drawn, columns named), `photographs` and `grey` (share of crops called photographs, a
        photograph each) and `renders`: strength, medium, photograph, name.
    """
    net, counts = classifier()
    return {
        "classes": list(CLASSES),
        "confusion": counts.tolist(),
        "photographs": called_photographs(net, photographs(512, PHOTOGRAPHS)),
        "grey": called_photographs(net, photographs(512, GREY_PHOTOGRAPHS)),
        "renders": {str(strength): renders(setting, net, strength) for strength in STRENGTHS},
    }


def renders(setting: Setting, net: MediumNet, strength: float) -> dict[str, dict[str, str]]:
    """What each photograph in each medium is called: medium, photograph, name."""
    return {
        medium: {
            name: called(setting, net, source, medium, strength)
            for name, source in setting.sources.items()
        }
        for medium in CLASSES
    }


def called(setting: Setting, net: MediumNet, source: Pixels, medium: str, strength: float) -> str:
    """The name for a render in that medium."""
    return named(net, setting.paint(source, MEDIA[medium][0], strength=strength))


def called_photographs(net: MediumNet, pictures: dict[str, Pixels]) -> dict[str, float]:
    """The share of random crops of each photograph that is called a photograph."""
    rng = np.random.default_rng(2)
    shares = {}
    for name, picture in pictures.items():
        names = []
        for _ in range(CROPS):
            side = round(picture.shape[0] * rng.uniform(*CROP_SHARE))
            top, left = rng.integers(0, picture.shape[0] - side + 1, 2)
            crop = picture[top : top + side, left : left + side]
            names.append(CLASSES[int(probabilities(net, crop).argmax())])
        shares[name] = names.count("photograph") / CROPS
    return shares


def right(found: Data, strength: float, medium: str) -> float:
    """The share of renders in a medium that are called by its name."""
    names = list(found["renders"][str(strength)][medium].values())
    return names.count(medium) / len(names)


def gate(found: Data, strength: float) -> float:
    """The share over the six media that come first."""
    shares = [right(found, strength, medium) for medium in GATE]
    return float(np.mean([*shares, max(right(found, strength, medium) for medium in EITHER)]))


def lines(found: Data) -> list[str]:
    """The figures, to read."""
    counts = np.array(found["confusion"])
    mean_share = float(np.mean(list(found["photographs"].values())))
    written = ["Held-out drawn pictures (rows) and what the classifier calls them:", ""]
    written += table(
        ["drawn", *found["classes"]],
        [[c, *row] for c, row in zip(found["classes"], counts, strict=True)],
    )
    written += ["", verdict("drawn pictures called rightly", counts.trace() / counts.sum(), 0.95)]
    written.append(verdict("photographs called photographs", mean_share, 0.95))
    for kind in ("photographs", "grey"):
        written.append(
            f"  {kind}: " + ", ".join(f"{name} {share:.0%}" for name, share in found[kind].items())
        )
    written += [
        "",
        "Renders called by the medium that was asked for, and what the others were called:",
        "",
    ]
    for strength, target in STRENGTHS.items():
        rows = [render_row(found, strength, medium) for medium in (*GATE, *EITHER)]
        rows += [
            render_row(found, strength, c) for c in found["classes"] if c not in (*GATE, *EITHER)
        ]
        everything = float(np.mean([right(found, strength, medium) for medium in found["classes"]]))
        written += table([f"at {strength}", "rightly", "else"], rows)
        written.append(verdict(f"six media at strength {strength}", gate(found, strength), target))
        written += [verdict(f"all media at strength {strength}", everything, target), ""]
    return written


def render_row(found: Data, strength: float, medium: str) -> tuple[str, str, str]:
    """A medium, its share, and what its other renders were called."""
    names = found["renders"][str(strength)][medium]
    others = ", ".join(
        f"{photograph}: {name}" for photograph, name in names.items() if name != medium
    )
    return medium, f"{right(found, strength, medium):.0%}", others
