"""Trees in leaf and firs."""

from __future__ import annotations

import cv2
import numpy as np

from training.canvas import Canvas, Colour, pick, unit, vary
from training.palette import FOLIAGE


def draw_tree(canvas: Canvas, x: float, foot: float, height: float) -> None:
    """Lays a tree: trunk, boughs, and clouds of leaves that are lit like balls."""
    rng = canvas.rng
    bark, leaf, depth = (
        pick(rng, ((0.3, 0.22, 0.16), (0.4, 0.35, 0.3), (0.75, 0.73, 0.7))),
        pick(rng, FOLIAGE),
        0.3 + 0.4 * (1 - foot),
    )
    fork = (x + height * float(rng.normal(0, 0.06)), foot - height * 0.5)
    canvas.lay(
        canvas.coverage(
            [
                (x - height * 0.045, foot),
                (fork[0] - height * 0.025, fork[1]),
                (fork[0] + height * 0.025, fork[1]),
                (x + height * 0.045, foot),
            ]
        ),
        bark,
        depth=depth,
    )
    clumps = [
        (
            fork[0] + height * float(rng.normal(0, 0.2)),
            foot - height * float(rng.uniform(0.45, 0.95)),
            height * float(rng.uniform(0.12, 0.24)),
        )
        for _ in range(rng.integers(5, 11))
    ]
    for cx, cy, _ in clumps:
        canvas.lay(
            canvas.stroke_coverage(
                [fork, ((cx + fork[0]) / 2 + 0.01, (cy + fork[1]) / 2), (cx, cy)], height * 0.022
            ),
            bark,
            depth=depth,
            same=True,
        )
    if rng.random() < 0.88:
        draw_leaves(canvas, clumps, leaf, depth)
    canvas.words.append("tree")


def draw_leaves(
    canvas: Canvas, clumps: list[tuple[float, float, float]], leaf: Colour, depth: float
) -> None:
    """Lays clumps of single leaves; the lower ones of each clump lie in shade."""
    rng, size = canvas.rng, canvas.size_px
    colour, normal = np.zeros((size, size, 3), np.uint8), np.full((size, size, 3), 128, np.uint8)
    mask = np.zeros((size, size), np.uint8)
    count, leaf_px = int(rng.integers(60, 130)), float(rng.uniform(0.006, 0.014)) * canvas.px
    for cx, cy, r in sorted(clumps, key=lambda c: -c[1]):
        angle, radius = rng.uniform(0, 6.283, count), np.sqrt(rng.random(count))
        u, v = np.cos(angle) * radius, np.sin(angle) * radius
        z = np.sqrt(np.clip(1 - radius**2, 0, 1))
        shade = (0.9 + 0.5 * (-0.7 * v + 0.5 * z - 0.25)) * rng.normal(1, 0.14, count)
        order = np.argsort(z)
        points = canvas.to_pixels(np.stack([cx + u * r, cy + v * r * 0.85], 1))
        for i in order:
            centre = (round(float(points[i, 0]) * 16), round(float(points[i, 1]) * 16))
            axes = (
                max(10, round(leaf_px * 16 * (0.7 + 0.6 * rng.random()))),
                max(8, round(leaf_px * 9)),
            )
            turn = float(rng.uniform(0, 180))
            cv2.ellipse(
                colour,
                centre,
                axes,
                turn,
                0,
                360,
                (np.clip(np.asarray(leaf) * shade[i], 0, 1) * 255).tolist(),
                -1,
                cv2.LINE_8,
                4,
            )
            cv2.ellipse(
                normal,
                centre,
                axes,
                turn,
                0,
                360,
                [127.5 + 120 * u[i], 127.5 + 120 * v[i], 127.5 + 120 * z[i]],
                -1,
                cv2.LINE_8,
                4,
            )
            cv2.ellipse(mask, centre, axes, turn, 0, 360, 255, -1, cv2.LINE_AA, 4)
    canvas.lay(
        mask.astype(np.float32) / 255,
        cv2.blur(colour, (2, 2)).astype(np.float32) / 255,
        unit(normal.astype(np.float32) - 127.5 + np.float32([0, 0, 20])),
        depth=depth - 0.01,
    )


def draw_conifer(canvas: Canvas, x: float, foot: float, height: float) -> None:
    """Lays a fir of ragged tiers."""
    rng = canvas.rng
    leaf, depth = (
        pick(rng, ((0.13, 0.25, 0.16), (0.2, 0.3, 0.2), (0.16, 0.3, 0.26))),
        0.3 + 0.4 * (1 - foot),
    )
    canvas.polygon(
        [(x - height * 0.03, foot), (x, foot - height), (x + height * 0.03, foot)],
        (0.28, 0.2, 0.15),
        depth=depth,
    )
    tiers = int(rng.integers(5, 9))
    for i in range(tiers):
        t = i / tiers
        top, bottom = foot - height * (0.3 + 0.8 * t), foot - height * (0.12 + 0.8 * t)
        half = height * 0.26 * (1.02 - t)
        rag = np.linspace(-1, 1, 11)
        hem = np.stack(
            [
                x + half * rag,
                bottom
                + height * 0.03 * rng.uniform(-1, 1, 11)
                - height * 0.05 * (1 - np.abs(rag)) * 0,
            ],
            1,
        )
        alpha = canvas.coverage(np.concatenate([[[x, min(top, bottom - 0.01)]], hem]))
        u = np.clip((canvas.xs - x) / half, -1, 1)
        normal = unit(np.dstack([u, np.full_like(u, -0.2), np.sqrt(1.05 - u * u)]))
        canvas.lay(
            alpha,
            np.clip(
                vary(rng, leaf, 0.05)
                * (0.8 + 0.6 * np.clip((bottom - canvas.ys) / (bottom - top), 0, 1))[..., None],
                0,
                1,
            ),
            normal,
            depth=depth,
            same=i > 0,
        )
        canvas.shade(alpha, canvas.fbm(60, octaves=2, stretch=0.6), 0.2)
    canvas.words.append("tree")
