"""What lies before the horizon: water with boats, meadows and paths."""

from __future__ import annotations

import cv2
import numpy as np

from training.canvas import Canvas, Colour, mix, normals_of, pick, smoothstep, unit, vary
from training.palette import GROUNDS, ROCKS

UP = (0.0, -0.85, 0.53)


def draw_water(canvas: Canvas, shore: float, sun: Colour) -> None:
    """Lays water that mirrors what stands above the shore, broken by ripples."""
    rng, size = canvas.rng, canvas.size_px
    alpha = np.clip((canvas.ys - shore) * canvas.px + 0.5, 0, 1)
    near = np.clip((canvas.ys - shore) / max(0.1, 1 - shore), 0, 1)
    ripple = canvas.fbm(float(rng.uniform(5, 9)), stretch=5, gain=0.65)
    strength = float(rng.choice([0.004, 0.012, 0.03]))
    mirrored = 2 * shore - canvas.ys + ripple * strength * (0.3 + near)
    ys = np.clip((mirrored - canvas.y0) * canvas.px - 0.5, 0, size - 1).astype(np.float32)
    xs = ((canvas.xs - canvas.x0) * canvas.px - 0.5 + ripple * 0.4).astype(np.float32)
    mirror = cv2.remap(canvas.albedo, xs, ys, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    body = pick(rng, ((0.15, 0.3, 0.38), (0.2, 0.35, 0.35), (0.12, 0.22, 0.35), (0.4, 0.5, 0.52)))
    colour = mix(mirror * 0.9, body, np.clip(0.2 + 0.45 * near + 0.1 * ripple, 0, 0.85))
    colour = mix(colour, sun, smoothstep(1.3, 2.4, ripple) * (0.3 + 0.5 * near))
    canvas.lay(
        alpha,
        np.clip(colour, 0, 1),
        unit(normals_of(ripple, size / 90) + np.float32([0, -0.35, 0])),
        depth=0.8 - 0.4 * near,
    )
    canvas.words.append("lake" if rng.random() < 0.6 else "sea")


def draw_boat(canvas: Canvas, x: float, y: float, length: float) -> None:
    """Lays a boat with its reflection, with or without a sail."""
    rng = canvas.rng
    hull, depth = (
        pick(rng, ((0.85, 0.83, 0.8), (0.5, 0.25, 0.18), (0.2, 0.3, 0.42), (0.3, 0.22, 0.16))),
        0.75 - 0.4 * y,
    )
    rim = [
        (x - length / 2, y - length * 0.1),
        (x + length / 2, y - length * 0.14),
        (x + length * 0.36, y + length * 0.06),
        (x - length * 0.36, y + length * 0.06),
    ]
    canvas.lay(
        canvas.coverage([(px, 2 * (y + length * 0.06) - py) for px, py in rim]) * 0.5,
        hull * 0.5,
        same=True,
    )
    if rng.random() < 0.6:
        cloth = pick(rng, ((0.95, 0.93, 0.87), (0.8, 0.4, 0.25), (0.9, 0.9, 0.92)), 0.03)
        for side, reach in ((1, 0.42), (-1, 0.34)):
            sail = [
                (x, y - length * 1.15),
                (x + side * length * reach, y - length * 0.22),
                (x, y - length * 0.2),
            ]
            canvas.lay(
                canvas.coverage([(px, 2 * y - py) for px, py in sail]) * 0.35,
                cloth * 0.85,
                same=True,
            )
            canvas.polygon(sail, cloth, unit(np.float32([side * 0.5, 0, 0.8])), depth=depth)
        canvas.lay(
            canvas.stroke_coverage([(x, y - length * 1.2), (x, y)], length * 0.025),
            (0.25, 0.18, 0.13),
            depth=depth,
        )
    canvas.polygon(rim, hull, (0, 0.25, 0.97), depth=depth)
    canvas.lay(
        canvas.stroke_coverage(rim[:2], length * 0.03), hull * 0.6 + 0.3, depth=depth, same=True
    )
    canvas.words.append("boat")


def draw_meadow(canvas: Canvas, line: float, *, slope: float) -> None:
    """Lays ground with grass that grows longer towards the viewer, and perhaps flowers and stones."""
    rng, size = canvas.rng, canvas.size_px
    top = line + slope * (canvas.xs - 0.5) + 0.012 * canvas.fbm(4, stretch=0.3)
    alpha = np.clip((canvas.ys - top) * canvas.px + 0.5, 0, 1)
    near = np.clip((canvas.ys - line) / max(0.1, 1 - line), 0, 1)
    base = pick(rng, GROUNDS)
    colour = mix(mix(base, (0.7, 0.72, 0.65), 0.25), base * 0.85, near)
    patches = canvas.fbm(3, stretch=3)
    colour = mix(colour, pick(rng, GROUNDS, 0.08), smoothstep(0, 1.5, patches) * 0.6)
    far, blades = (
        canvas.fbm(28, stretch=2.5, octaves=3, gain=0.8),
        canvas.fbm(40, stretch=0.25, octaves=3, gain=0.8),
    )
    texture = far * (1 - near) + blades * near
    colour = colour * (1 + 0.13 * np.clip(texture, -2, 2))[..., None]
    normal = unit(normals_of(texture, size / 220) + np.float32(UP))
    canvas.lay(alpha, np.clip(colour, 0, 1), normal, depth=0.8 - 0.6 * near)
    if rng.random() < 0.35:
        hue = pick(rng, ((0.85, 0.2, 0.2), (0.95, 0.85, 0.3), (0.95, 0.93, 0.95), (0.6, 0.4, 0.75)))
        for _ in range(rng.integers(30, 160)):
            y = line + (1 - line) * float(rng.random()) ** 0.7
            r = 0.002 + 0.012 * (y - line)
            spot(canvas, float(rng.random()), y + 0.02, r, vary(rng, hue, 0.06))
        canvas.words.append("flowers")
    for _ in range(rng.choice([0, 0, 3, 7])):
        y = float(rng.uniform(line + 0.04, 1))
        r = float(rng.uniform(0.02, 0.14)) * (y - line + 0.1)
        stone = canvas.ellipsoid(
            float(rng.random()), y, r * 1.4, r, pick(rng, ROCKS), depth=0.75 - 0.6 * (y - line)
        )
        canvas.shade(stone, canvas.fbm(20), 0.14)
    canvas.words.append("meadow")


def spot(canvas: Canvas, x: float, y: float, r: float, colour: Colour) -> None:
    """Paints one small disc straight onto the colours (too small for a normal of its own)."""
    cx, cy = canvas.to_pixels([(x, y)])[0]
    cv2.circle(
        canvas.albedo,
        (round(float(cx) * 16), round(float(cy) * 16)),
        round(r * canvas.px * 16),
        [float(c) for c in np.asarray(colour)],
        -1,
        cv2.LINE_8,
        4,
    )


def draw_path(canvas: Canvas, horizon: float) -> None:
    """Lays a winding path to the horizon."""
    rng = canvas.rng
    t = np.linspace(0, 1, 24)
    middle = (
        rng.uniform(0.2, 0.8) * t
        + rng.uniform(0.3, 0.7) * (1 - t)
        + 0.08 * np.sin(t * rng.uniform(3, 9)) * (1 - t * 0.5)
    )
    ys, half = 1.02 + (horizon + 0.01 - 1.02) * t**0.6, 0.13 * (1 - t) ** 1.5 + 0.004
    points = np.concatenate(
        [np.stack([middle - half, ys], 1), np.stack([middle + half, ys], 1)[::-1]]
    )
    alpha = cv2.GaussianBlur(canvas.coverage(points), (0, 0), canvas.size_px / 200)
    canvas.lay(
        alpha * 0.9,
        pick(rng, ((0.72, 0.62, 0.48), (0.6, 0.57, 0.53), (0.5, 0.4, 0.3))),
        UP,
        depth=canvas.depth - 0.001,
    )
    canvas.shade(alpha, canvas.fbm(20, stretch=2), 0.08)
    canvas.words.append("path")
