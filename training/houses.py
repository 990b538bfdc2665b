"""Country houses."""

from __future__ import annotations

from training.canvas import Canvas, pick
from training.palette import ROOFS, WALLS


def draw_house(canvas: Canvas, x: float, foot: float, width: float) -> None:
    """Lays a house of two walls, a roof, windows and a door."""
    rng = canvas.rng
    wall, roof, h, turn = (
        pick(rng, WALLS),
        pick(rng, ROOFS),
        width * float(rng.uniform(0.5, 0.9)),
        width * float(rng.uniform(0.25, 0.6)),
    )
    depth, rise, up = 0.35 + 0.4 * (1 - foot), width * float(rng.uniform(0.25, 0.5)), 0.02
    side = [
        (x + width, foot),
        (x + width + turn, foot - up),
        (x + width + turn, foot - h),
        (x + width, foot - h),
    ]
    front = [
        (x, foot),
        (x + width, foot),
        (x + width, foot - h),
        (x + width / 2, foot - h - rise),
        (x, foot - h),
    ]
    canvas.shade(canvas.polygon(side, wall * 0.8, (0.8, 0, 0.6), depth=depth), canvas.fbm(40), 0.04)
    canvas.shade(canvas.polygon(front, wall, (-0.35, 0, 0.93), depth=depth), canvas.fbm(40), 0.04)
    slab = [
        (x + width / 2, foot - h - rise),
        (x + width / 2 + turn, foot - h - rise),
        (x + width + turn + 0.02, foot - h + 0.02),
        (x + width + 0.01, foot - h + 0.02),
    ]
    canvas.shade(
        canvas.polygon(slab, roof, (0.45, -0.6, 0.65), depth=depth), canvas.fbm(30, stretch=3), 0.1
    )
    eaves = canvas.stroke_coverage(
        [
            (x - 0.015, foot - h + 0.015),
            (x + width / 2, foot - h - rise),
            (x + width + 0.01, foot - h + 0.015),
        ],
        width * 0.05,
    )
    canvas.lay(eaves, roof * 0.8, (-0.3, -0.6, 0.7), depth=depth)
    glass = pick(rng, ((0.15, 0.18, 0.22), (0.4, 0.5, 0.58), (0.95, 0.8, 0.45)))
    w = width * 0.16
    for cx, cy in ((0.25, 0.6), (0.75, 0.6), (0.5, 1.05)):
        px, py = x + width * cx, foot - h * cy
        canvas.polygon(
            [
                (px - w * 0.62, py - w * 0.75),
                (px + w * 0.62, py - w * 0.75),
                (px + w * 0.62, py + w * 0.75),
                (px - w * 0.62, py + w * 0.75),
            ],
            (0.92, 0.9, 0.86),
            depth=depth,
            same=True,
        )
        canvas.polygon(
            [
                (px - w * 0.48, py - w * 0.6),
                (px + w * 0.48, py - w * 0.6),
                (px + w * 0.48, py + w * 0.6),
                (px - w * 0.48, py + w * 0.6),
            ],
            glass,
            depth=depth,
        )
    canvas.polygon(
        [
            (x + width * 0.43, foot),
            (x + width * 0.57, foot),
            (x + width * 0.57, foot - h * 0.42),
            (x + width * 0.43, foot - h * 0.42),
        ],
        pick(rng, ROOFS) * 0.8,
        depth=depth,
    )
    canvas.words.append("house")
