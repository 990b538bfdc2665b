"""Measure 3: how outlines and shapes leave the source as strength rises."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
from PIL import Image

from training.evaluate.setting import FULL_SIZE_PX, Data, Pixels, Setting, table
from underpaint.fidelity.edges import edge_f1
from underpaint.fidelity.structure import luminance, ms_ssim

PROMPT = "oil painting"
STRENGTHS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
BLURS_PX = (1, 2, 4, 8, 16, 32)  # sigma at 512²
SHUFFLED_AT = 0.6
SMALL_RISE = 0.01  # rises below it are counted apart


def measure(setting: Setting) -> Data:
    """The curves of each photograph over ten strengths and six blurs, and its likeness to the others at .6.

    Returns:
        A photograph each: `strengths` and `blurs`, lists of (edge F1, MS-SSIM); `own` and `shuffled`, edge F1 at .6.
    """
    found: Data = {}
    kept: dict[str, Pixels] = {}
    for name, source in setting.sources.items():
        curve = []
        for strength in STRENGTHS:
            made = setting.paint(source, PROMPT, strength=strength)
            curve.append(likeness(source, made))
            if strength == SHUFFLED_AT:
                kept[name] = made
        blurs = [likeness(source, blurred(source, sigma)) for sigma in BLURS_PX]
        found[name] = {"strengths": curve, "blurs": blurs}
    for name, made in kept.items():
        others = [source for other, source in setting.sources.items() if other != name]
        found[name]["own"] = likeness(setting.sources[name], made)[0]
        found[name]["shuffled"] = float(np.mean([likeness(other, made)[0] for other in others]))
    return found


def likeness(source: Pixels, made: Pixels) -> tuple[float, float]:
    """Edge F1 with a tolerance of 2 pixels and MS-SSIM, both 0…1, at the pictures' own size."""
    a, b = (luminance(Image.fromarray(picture)) for picture in (source, made))
    return edge_f1(a, b), ms_ssim(a, b)


def blurred(source: Pixels, sigma_px: float) -> Pixels:
    """The source blurred by a Gaussian whose sigma holds for 512 pixels a side."""
    return cv2.GaussianBlur(source, (0, 0), sigma_px * source.shape[0] / FULL_SIZE_PX)


def rises(values: list[float]) -> list[float]:
    """By how much a curve rises where it should fall."""
    return [after - before for before, after in pairwise(values) if after > before]


def lines(found: Data) -> list[str]:
    """The figures, to read."""
    written: list[str] = []
    for i, what in enumerate(("edge F1", "MS-SSIM")):
        curves = {name: [point[i] for point in one["strengths"]] for name, one in found.items()}
        rows = [
            [name, *(f"{value:.3f}" for value in curve), note(curve)]
            for name, curve in curves.items()
        ]
        written += [*table([f"{what} at", *map(str, STRENGTHS), "falls"], rows), ""]
        rows = [
            [name, *(f"{point[i]:.3f}" for point in one["blurs"])] for name, one in found.items()
        ]
        written += [*table([f"{what}, blurred", *(f"{sigma} px" for sigma in BLURS_PX)], rows), ""]
        falling = sum(not rises(curve) for curve in curves.values())
        steady = sum(max(rises(curve), default=0) <= SMALL_RISE for curve in curves.values())
        all_of = f"of {len(curves)} photographs"
        written.append(f"{what} falls monotonically: {falling} {all_of}, target all")
        written += [f"{what} never rises by more than {SMALL_RISE}: {steady} {all_of}", ""]
    rows = [[name, f"{one['own']:.3f}", f"{one['shuffled']:.3f}"] for name, one in found.items()]
    means = [np.mean([one[key] for one in found.values()]) for key in ("own", "shuffled")]
    return [
        *written,
        *table(
            [f"edge F1 at {SHUFFLED_AT}", "own source", "the others, mean"],
            [*rows, ["mean", *(f"{m:.3f}" for m in means)]],
        ),
    ]


def note(curve: list[float]) -> str:
    """Whether a curve falls, and by how much it rises at most where it does not."""
    up = rises(curve)
    return f"but +{max(up):.3f}" if up else "yes"
