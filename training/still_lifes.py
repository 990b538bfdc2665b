"""Still lifes: fruit, bottles, bowls, cups, vases and flowers on tables and before walls."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from training.canvas import Canvas, Colour, Plane, mix, pick, smoothstep, unit, vary

FRUIT = ((0.75, 0.15, 0.12), (0.85, 0.5, 0.12), (0.9, 0.75, 0.2), (0.5, 0.62, 0.2), (0.4, 0.12, 0.25), (0.8, 0.35, 0.25), (0.3, 0.35, 0.15))
CLAY = ((0.72, 0.45, 0.3), (0.85, 0.82, 0.76), (0.3, 0.4, 0.5), (0.55, 0.55, 0.52), (0.25, 0.24, 0.26), (0.75, 0.68, 0.5), (0.9, 0.9, 0.9))
GLASS = ((0.12, 0.25, 0.15), (0.3, 0.2, 0.1), (0.5, 0.6, 0.62), (0.15, 0.2, 0.3), (0.35, 0.1, 0.12))
WOODS = ((0.5, 0.34, 0.2), (0.35, 0.22, 0.14), (0.68, 0.52, 0.35), (0.8, 0.7, 0.55))
CLOTHS = ((0.9, 0.89, 0.87), (0.6, 0.2, 0.18), (0.3, 0.38, 0.5), (0.75, 0.72, 0.6), (0.45, 0.5, 0.4), (0.15, 0.15, 0.17))
BACKDROPS = ((0.96, 0.96, 0.96), (0.985, 0.985, 0.98), (0.6, 0.58, 0.55), (0.3, 0.28, 0.27), (0.08, 0.08, 0.09), (0.5, 0.55, 0.58), (0.72, 0.66, 0.56), (0.4, 0.42, 0.36), (0.82, 0.8, 0.76))
PETALS = ((0.9, 0.25, 0.3), (0.95, 0.75, 0.8), (0.97, 0.9, 0.5), (0.96, 0.95, 0.93), (0.6, 0.45, 0.8), (0.95, 0.6, 0.3))


def draw_backdrop(canvas: Canvas) -> None:
    """Lays a wall, a studio sweep or an out-of-focus room behind everything."""
    rng = canvas.rng
    tone = pick(rng, BACKDROPS, 0.02)
    colour = mix(tone, tone * float(rng.uniform(0.6, 1)), np.clip(np.hypot(canvas.xs - rng.uniform(0.2, 0.8), canvas.ys - 0.4), 0, 1))
    kind = rng.random()
    if kind < 0.35:
        colour = colour * (1 + 0.05 * canvas.fbm(3)[..., None])
    elif kind < 0.6:
        patches = mix(colour, pick(rng, BACKDROPS, 0.1), smoothstep(-0.3, 0.5, canvas.fbm(2, octaves=2)))
        lights = smoothstep(1.2, 1.6, canvas.fbm(9, octaves=1)) * 0.5
        colour = mix(patches, pick(rng, ((0.95, 0.85, 0.6), (0.7, 0.8, 0.6), (0.8, 0.85, 0.95))), cv2.GaussianBlur(lights, (0, 0), 3))
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


def contact_shadow(canvas: Canvas, x: float, y: float, r: float) -> None:
    """Darkens the table under a body, densest where they touch."""
    for reach, amount in ((1.6, 0.3), (1.05, 0.5)):
        u, v = canvas.local(x + r * 0.15, y, r * reach, r * reach * 0.3)
        canvas.darken(amount * np.exp(-((u * u + v * v) ** 1.2) * 1.5))


def revolve(canvas: Canvas, x: float, foot: float, height: float, profile: Plane, colour: Colour, *, depth: float, gloss: float) -> tuple[Plane, Plane]:
    """Lays a body of revolution; `profile` lists its radii (world) from top to foot. Returns coverage and the turn."""
    v = np.clip((canvas.ys - (foot - height)) / height, 0, 1)
    ts = np.linspace(0, 1, len(profile))
    radius = np.interp(v[:, 0], ts, profile).astype(np.float32)[:, None]
    slope = np.gradient(radius[:, 0]) / (canvas.span / canvas.size_px)
    bulge = profile[-1] * 0.28 * np.sqrt(np.clip(1 - ((canvas.xs - x) / max(1e-4, float(profile[-1]))) ** 2, 0, 1))
    t = (canvas.xs - x) / np.maximum(radius, 1e-4)
    alpha = np.clip((radius - np.abs(canvas.xs - x)) * canvas.px + 0.5, 0, 1)
    alpha = alpha * np.clip((canvas.ys - (foot - height)) * canvas.px + 0.5, 0, 1) * np.clip((foot + bulge - canvas.ys) * canvas.px + 0.5, 0, 1)
    turn = np.clip(t, -1, 1)
    normal = unit(np.dstack([turn, np.broadcast_to(-np.clip(slope, -1.5, 1.5)[:, None] * -0.6, turn.shape), np.sqrt(np.clip(1.02 - turn**2, 0.03, 1))]))
    canvas.lay(alpha, colour, normal, depth=depth)
    rim = smoothstep(0.6, 1.0, np.abs(turn))
    canvas.darken(alpha * rim * 0.45)
    for at, width in ((-0.5, 0.09), (0.62, 0.05)):
        canvas.lay(alpha * gloss * np.exp(-(((turn - at) / width) ** 2)) * smoothstep(0.02, 0.15, v) * smoothstep(0.98, 0.7, v), (0.97, 0.97, 0.95), normal, depth=depth, same=True)
    return alpha, turn


def rim_ellipse(canvas: Canvas, x: float, y: float, r: float, colour: Colour, inside: Colour, depth: float) -> None:
    """Lays the mouth of a vessel: a lip and the shaded inside."""
    canvas.ellipsoid(x, y, r, r * 0.28, np.asarray(colour) * 1.08, depth=depth, flat=0.3)
    canvas.ellipsoid(x, y + r * 0.015, r * 0.9, r * 0.235, inside, depth=depth, flat=-0.6)


def draw_fruit(canvas: Canvas, x: float, foot: float, r: float) -> None:
    """Lays an apple, orange, lemon, pear or plum with its stem and light."""
    rng = canvas.rng
    colour, depth = pick(rng, FRUIT), 1 - 0.6 * foot
    ry = r * float(rng.choice([0.9, 1.0, 1.3]))
    contact_shadow(canvas, x, foot - r * 0.1, r)
    blush = mix(colour, pick(rng, FRUIT), smoothstep(-0.5, 1.8, canvas.fbm(4)) * float(rng.choice([0, 0.6])))
    alpha = canvas.ellipsoid(x, foot - ry, r, ry, blush, depth=depth, angle=float(rng.normal(0, 0.15)))
    if ry > r * 1.2:
        alpha = np.maximum(alpha, canvas.ellipsoid(x + r * 0.1, foot - ry * 1.75, r * 0.55, r * 0.65, colour, depth=depth, same=True))
    canvas.shade(alpha, canvas.fbm(30, octaves=3), 0.05)
    u, v = canvas.local(x, foot - ry, r, ry)
    canvas.darken(alpha * (0.5 * smoothstep(0.35, 1.0, v + 0.25 * np.abs(u)) + 0.25 * smoothstep(0.75, 1.0, np.hypot(u, v))))
    canvas.lay(alpha * float(rng.uniform(0.4, 0.9)) * np.exp(-((u + 0.35) ** 2 + (v + 0.45) ** 2) * 22), (1, 0.98, 0.94), depth=depth, same=True)
    if rng.random() < 0.7:
        canvas.lay(canvas.stroke_coverage([(x, foot - 2 * ry + r * 0.12), (x + r * 0.12, foot - 2 * ry - r * 0.25)], r * 0.08), (0.3, 0.22, 0.12), depth=depth)
    canvas.words.append("fruit")


def draw_bottle(canvas: Canvas, x: float, foot: float, r: float) -> None:
    """Lays a bottle with a neck, a light and perhaps a label."""
    rng = canvas.rng
    height, depth = r * float(rng.uniform(4.5, 6.5)), 1 - 0.6 * foot
    neck = float(rng.uniform(0.25, 0.4))
    profile = np.float32([neck + 0.05, neck, neck, neck, neck + 0.03, 0.75, 0.97, 1, 1, 1, 1, 1, 0.97, 0.9]) * r
    colour = pick(rng, GLASS)
    contact_shadow(canvas, x, foot, r)
    alpha, turn = revolve(canvas, x, foot, height, profile, colour, depth=depth, gloss=0.7)
    glow = smoothstep(0.75, 0.1, np.abs(turn - 0.3)) * 0.35
    canvas.lay(alpha * glow, np.clip(colour * 1.9, 0, 1), unit(np.float32([0.2, 0, 1])), depth=depth, same=True)
    if rng.random() < 0.5:
        v = (canvas.ys - (foot - height)) / height
        label = alpha * smoothstep(0.53, 0.54, v) * smoothstep(0.85, 0.84, v)
        canvas.lay(label, np.clip(pick(rng, CLOTHS)[None, None] * (1.05 - 0.3 * turn[..., None] ** 2), 0, 1), np.dstack([turn, turn * 0, np.sqrt(1.01 - turn**2)]), depth=depth)
        canvas.darken(label * (smoothstep(0.6, 0.62, v) * smoothstep(0.66, 0.64, v) * (np.abs(turn) < 0.55)) * 0.6)
    canvas.words.append("bottle")


def draw_vessel(canvas: Canvas, x: float, foot: float, r: float) -> None:
    """Lays a bowl, a cup with a handle, or a vase."""
    rng = canvas.rng
    colour, depth = pick(rng, CLAY), 1 - 0.6 * foot
    kind = str(rng.choice(["bowl", "cup", "vase"]))
    height, radii = {
        "bowl": (r * 0.9, (1.2, 1.18, 1.1, 0.98, 0.8, 0.55, 0.5)),
        "cup": (r * float(rng.uniform(1.4, 2.1)), (0.85, 0.84, 0.83, 0.8, 0.76, 0.68, 0.55)),
        "vase": (r * float(rng.uniform(2.4, 3.6)), (0.55, 0.45, 0.42, 0.6, 0.9, 1.0, 0.98, 0.85, 0.68, 0.5)),
    }[kind]
    profile = np.float32(radii) * r
    contact_shadow(canvas, x, foot, r * 0.9)
    if kind == "cup":
        t = np.linspace(-1.7, 1.7, 14) + (0 if rng.random() < 0.5 else np.pi)
        ring = np.stack([x + np.cos(t) * r * 0.42 + np.sign(np.cos(t[7])) * r * 0.75, foot - height * 0.52 + np.sin(t) * height * 0.32], 1)
        canvas.lay(canvas.stroke_coverage(ring, r * 0.15), colour * 0.9, depth=depth)
    alpha, _ = revolve(canvas, x, foot, height, profile, colour, depth=depth, gloss=float(rng.uniform(0.1, 0.6)))
    if rng.random() < 0.4:
        v = (canvas.ys - (foot - height)) / height
        canvas.lay(alpha * smoothstep(0.4, 0.42, v) * smoothstep(0.6, 0.58, v) * 0.9, pick(rng, CLAY), canvas.normal.copy(), depth=depth, same=True)
    canvas.shade(alpha, canvas.fbm(18), 0.04)
    inside = colour * 0.5 if rng.random() < 0.6 else pick(rng, ((0.25, 0.13, 0.07), (0.9, 0.88, 0.85), (0.4, 0.1, 0.08)))
    rim_ellipse(canvas, x, foot - height, float(profile[0]), colour, inside, depth)
    canvas.words.append(kind)
    if kind == "bowl" and rng.random() < 0.5:
        for _ in range(rng.integers(2, 5)):
            draw_fruit(canvas, x + r * float(rng.uniform(-0.6, 0.6)), foot - height + r * 0.1, r * float(rng.uniform(0.3, 0.42)))
    if kind == "vase" and rng.random() < 0.65:
        draw_bouquet(canvas, x, foot - height, r * float(rng.uniform(0.8, 1.4)), depth)


def draw_bouquet(canvas: Canvas, x: float, y: float, r: float, depth: float) -> None:
    """Lays stems, leaves and blossoms above (x, y)."""
    rng = canvas.rng
    for _ in range(rng.integers(4, 12)):
        hx, hy = x + r * float(rng.normal(0, 0.8)), y - r * float(rng.uniform(0.6, 2.2))
        canvas.lay(canvas.stroke_coverage([(x, y), ((x + hx) / 2, (y + hy) / 2 + 0.02), (hx, hy)], 0.006), (0.25, 0.38, 0.16), depth=depth)
        if rng.random() < 0.7:
            t = float(rng.uniform(0.3, 0.8))
            canvas.ellipsoid(x + (hx - x) * t, y + (hy - y) * t, r * 0.3, r * 0.1, pick(rng, ((0.25, 0.4, 0.17), (0.35, 0.45, 0.2))), angle=float(rng.uniform(0, 3.1)), depth=depth, flat=0.6)
        draw_blossom(canvas, hx, hy, r * float(rng.uniform(0.2, 0.42)), depth - 0.01)
    canvas.words.append("flowers")


def draw_blossom(canvas: Canvas, x: float, y: float, r: float, depth: float) -> None:
    """Lays one flower of rings of petals around a heart."""
    rng = canvas.rng
    petal, count, squash = pick(rng, PETALS), int(rng.integers(5, 11)), float(rng.uniform(0.6, 1))
    for ring in (1.0, 0.6) if rng.random() < 0.5 else (1.0,):
        for a in rng.uniform(0, 6.28) + np.arange(count) * 6.283 / count:
            px, py = x + np.cos(a) * r * 0.55 * ring, y + np.sin(a) * r * 0.55 * ring * squash
            canvas.ellipsoid(px, py, r * 0.5 * ring, r * 1.5 / count * ring, np.clip(vary(rng, petal, 0.05), 0, 1), angle=float(np.arctan2(np.sin(a) * squash, np.cos(a))), depth=depth, flat=0.7)
    canvas.ellipsoid(x, y, r * 0.22, r * 0.2, pick(rng, ((0.85, 0.65, 0.15), (0.3, 0.2, 0.1), petal)), depth=depth)


def draw_still_life(canvas: Canvas) -> None:
    """Draws a table with a few bodies, the far ones first."""
    rng = canvas.rng
    draw_backdrop(canvas)
    draw_table(canvas, float(rng.uniform(0.45, 0.72)))
    kinds: list[Callable[[Canvas, float, float, float], None]] = [draw_fruit, draw_bottle, draw_vessel]
    feet = np.sort(rng.uniform(0.68, 0.94, int(rng.integers(1, 7))))
    slots = rng.permutation(np.linspace(0.14, 0.86, len(feet))) if len(feet) > 1 else np.array([0.5])
    scale = float(rng.uniform(0.75, 1.5))
    for foot, x in zip(feet, slots, strict=True):
        kind = kinds[int(rng.choice(3, p=[0.42, 0.2, 0.38]))]
        r = scale * float(rng.uniform(0.07, 0.12)) * (0.75 if kind is draw_bottle else 1)
        kind(canvas, float(x + rng.normal(0, 0.03)), float(foot), r)


def draw_flowers(canvas: Canvas) -> None:
    """Draws blossoms close by, before leaves out of focus."""
    rng = canvas.rng
    draw_backdrop(canvas)
    leaves = cv2.GaussianBlur(canvas.fbm(6, octaves=3), (0, 0), canvas.size_px / 80)
    if rng.random() < 0.6:
        canvas.lay(smoothstep(-0.8, 0.8, leaves), mix((0.15, 0.25, 0.12), (0.4, 0.5, 0.25), smoothstep(0, 2, leaves)), depth=0.95)
    for i in range(rng.integers(2, 8)):
        x, y, r = float(rng.uniform(0.1, 0.9)), float(rng.uniform(0.15, 0.8)), float(rng.uniform(0.08, 0.22))
        depth = 0.8 - 0.08 * i
        canvas.lay(canvas.stroke_coverage([(x, y), (x + 0.05, 1.05)], 0.012), (0.25, 0.4, 0.18), depth=depth)
        for _ in range(2):
            canvas.ellipsoid(x + float(rng.normal(0, 0.12)), y + 0.25, 0.14, 0.035, pick(rng, ((0.25, 0.4, 0.17), (0.35, 0.45, 0.2))), angle=float(rng.uniform(-1, 1)), depth=depth, flat=0.6)
        draw_blossom(canvas, x, y, r, depth - 0.01)
    canvas.words.append("flowers")
