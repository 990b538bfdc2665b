"""Flowers: in a vase, or close by."""

from __future__ import annotations

import cv2
import numpy as np

from training.backdrops import draw_backdrop
from training.canvas import Canvas, mix, pick, smoothstep, vary
from training.palette import PETALS


def draw_flowers(canvas: Canvas) -> None:
    """Draws blossoms close by, before leaves out of focus."""
    rng = canvas.rng
    draw_backdrop(canvas)
    leaves = cv2.GaussianBlur(canvas.fbm(6, octaves=3), (0, 0), canvas.size_px / 80)
    if rng.random() < 0.6:
        canvas.lay(
            smoothstep(-0.8, 0.8, leaves),
            mix((0.15, 0.25, 0.12), (0.4, 0.5, 0.25), smoothstep(0, 2, leaves)),
            depth=0.95,
        )
    for i in range(rng.integers(2, 8)):
        x, y, r = (
            float(rng.uniform(0.1, 0.9)),
            float(rng.uniform(0.15, 0.8)),
            float(rng.uniform(0.08, 0.22)),
        )
        depth = 0.8 - 0.08 * i
        canvas.lay(
            canvas.stroke_coverage([(x, y), (x + 0.05, 1.05)], 0.012),
            (0.25, 0.4, 0.18),
            depth=depth,
        )
        for _ in range(2):
            canvas.ellipsoid(
                x + float(rng.normal(0, 0.12)),
                y + 0.25,
                0.14,
                0.035,
                pick(rng, ((0.25, 0.4, 0.17), (0.35, 0.45, 0.2))),
                angle=float(rng.uniform(-1, 1)),
                depth=depth,
                flat=0.6,
            )
        draw_blossom(canvas, x, y, r, depth - 0.01)
    canvas.words.append("flowers")


def draw_bouquet(canvas: Canvas, x: float, y: float, r: float, depth: float) -> None:
    """Lays stems, leaves and blossoms above (x, y)."""
    rng = canvas.rng
    for _ in range(rng.integers(4, 12)):
        hx, hy = x + r * float(rng.normal(0, 0.8)), y - r * float(rng.uniform(0.6, 2.2))
        canvas.lay(
            canvas.stroke_coverage([(x, y), ((x + hx) / 2, (y + hy) / 2 + 0.02), (hx, hy)], 0.006),
            (0.25, 0.38, 0.16),
            depth=depth,
        )
        if rng.random() < 0.7:
            t = float(rng.uniform(0.3, 0.8))
            canvas.ellipsoid(
                x + (hx - x) * t,
                y + (hy - y) * t,
                r * 0.3,
                r * 0.1,
                pick(rng, ((0.25, 0.4, 0.17), (0.35, 0.45, 0.2))),
                angle=float(rng.uniform(0, 3.1)),
                depth=depth,
                flat=0.6,
            )
        draw_blossom(canvas, hx, hy, r * float(rng.uniform(0.2, 0.42)), depth - 0.01)
    canvas.words.append("flowers")


def draw_blossom(canvas: Canvas, x: float, y: float, r: float, depth: float) -> None:
    """Lays one flower of rings of petals around a heart."""
    rng = canvas.rng
    petal, count, squash = pick(rng, PETALS), int(rng.integers(5, 11)), float(rng.uniform(0.6, 1))
    for ring in (1.0, 0.6) if rng.random() < 0.5 else (1.0,):
        for a in rng.uniform(0, 6.28) + np.arange(count) * 6.283 / count:
            px, py = x + np.cos(a) * r * 0.55 * ring, y + np.sin(a) * r * 0.55 * ring * squash
            canvas.ellipsoid(
                px,
                py,
                r * 0.5 * ring,
                r * 1.5 / count * ring,
                np.clip(vary(rng, petal, 0.05), 0, 1),
                angle=float(np.arctan2(np.sin(a) * squash, np.cos(a))),
                depth=depth,
                flat=0.7,
            )
    canvas.ellipsoid(
        x,
        y,
        r * 0.22,
        r * 0.2,
        pick(rng, ((0.85, 0.65, 0.15), (0.3, 0.2, 0.1), petal)),
        depth=depth,
    )
