"""Still lifes: tables with fruit, bottles, bowls, cups and vases."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from training.backdrops import draw_backdrop, draw_table
from training.canvas import Canvas
from training.vessels import draw_bottle, draw_fruit, draw_vessel


def draw_still_life(canvas: Canvas) -> None:
    """Draws a table with a few bodies, the far ones first."""
    rng = canvas.rng
    draw_backdrop(canvas)
    draw_table(canvas, float(rng.uniform(0.45, 0.72)))
    kinds: list[Callable[[Canvas, float, float, float], None]] = [
        draw_fruit,
        draw_bottle,
        draw_vessel,
    ]
    feet = np.sort(rng.uniform(0.68, 0.94, int(rng.integers(1, 7))))
    slots = (
        rng.permutation(np.linspace(0.14, 0.86, len(feet))) if len(feet) > 1 else np.array([0.5])
    )
    scale = float(rng.uniform(0.75, 1.5))
    for foot, x in zip(feet, slots, strict=True):
        kind = kinds[int(rng.choice(3, p=[0.42, 0.2, 0.38]))]
        r = scale * float(rng.uniform(0.07, 0.12)) * (0.75 if kind is draw_bottle else 1)
        kind(canvas, float(x + rng.normal(0, 0.03)), float(foot), r)
