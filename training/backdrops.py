"""What stands behind and beneath: walls, studio sweeps, rooms out of focus, tables."""

from __future__ import annotations

import cv2
import numpy as np

from training.canvas import Canvas, mix, pick, smoothstep
from training.palette import BACKDROPS, CLOTHS, WOODS


def draw_backdrop(canvas: Canvas) -> None:
    """Lays a wall, a studio sweep or an out-of-focus room behind everything."""
    rng = canvas.rng
    tone = pick(rng, BACKDROPS, 0.02)
    colour = mix(
        tone,
        tone * float(rng.uniform(0.6, 1)),
        np.clip(np.hypot(canvas.xs - rng.uniform(0.2, 0.8), canvas.ys - 0.4), 0, 1),
    )
    kind = rng.random()
    if kind < 0.35:
        colour = colour * (1 + 0.05 * canvas.fbm(3)[..., None])
    elif kind < 0.6:
        patches = mix(
            colour, pick(rng, BACKDROPS, 0.1), smoothstep(-0.3, 0.5, canvas.fbm(2, octaves=2))
        )
        lights = smoothstep(1.2, 1.6, canvas.fbm(9, octaves=1)) * 0.5
        colour = mix(
            patches,
            pick(rng, ((0.95, 0.85, 0.6), (0.7, 0.8, 0.6), (0.8, 0.85, 0.95))),
            cv2.GaussianBlur(lights, (0, 0), 3),
        )
    canvas.lay(np.ones_like(canvas.xs), np.clip(colour, 0, 1), depth=0.98)


def draw_table(canvas: Canvas, edge: float) -> None:
    """Lays a table top from `edge` downwards: wood, cloth, or the same white as the wall."""
    rng = canvas.rng
    alpha = np.clip((canvas.ys - edge) * canvas.px + 0.5, 0, 1)
    kind = rng.random()
    normal = (0.0, -0.8, 0.6)
    depth = 0.9 - 0.5 * np.clip((canvas.ys - edge) / (1 - edge), 0, 1)
    if kind < 0.45:
        wood = pick(rng, WOODS)
        grain = canvas.fbm(8, stretch=9, gain=0.7)
        colour = mix(wood, wood * 0.6, smoothstep(-1, 1.5, grain) * 0.6)
    elif kind < 0.8:
        cloth = pick(rng, CLOTHS)
        folds = canvas.fbm(3, octaves=3, gain=0.4)
        colour = cloth * (1 + 0.1 * folds)[..., None]
        if rng.random() < 0.3:
            checks = (np.sin(canvas.xs * 60) > 0) ^ (np.sin(canvas.ys * 90) > 0)
            colour = mix(colour, cloth * 0.6, checks.astype(np.float32) * 0.6)
    else:
        soft = smoothstep(edge - 0.05, edge + 0.12, canvas.ys)
        alpha, colour = soft, canvas.albedo * 0.95
    canvas.lay(alpha, np.clip(colour, 0, 1), normal, depth=depth)
