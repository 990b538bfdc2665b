"""Rooms: floor, walls, a window and furniture."""

from __future__ import annotations

import numpy as np

from training.canvas import Canvas, Colour, mix, pick, smoothstep, vary
from training.palette import CLOTHS, WALLS, WOODS
from training.places import Point, quad_grid
from training.vessels import draw_vessel


def draw_room(canvas: Canvas) -> None:
    """Draws a room: floor, walls, a window with light, furniture."""
    rng = canvas.rng
    wall, floor = pick(rng, WALLS + CLOTHS), pick(rng, WOODS)
    x0, x1, y0, y1 = (
        float(rng.uniform(0.1, 0.3)),
        float(rng.uniform(0.7, 0.92)),
        float(rng.uniform(0.08, 0.22)),
        float(rng.uniform(0.6, 0.75)),
    )
    canvas.lay(np.ones_like(canvas.xs), wall, depth=0.95)
    canvas.polygon(
        [(x0, y0), (x0, y1), (-0.35, 1.15), (-0.35, -0.2)], wall * 0.85, (0.85, 0, 0.5), depth=0.8
    )
    canvas.polygon(
        [(x1, y0), (x1, y1), (1.35, 1.15), (1.35, -0.2)], wall * 0.9, (-0.85, 0, 0.5), depth=0.8
    )
    canvas.polygon(
        [(x0, y0), (x1, y0), (1.35, -0.2), (-0.35, -0.2)],
        np.minimum(wall * 1.08, 1),
        (0, 0.8, 0.6),
        depth=0.8,
    )
    boards = canvas.polygon(
        [(x0, y1), (x1, y1), (1.35, 1.15), (-0.35, 1.15)], floor, (0, -0.85, 0.5), depth=0.7
    )
    canvas.shade(boards, canvas.fbm(10, stretch=5), 0.1)
    canvas.darken(
        0.3 * np.exp(-np.abs(canvas.ys - y1) * 18) + 0.15 * np.exp(-np.abs(canvas.ys - y0) * 18)
    )
    wx, ww, wy, wh = (
        float(rng.uniform(x0 + 0.05, x1 - 0.25)),
        float(rng.uniform(0.12, 0.22)),
        float(rng.uniform(y0 + 0.04, 0.3)),
        float(rng.uniform(0.18, 0.28)),
    )
    frame: list[Point] = [(wx, wy), (wx + ww, wy), (wx + ww, wy + wh), (wx, wy + wh)]
    canvas.polygon(
        [
            (wx - 0.015, wy - 0.015),
            (wx + ww + 0.015, wy - 0.015),
            (wx + ww + 0.015, wy + wh + 0.015),
            (wx - 0.015, wy + wh + 0.015),
        ],
        (0.93, 0.92, 0.9),
        depth=0.94,
    )
    view = mix(
        pick(rng, ((0.75, 0.85, 0.95), (0.2, 0.25, 0.35), (0.95, 0.9, 0.75))),
        (0.4, 0.5, 0.3),
        smoothstep(wy + wh * 0.5, wy + wh, canvas.ys + 0.02 * canvas.fbm(8)),
    )
    quad_grid(
        canvas, frame, 2, int(rng.integers(1, 4)), (0.5, 0.5, 0.5), (0, 0, 1), fill=0.88, depth=0.96
    )
    canvas.lay(
        np.clip(
            canvas.coverage(frame)
            - canvas.stroke_coverage([(wx + ww / 2, wy), (wx + ww / 2, wy + wh)], 0.012),
            0,
            1,
        )
        * 0.85,
        view,
        depth=0.97,
        same=True,
    )
    canvas.words.extend(("room", "window"))
    draw_box(
        canvas,
        float(rng.uniform(0.15, 0.5)),
        float(rng.uniform(0.82, 0.95)),
        float(rng.uniform(0.25, 0.4)),
        float(rng.uniform(0.1, 0.25)),
        pick(rng, WOODS + CLOTHS),
    )
    if rng.random() < 0.6:
        draw_vessel(
            canvas,
            float(rng.uniform(0.3, 0.6)),
            float(rng.uniform(0.66, 0.74)),
            float(rng.uniform(0.03, 0.06)),
        )


def draw_box(canvas: Canvas, x: float, foot: float, w: float, h: float, colour: Colour) -> None:
    """Lays a box with three visible faces (a chest, a table, a sofa's body) and its shadow."""
    rng = canvas.rng
    turn, lift = w * float(rng.uniform(0.2, 0.45)), h * float(rng.uniform(0.25, 0.5))
    u, v = canvas.local(x + w * 0.6, foot, w * 0.8, h * 0.35)
    canvas.darken(0.5 * np.exp(-(u * u + v * v) * 1.4))
    for face, share, normal in (
        ([(x, foot), (x + w, foot), (x + w, foot - h), (x, foot - h)], 0.9, (-0.3, 0, 0.95)),
        (
            [
                (x + w, foot),
                (x + w + turn, foot - lift),
                (x + w + turn, foot - h - lift),
                (x + w, foot - h),
            ],
            0.65,
            (0.85, 0, 0.5),
        ),
        (
            [
                (x, foot - h),
                (x + w, foot - h),
                (x + w + turn, foot - h - lift),
                (x + turn, foot - h - lift),
            ],
            1.08,
            (0, -0.9, 0.4),
        ),
    ):
        alpha = canvas.polygon(
            face,
            np.minimum(vary(rng, colour, 0.01) * share, 1),
            normal,
            depth=0.55 if share < 1 else 0.56,
        )
        canvas.shade(alpha, canvas.fbm(14, stretch=3), 0.05)
