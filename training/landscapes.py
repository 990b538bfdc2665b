"""Landscapes: skies, mountains, lakes, meadows, trees, houses and boats."""

from __future__ import annotations

import cv2
import numpy as np

from training.canvas import Canvas, Colour, Plane, mix, normals_of, pick, smoothstep, unit, vary

SKIES = (  # zenith, horizon, sunlight
    ((0.25, 0.45, 0.75), (0.75, 0.85, 0.92), (1.0, 0.97, 0.88)),
    ((0.45, 0.62, 0.82), (0.88, 0.91, 0.93), (1.0, 0.98, 0.92)),
    ((0.62, 0.65, 0.68), (0.82, 0.83, 0.83), (0.95, 0.95, 0.95)),
    ((0.28, 0.32, 0.52), (0.96, 0.66, 0.42), (1.0, 0.86, 0.6)),
    ((0.5, 0.5, 0.66), (0.95, 0.78, 0.72), (1.0, 0.9, 0.8)),
    ((0.07, 0.1, 0.2), (0.25, 0.3, 0.42), (0.9, 0.92, 0.97)),
    ((0.93, 0.93, 0.92), (0.97, 0.96, 0.95), (1.0, 1.0, 1.0)),
)
ROCKS = ((0.45, 0.42, 0.4), (0.5, 0.44, 0.37), (0.36, 0.38, 0.42), (0.55, 0.5, 0.46), (0.42, 0.34, 0.28))
FOLIAGE = ((0.22, 0.36, 0.14), (0.32, 0.45, 0.16), (0.16, 0.28, 0.15), (0.42, 0.48, 0.2), (0.62, 0.45, 0.15), (0.6, 0.3, 0.13), (0.28, 0.36, 0.24))
GROUNDS = ((0.4, 0.5, 0.2), (0.5, 0.54, 0.28), (0.62, 0.56, 0.36), (0.55, 0.45, 0.32), (0.78, 0.7, 0.52), (0.32, 0.42, 0.2), (0.88, 0.9, 0.93))
WALLS = ((0.9, 0.87, 0.8), (0.8, 0.7, 0.55), (0.65, 0.4, 0.3), (0.75, 0.75, 0.74), (0.85, 0.78, 0.6), (0.5, 0.36, 0.26))
ROOFS = ((0.6, 0.28, 0.2), (0.4, 0.3, 0.27), (0.35, 0.37, 0.42), (0.5, 0.35, 0.25))
UP = (0.0, -0.85, 0.53)


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
        draw_water(canvas, shore, haze, sun)
        if rng.random() < 0.5:
            draw_meadow(canvas, float(rng.uniform(0.8, 0.95)), slope=float(rng.normal(0, 0.15)))
        if rng.random() < 0.5:
            for _ in range(rng.integers(1, 3)):
                draw_boat(canvas, float(rng.uniform(0.15, 0.85)), float(rng.uniform(shore + 0.08, 0.9)), float(rng.uniform(0.06, 0.16)))
    else:
        draw_meadow(canvas, horizon, slope=float(rng.normal(0, 0.05)))
        if rng.random() < 0.5:
            draw_path(canvas, horizon)
    if rng.random() < 0.45:
        draw_house(canvas, float(rng.uniform(0.15, 0.7)), horizon + float(rng.uniform(0.02, 0.14)), float(rng.uniform(0.1, 0.26)))
    for _ in range(rng.choice([0, 1, 2, 4], p=[0.25, 0.3, 0.25, 0.2])):
        foot = float(rng.uniform(horizon + 0.05, 1.05))
        height = float(rng.uniform(0.2, 0.5)) * (0.4 + 1.6 * (foot - horizon))
        (draw_conifer if rng.random() < 0.35 else draw_tree)(canvas, float(rng.uniform(0, 1)), foot, height)


def draw_sky(canvas: Canvas, horizon: float) -> tuple[Colour, Colour]:
    """Draws sky, clouds and sun; returns the haze at the horizon and the colour of sunlight."""
    rng = canvas.rng
    zenith, low, sun = (vary(rng, c, 0.03) for c in SKIES[rng.integers(len(SKIES))])
    t = np.clip(canvas.ys / horizon, 0, 1)
    sky = mix(zenith, low, t ** float(rng.uniform(0.7, 1.6)))
    if rng.random() < 0.4:
        cx, cy, r = rng.uniform(0.1, 0.9), rng.uniform(0.05, max(0.1, horizon - 0.06)), rng.uniform(0.02, 0.06)
        distance = np.hypot(canvas.xs - cx, canvas.ys - cy)
        sky = mix(sky, sun, 0.7 * np.exp(-((distance / (r * 4)) ** 1.2)))
        sky = mix(sky, np.minimum(1, np.asarray(sun) * 1.1), np.clip((r - distance) * canvas.px + 0.5, 0, 1))
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
    alpha = smoothstep(cut, cut + float(rng.uniform(0.3, 1.3)), density) * smoothstep(horizon, horizon - 0.12, canvas.ys)
    thick = cv2.GaussianBlur(density, (0, 0), canvas.size_px / 40)
    shade = smoothstep(-0.5, 1.2, np.roll(thick, canvas.size_px // 40, axis=0) - thick + 0.45 * (thick - cut))
    colour = mix(np.minimum(1, np.asarray(sun) * 1.02), mix(low, (0.5, 0.52, 0.58), 0.6), np.clip(shade, 0, 1))
    canvas.lay(alpha * float(rng.uniform(0.7, 1)), colour, normals_of(thick, canvas.size_px / 22), depth=0.99, same=True)
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
        colour = colour * (0.75 + 0.55 * np.clip(normal[..., :1] * -0.8 - normal[..., 1:2] * 0.5, -0.4, 0.6))
        below = (canvas.ys - line[None]) / max(height, 0.05)
        snow = smoothstep(0.15, 0.45, snow_share - below + 0.3 * relief)
        colour = mix(colour, (0.93, 0.95, 0.98) * (0.85 + 0.2 * np.clip(-normal[..., :1], -0.8, 0.6)), snow * (0.9 if snow_share > 0 else 0))
        if rng.random() < 0.5:
            colour = mix(colour, pick(rng, FOLIAGE), smoothstep(0.3, 1.0, below + 0.2 * canvas.fbm(10)) * 0.7)
        canvas.lay(alpha, mix(colour, haze, 0.6 * (1 - near) + 0.1), normal, depth=0.95 - 0.1 * near)
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
        texture = canvas.fbm(30 if wooded else 12, octaves=4, gain=0.7, stretch=1.0 if wooded else 3.0)
        colour = mix(pick(rng, FOLIAGE if wooded else GROUNDS), haze, 0.35 - 0.15 * i)
        shaded = colour * (1 + (0.22 if wooded else 0.08) * np.clip(texture, -2, 2))[..., None]
        normal = unit(normals_of(texture, size / (60 if wooded else 200)) + np.float32([0, -0.6, 0]))
        canvas.lay(np.clip((canvas.ys - line[None]) * canvas.px + 0.5, 0, 1), shaded, normal, depth=0.84 - 0.04 * i)


def draw_water(canvas: Canvas, shore: float, haze: Colour, sun: Colour) -> None:
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
    canvas.lay(alpha, np.clip(colour, 0, 1), unit(normals_of(ripple, size / 90) + np.float32([0, -0.35, 0])), depth=0.8 - 0.4 * near)
    canvas.words.append("lake" if rng.random() < 0.6 else "sea")


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
    far, blades = canvas.fbm(28, stretch=2.5, octaves=3, gain=0.8), canvas.fbm(40, stretch=0.25, octaves=3, gain=0.8)
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
        stone = canvas.ellipsoid(float(rng.random()), y, r * 1.4, r, pick(rng, ROCKS), depth=0.75 - 0.6 * (y - line))
        canvas.shade(stone, canvas.fbm(20), 0.14)
    canvas.words.append("meadow")


def spot(canvas: Canvas, x: float, y: float, r: float, colour: Colour) -> None:
    """Paints one small disc straight onto the colours (too small for a normal of its own)."""
    cx, cy = canvas.to_pixels([(x, y)])[0]
    cv2.circle(canvas.albedo, (round(float(cx) * 16), round(float(cy) * 16)), round(r * canvas.px * 16), [float(c) for c in np.asarray(colour)], -1, cv2.LINE_8, 4)


def draw_path(canvas: Canvas, horizon: float) -> None:
    """Lays a winding path to the horizon."""
    rng = canvas.rng
    t = np.linspace(0, 1, 24)
    middle = rng.uniform(0.2, 0.8) * t + rng.uniform(0.3, 0.7) * (1 - t) + 0.08 * np.sin(t * rng.uniform(3, 9)) * (1 - t * 0.5)
    ys, half = 1.02 + (horizon + 0.01 - 1.02) * t**0.6, 0.13 * (1 - t) ** 1.5 + 0.004
    points = np.concatenate([np.stack([middle - half, ys], 1), np.stack([middle + half, ys], 1)[::-1]])
    alpha = cv2.GaussianBlur(canvas.coverage(points), (0, 0), canvas.size_px / 200)
    canvas.lay(alpha * 0.9, pick(rng, ((0.72, 0.62, 0.48), (0.6, 0.57, 0.53), (0.5, 0.4, 0.3))), UP, depth=canvas.depth - 0.001)
    canvas.shade(alpha, canvas.fbm(20, stretch=2), 0.08)
    canvas.words.append("path")


def draw_tree(canvas: Canvas, x: float, foot: float, height: float) -> None:
    """Lays a tree: trunk, boughs, and clouds of leaves that are lit like balls."""
    rng = canvas.rng
    bark, leaf, depth = pick(rng, ((0.3, 0.22, 0.16), (0.4, 0.35, 0.3), (0.75, 0.73, 0.7))), pick(rng, FOLIAGE), 0.3 + 0.4 * (1 - foot)
    fork = (x + height * float(rng.normal(0, 0.06)), foot - height * 0.5)
    canvas.lay(canvas.coverage([(x - height * 0.045, foot), (fork[0] - height * 0.025, fork[1]), (fork[0] + height * 0.025, fork[1]), (x + height * 0.045, foot)]), bark, depth=depth)
    clumps = [(fork[0] + height * float(rng.normal(0, 0.2)), foot - height * float(rng.uniform(0.45, 0.95)), height * float(rng.uniform(0.12, 0.24))) for _ in range(rng.integers(5, 11))]
    for cx, cy, _ in clumps:
        canvas.lay(canvas.stroke_coverage([fork, ((cx + fork[0]) / 2 + 0.01, (cy + fork[1]) / 2), (cx, cy)], height * 0.022), bark, depth=depth, same=True)
    if rng.random() < 0.88:
        draw_leaves(canvas, clumps, leaf, depth)
    canvas.words.append("tree")


def draw_leaves(canvas: Canvas, clumps: list[tuple[float, float, float]], leaf: Colour, depth: float) -> None:
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
            axes = (max(10, round(leaf_px * 16 * (0.7 + 0.6 * rng.random()))), max(8, round(leaf_px * 9)))
            turn = float(rng.uniform(0, 180))
            cv2.ellipse(colour, centre, axes, turn, 0, 360, (np.clip(np.asarray(leaf) * shade[i], 0, 1) * 255).tolist(), -1, cv2.LINE_8, 4)
            cv2.ellipse(normal, centre, axes, turn, 0, 360, [127.5 + 120 * u[i], 127.5 + 120 * v[i], 127.5 + 120 * z[i]], -1, cv2.LINE_8, 4)
            cv2.ellipse(mask, centre, axes, turn, 0, 360, 255, -1, cv2.LINE_AA, 4)
    canvas.lay(mask.astype(np.float32) / 255, cv2.blur(colour, (2, 2)).astype(np.float32) / 255, unit(normal.astype(np.float32) - 127.5 + np.float32([0, 0, 20])), depth=depth - 0.01)


def draw_conifer(canvas: Canvas, x: float, foot: float, height: float) -> None:
    """Lays a fir of ragged tiers."""
    rng = canvas.rng
    leaf, depth = pick(rng, ((0.13, 0.25, 0.16), (0.2, 0.3, 0.2), (0.16, 0.3, 0.26))), 0.3 + 0.4 * (1 - foot)
    canvas.polygon([(x - height * 0.03, foot), (x, foot - height), (x + height * 0.03, foot)], (0.28, 0.2, 0.15), depth=depth)
    tiers = int(rng.integers(5, 9))
    for i in range(tiers):
        t = i / tiers
        top, bottom = foot - height * (0.3 + 0.8 * t), foot - height * (0.12 + 0.8 * t)
        half = height * 0.26 * (1.02 - t)
        rag = np.linspace(-1, 1, 11)
        hem = np.stack([x + half * rag, bottom + height * 0.03 * rng.uniform(-1, 1, 11) - height * 0.05 * (1 - np.abs(rag)) * 0], 1)
        alpha = canvas.coverage(np.concatenate([[[x, min(top, bottom - 0.01)]], hem]))
        u = np.clip((canvas.xs - x) / half, -1, 1)
        normal = unit(np.dstack([u, np.full_like(u, -0.2), np.sqrt(1.05 - u * u)]))
        canvas.lay(alpha, np.clip(vary(rng, leaf, 0.05) * (0.8 + 0.6 * np.clip((bottom - canvas.ys) / (bottom - top), 0, 1))[..., None], 0, 1), normal, depth=depth, same=i > 0)
        canvas.shade(alpha, canvas.fbm(60, octaves=2, stretch=0.6), 0.2)
    canvas.words.append("tree")


def draw_house(canvas: Canvas, x: float, foot: float, width: float) -> None:
    """Lays a house of two walls, a roof, windows and a door."""
    rng = canvas.rng
    wall, roof, h, turn = pick(rng, WALLS), pick(rng, ROOFS), width * float(rng.uniform(0.5, 0.9)), width * float(rng.uniform(0.25, 0.6))
    depth, rise, up = 0.35 + 0.4 * (1 - foot), width * float(rng.uniform(0.25, 0.5)), 0.02
    side = [(x + width, foot), (x + width + turn, foot - up), (x + width + turn, foot - h), (x + width, foot - h)]
    front = [(x, foot), (x + width, foot), (x + width, foot - h), (x + width / 2, foot - h - rise), (x, foot - h)]
    canvas.shade(canvas.polygon(side, wall * 0.8, (0.8, 0, 0.6), depth=depth), canvas.fbm(40), 0.04)
    canvas.shade(canvas.polygon(front, wall, (-0.35, 0, 0.93), depth=depth), canvas.fbm(40), 0.04)
    slab = [(x + width / 2, foot - h - rise), (x + width / 2 + turn, foot - h - rise), (x + width + turn + 0.02, foot - h + 0.02), (x + width + 0.01, foot - h + 0.02)]
    canvas.shade(canvas.polygon(slab, roof, (0.45, -0.6, 0.65), depth=depth), canvas.fbm(30, stretch=3), 0.1)
    eaves = canvas.stroke_coverage([(x - 0.015, foot - h + 0.015), (x + width / 2, foot - h - rise), (x + width + 0.01, foot - h + 0.015)], width * 0.05)
    canvas.lay(eaves, roof * 0.8, (-0.3, -0.6, 0.7), depth=depth)
    glass = pick(rng, ((0.15, 0.18, 0.22), (0.4, 0.5, 0.58), (0.95, 0.8, 0.45)))
    w = width * 0.16
    for cx, cy in ((0.25, 0.6), (0.75, 0.6), (0.5, 1.05)):
        px, py = x + width * cx, foot - h * cy
        canvas.polygon([(px - w * 0.62, py - w * 0.75), (px + w * 0.62, py - w * 0.75), (px + w * 0.62, py + w * 0.75), (px - w * 0.62, py + w * 0.75)], (0.92, 0.9, 0.86), depth=depth, same=True)
        canvas.polygon([(px - w * 0.48, py - w * 0.6), (px + w * 0.48, py - w * 0.6), (px + w * 0.48, py + w * 0.6), (px - w * 0.48, py + w * 0.6)], glass, depth=depth)
    canvas.polygon([(x + width * 0.43, foot), (x + width * 0.57, foot), (x + width * 0.57, foot - h * 0.42), (x + width * 0.43, foot - h * 0.42)], pick(rng, ROOFS) * 0.8, depth=depth)
    canvas.words.append("house")


def draw_boat(canvas: Canvas, x: float, y: float, length: float) -> None:
    """Lays a boat with its reflection, with or without a sail."""
    rng = canvas.rng
    hull, depth = pick(rng, ((0.85, 0.83, 0.8), (0.5, 0.25, 0.18), (0.2, 0.3, 0.42), (0.3, 0.22, 0.16))), 0.75 - 0.4 * y
    rim = [(x - length / 2, y - length * 0.1), (x + length / 2, y - length * 0.14), (x + length * 0.36, y + length * 0.06), (x - length * 0.36, y + length * 0.06)]
    canvas.lay(canvas.coverage([(px, 2 * (y + length * 0.06) - py) for px, py in rim]) * 0.5, hull * 0.5, same=True)
    if rng.random() < 0.6:
        cloth = pick(rng, ((0.95, 0.93, 0.87), (0.8, 0.4, 0.25), (0.9, 0.9, 0.92)), 0.03)
        for side, reach in ((1, 0.42), (-1, 0.34)):
            sail = [(x, y - length * 1.15), (x + side * length * reach, y - length * 0.22), (x, y - length * 0.2)]
            canvas.lay(canvas.coverage([(px, 2 * y - py) for px, py in sail]) * 0.35, cloth * 0.85, same=True)
            canvas.polygon(sail, cloth, unit(np.float32([side * 0.5, 0, 0.8])), depth=depth)
        canvas.lay(canvas.stroke_coverage([(x, y - length * 1.2), (x, y)], length * 0.025), (0.25, 0.18, 0.13), depth=depth)
    canvas.polygon(rim, hull, (0, 0.25, 0.97), depth=depth)
    canvas.lay(canvas.stroke_coverage(rim[:2], length * 0.03), hull * 0.6 + 0.3, depth=depth, same=True)
    canvas.words.append("boat")
