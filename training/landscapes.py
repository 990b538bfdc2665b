"""Landscapes: what stands where, with skies, mountains and hills."""

from __future__ import annotations

import cv2
import numpy as np

from training.canvas import (
    Canvas,
    Colour,
    Plane,
    mix,
    normals_of,
    ordinary,
    pick,
    smoothstep,
    unit,
    vary,
)
from training.grounds import draw_boat, draw_meadow, draw_path, draw_water
from training.houses import draw_house
from training.palette import FOLIAGE, GROUNDS, ROCKS, SKIES
from training.trees import draw_conifer, draw_tree


def draw_landscape(canvas: Canvas) -> None:
    """Draws a landscape with what its kind of place has in it."""
    rng = canvas.rng
    horizon = float(rng.uniform(0.35, 0.68))
    haze, sun = draw_sky(canvas, horizon)
    wet = rng.random() < 0.5
    if rng.random() < 0.75:
        draw_mountains(canvas, horizon, haze)
    if rng.random() < 0.45 or not wet:
        draw_hills(canvas, horizon, haze)
    if wet:
        shore = horizon + float(rng.uniform(0.02, 0.08))
        draw_water(canvas, shore, sun)
        if rng.random() < 0.5:
            draw_meadow(canvas, float(rng.uniform(0.8, 0.95)), slope=float(rng.normal(0, 0.15)))
        if rng.random() < 0.5:
            for _ in range(rng.integers(1, 3)):
                draw_boat(
                    canvas,
                    float(rng.uniform(0.15, 0.85)),
                    float(rng.uniform(shore + 0.08, 0.9)),
                    float(rng.uniform(0.06, 0.16)),
                )
    else:
        draw_meadow(canvas, horizon, slope=float(rng.normal(0, 0.05)))
        if rng.random() < 0.5:
            draw_path(canvas, horizon)
    if rng.random() < 0.45:
        draw_house(
            canvas,
            float(rng.uniform(0.15, 0.7)),
            horizon + float(rng.uniform(0.02, 0.14)),
            float(rng.uniform(0.1, 0.26)),
        )
    for _ in range(rng.choice([0, 1, 2, 4], p=[0.25, 0.3, 0.25, 0.2])):
        foot = float(rng.uniform(horizon + 0.05, 1.05))
        height = float(rng.uniform(0.2, 0.5)) * (0.4 + 1.6 * (foot - horizon))
        (draw_conifer if rng.random() < 0.35 else draw_tree)(
            canvas, float(rng.uniform(0, 1)), foot, height
        )


def draw_sky(canvas: Canvas, horizon: float) -> tuple[Colour, Colour]:
    """Draws sky, clouds and sun; returns the haze at the horizon and the colour of sunlight."""
    rng = canvas.rng
    zenith, low, sun = (vary(rng, c, 0.03) for c in SKIES[ordinary(rng, len(SKIES))])
    t = np.clip(canvas.ys / horizon, 0, 1)
    sky = mix(zenith, low, t ** float(rng.uniform(0.7, 1.6)))
    if rng.random() < 0.4:
        cx, cy, r = (
            rng.uniform(0.1, 0.9),
            rng.uniform(0.05, max(0.1, horizon - 0.06)),
            rng.uniform(0.02, 0.06),
        )
        distance = np.hypot(canvas.xs - cx, canvas.ys - cy)
        sky = mix(sky, sun, 0.7 * np.exp(-((distance / (r * 4)) ** 1.2)))
        sky = mix(
            sky,
            np.minimum(1, np.asarray(sun) * 1.1),
            np.clip((r - distance) * canvas.px + 0.5, 0, 1),
        )
        canvas.words.append("moon" if float(np.mean(zenith)) < 0.2 else "sun")
    canvas.lay(np.ones_like(canvas.xs), sky, depth=1.0)
    if rng.random() < 0.75:
        draw_clouds(canvas, horizon, low, sun)
    return low, sun


def draw_clouds(canvas: Canvas, horizon: float, low: Colour, sun: Colour) -> None:
    """Lays clouds, lit from above and grey beneath."""
    rng = canvas.rng
    density = canvas.fbm(float(rng.uniform(2, 5)), stretch=float(rng.uniform(1.4, 3)), gain=0.5)
    cut = float(rng.uniform(-0.4, 0.9))
    alpha = smoothstep(cut, cut + float(rng.uniform(0.3, 1.3)), density) * smoothstep(
        horizon, horizon - 0.12, canvas.ys
    )
    thick = cv2.GaussianBlur(density, (0, 0), canvas.size_px / 40)
    shade = smoothstep(
        -0.5, 1.2, np.roll(thick, canvas.size_px // 40, axis=0) - thick + 0.45 * (thick - cut)
    )
    colour = mix(
        np.minimum(1, np.asarray(sun) * 1.02),
        mix(low, (0.5, 0.52, 0.58), 0.6),
        np.clip(shade, 0, 1),
    )
    canvas.lay(
        alpha * float(rng.uniform(0.7, 1)),
        colour,
        normals_of(thick, canvas.size_px / 22),
        depth=0.99,
        same=True,
    )
    canvas.words.append("clouds")


def ridge_line(canvas: Canvas, base: float, height: float, cells: float, roughness: float) -> Plane:
    """Returns the world height of a ridge for every column [W]."""
    rng, out, amplitude = canvas.rng, np.zeros(canvas.size_px, np.float32), 1.0
    while cells < canvas.size_px / 3:
        knots = rng.standard_normal(max(3, round(cells * canvas.span) + 3))
        xs = np.linspace(0, len(knots) - 1.001, canvas.size_px)
        out += (amplitude * np.interp(xs, np.arange(len(knots)), knots)).astype(np.float32)
        amplitude *= roughness
        cells *= 2
    return (base - height * (0.5 + 0.5 * out)).astype(np.float32)


def draw_mountains(canvas: Canvas, horizon: float, haze: Colour) -> None:
    """Lays one to three ranges with rock and perhaps snow, bluer with distance."""
    rng = canvas.rng
    ranges = int(rng.integers(1, 4))
    rock, snow_share = pick(rng, ROCKS), float(rng.uniform(-0.6, 0.8))
    for i in range(ranges):
        near = (i + 1) / ranges
        height = float(rng.uniform(0.1, 0.3)) * (1.25 - 0.6 * near)
        line = ridge_line(canvas, horizon, height, float(rng.uniform(1.5, 4)), 0.48)
        alpha = np.clip((canvas.ys - line[None]) * canvas.px + 0.5, 0, 1)
        slope = np.gradient(cv2.GaussianBlur(line[None], (0, 0), 3)[0]) * canvas.size_px
        relief = canvas.fbm(float(rng.uniform(5, 9)), ridged=True, gain=0.6)
        normal = normals_of(relief, canvas.size_px / 45)
        normal[..., 0] -= np.clip(-slope, -1.2, 1.2)[None] * 0.5
        normal = unit(normal + np.float32([0, -0.35, 0]))
        colour = mix(rock, vary(rng, rock, 0.1), smoothstep(-1, 1, canvas.fbm(8)))
        colour = colour * (
            0.75 + 0.55 * np.clip(normal[..., :1] * -0.8 - normal[..., 1:2] * 0.5, -0.4, 0.6)
        )
        below = (canvas.ys - line[None]) / max(height, 0.05)
        snow = smoothstep(0.15, 0.45, snow_share - below + 0.3 * relief)
        colour = mix(
            colour,
            (0.93, 0.95, 0.98) * (0.85 + 0.2 * np.clip(-normal[..., :1], -0.8, 0.6)),
            snow * (0.9 if snow_share > 0 else 0),
        )
        if rng.random() < 0.5:
            colour = mix(
                colour, pick(rng, FOLIAGE), smoothstep(0.3, 1.0, below + 0.2 * canvas.fbm(10)) * 0.7
            )
        canvas.lay(
            alpha, mix(colour, haze, 0.6 * (1 - near) + 0.1), normal, depth=0.95 - 0.1 * near
        )
    canvas.words.append("mountain")


def draw_hills(canvas: Canvas, horizon: float, haze: Colour) -> None:
    """Lays soft hills, wooded or bare."""
    rng, size = canvas.rng, canvas.size_px
    for i in range(rng.integers(1, 3)):
        line = ridge_line(canvas, horizon + 0.02 * i, float(rng.uniform(0.03, 0.1)), 2, 0.3)
        wooded = rng.random() < 0.5
        if wooded:
            line = line - np.abs(ridge_line(canvas, 0, 0.02, 40, 0.7))
            canvas.words.append("forest")
        texture = canvas.fbm(
            30 if wooded else 12, octaves=4, gain=0.7, stretch=1.0 if wooded else 3.0
        )
        colour = mix(pick(rng, FOLIAGE if wooded else GROUNDS), haze, 0.35 - 0.15 * i)
        shaded = colour * (1 + (0.22 if wooded else 0.08) * np.clip(texture, -2, 2))[..., None]
        normal = unit(
            normals_of(texture, size / (60 if wooded else 200)) + np.float32([0, -0.6, 0])
        )
        canvas.lay(
            np.clip((canvas.ys - line[None]) * canvas.px + 0.5, 0, 1),
            shaded,
            normal,
            depth=0.84 - 0.04 * i,
        )
