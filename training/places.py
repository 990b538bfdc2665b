"""Places built by people: streets and skylines."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from training.canvas import Canvas, Colour, mix, pick, smoothstep, unit
from training.grounds import draw_water
from training.landscapes import draw_sky
from training.palette import WALLS
from training.trees import draw_tree

Point = tuple[float, float]


def quad_grid(
    canvas: Canvas,
    corners: list[Point],
    columns: int,
    rows: int,
    colour: Colour,
    normal: Colour,
    *,
    fill: float,
    depth: float,
) -> None:
    """Lays a grid of windows inside a quadrilateral given as top left, top right, bottom right, bottom left."""
    tl, tr, br, bl = (np.asarray(c, np.float64) for c in corners)

    def at(u: float, v: float) -> Point:
        p = (1 - v) * ((1 - u) * tl + u * tr) + v * ((1 - u) * bl + u * br)
        return float(p[0]), float(p[1])

    gap = (1 - fill) / 2
    cover = np.zeros_like(canvas.xs)
    for row in range(rows):
        for col in range(columns):
            u0, u1, v0, v1 = (
                (col + gap) / columns,
                (col + 1 - gap) / columns,
                (row + gap) / rows,
                (row + 1 - gap) / rows,
            )
            cover = np.maximum(
                cover, canvas.coverage([at(u0, v0), at(u1, v0), at(u1, v1), at(u0, v1)])
            )
    tones = mix(
        colour, np.asarray(colour) * 0.5 + 0.35, smoothstep(-0.5, 1.5, canvas.fbm(12, octaves=2))
    )
    canvas.lay(cover, tones, normal, depth=depth)


def draw_city(canvas: Canvas) -> None:
    """Draws a skyline of blocks seen over a street or over water."""
    rng = canvas.rng
    ground = float(rng.uniform(0.68, 0.85))
    haze, sun = draw_sky(canvas, ground)
    glass = pick(
        rng, ((0.15, 0.18, 0.23), (0.35, 0.45, 0.52), (0.95, 0.8, 0.45), (0.25, 0.24, 0.24))
    )
    count = int(rng.integers(4, 10))
    for i in range(count):
        near = (i + 1) / count
        x, w, h = (
            float(rng.uniform(-0.1, 0.95)),
            float(rng.uniform(0.1, 0.25)),
            float(rng.uniform(0.15, 0.62)) * (1.15 - 0.5 * near),
        )
        wall = mix(pick(rng, WALLS), haze, 0.45 * (1 - near))
        turn, depth = w * float(rng.uniform(0.2, 0.5)), 0.9 - 0.3 * near
        drop = 0.03 * h / 0.4
        front: list[Point] = [
            (x, ground - h),
            (x + w, ground - h),
            (x + w, ground + 0.02),
            (x, ground + 0.02),
        ]
        side: list[Point] = [
            (x + w, ground - h),
            (x + w + turn, ground - h + drop),
            (x + w + turn, ground + 0.01),
            (x + w, ground + 0.02),
        ]
        canvas.shade(
            canvas.polygon(front, wall, unit(np.float32([-0.4, 0, 0.9])), depth=depth),
            canvas.fbm(25),
            0.05,
        )
        canvas.shade(
            canvas.polygon(side, wall * 0.72, unit(np.float32([0.85, 0, 0.5])), depth=depth),
            canvas.fbm(25),
            0.05,
        )
        columns, rows = int(rng.integers(2, 5)), int(np.clip(h * 16, 2, 9))
        quad_grid(
            canvas,
            front,
            columns,
            rows,
            mix(glass, haze, 0.4 * (1 - near)),
            unit(np.float32([-0.4, 0, 0.9])),
            fill=0.55,
            depth=depth,
        )
        quad_grid(
            canvas,
            side,
            2,
            rows,
            mix(glass * 0.8, haze, 0.4 * (1 - near)),
            unit(np.float32([0.85, 0, 0.5])),
            fill=0.5,
            depth=depth,
        )
    if rng.random() < 0.4:
        draw_water(canvas, ground, sun)
    else:
        alpha = np.clip((canvas.ys - ground) * canvas.px + 0.5, 0, 1)
        canvas.lay(
            alpha,
            mix(pick(rng, ((0.4, 0.4, 0.41), (0.6, 0.57, 0.52))), haze, 0.15),
            (0, -0.85, 0.5),
            depth=0.6,
        )
        canvas.shade(alpha, canvas.fbm(20, stretch=4), 0.06)
        for x in rng.uniform(0, 1, int(rng.integers(0, 4))):
            draw_tree(canvas, float(x), ground + 0.06, float(rng.uniform(0.15, 0.35)))
    canvas.words.append("city")


def draw_street(canvas: Canvas) -> None:
    """Draws a street or corridor in one-point perspective."""
    rng = canvas.rng
    vx, vy = float(rng.uniform(0.35, 0.65)), float(rng.uniform(0.4, 0.58))
    haze, _ = draw_sky(canvas, vy + 0.1)
    ground = canvas.coverage([(vx - 1.86, vy + 1.51), (vx + 1.86, vy + 1.51), (vx, vy)])
    canvas.lay(
        ground,
        pick(rng, ((0.45, 0.44, 0.43), (0.6, 0.55, 0.48), (0.35, 0.35, 0.37))),
        (0, -0.85, 0.5),
        depth=np.clip(0.9 - (canvas.ys - vy), 0.2, 0.9),
    )
    canvas.shade(ground, canvas.fbm(18, stretch=3), 0.08)
    end: list[Point] = [
        (vx - 0.085, vy - 0.13),
        (vx + 0.085, vy - 0.13),
        (vx + 0.085, vy + 0.068),
        (vx - 0.085, vy + 0.068),
    ]
    canvas.polygon(end, mix(pick(rng, WALLS), haze, 0.5), depth=0.92)
    for side in (-1, 1):
        edges = np.sort(
            np.concatenate([[1.0, 0.12], rng.uniform(0.15, 0.9, int(rng.integers(2, 5)))])
        )
        for far, near in pairwise(edges):
            wall, top, half = pick(rng, WALLS), float(rng.uniform(0.45, 1.1)), 0.62

            def at(t: float, h: float, side: int = side, half: float = half) -> Point:
                return vx + side * half * t, vy + (0.42 - h) * t * 1.2

            face = [at(far, top), at(near, top), at(near, 0), at(far, 0)]
            normal = unit(np.float32([-side * 0.85, 0, 0.5]))
            tone = mix(wall, haze, 0.5 * (1 - float(near)))
            depth = 0.9 - 0.5 * float(near)
            canvas.shade(
                canvas.polygon(face, tone * (0.95 if side < 0 else 0.75), normal, depth=depth),
                canvas.fbm(22),
                0.06,
            )
            quad_grid(
                canvas,
                [at(far, top * 0.92), at(near, top * 0.92), at(near, 0.12), at(far, 0.12)],
                int(rng.integers(1, 4)),
                int(rng.integers(2, 4)),
                tone * 0.35,
                normal,
                fill=0.5,
                depth=depth,
            )
    canvas.words.extend(("city", "street"))
