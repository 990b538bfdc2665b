"""Bodies of revolution and fruit: bottles, bowls, cups, vases, and what lies in them."""

from __future__ import annotations

import numpy as np

from training.canvas import Canvas, Colour, Plane, mix, pick, smoothstep, unit
from training.flowers import draw_bouquet
from training.palette import CLAY, CLOTHS, FRUIT, GLASS

PEAR = np.float32(
    [0.12, 0.34, 0.42, 0.46, 0.52, 0.64, 0.8, 0.93, 1, 0.98, 0.88, 0.68]
)  # radii from top to foot


def contact_shadow(canvas: Canvas, x: float, y: float, r: float) -> None:
    """Darkens the table under a body, densest where they touch."""
    for reach, amount in ((1.6, 0.3), (1.05, 0.5)):
        u, v = canvas.local(x + r * 0.15, y, r * reach, r * reach * 0.3)
        canvas.darken(amount * np.exp(-((u * u + v * v) ** 1.2) * 1.5))


def revolve(
    canvas: Canvas,
    x: float,
    foot: float,
    height: float,
    profile: Plane,
    colour: Colour,
    *,
    depth: float,
    gloss: float,
) -> tuple[Plane, Plane]:
    """Lays a body of revolution; `profile` lists its radii (world) from top to foot. Returns coverage and the turn."""
    v = np.clip((canvas.ys - (foot - height)) / height, 0, 1)
    ts = np.linspace(0, 1, len(profile))
    radius = np.interp(v[:, 0], ts, profile).astype(np.float32)[:, None]
    slope = np.gradient(radius[:, 0]) / (canvas.span / canvas.size_px)
    bulge = (
        profile[-1]
        * 0.28
        * np.sqrt(np.clip(1 - ((canvas.xs - x) / max(1e-4, float(profile[-1]))) ** 2, 0, 1))
    )
    t = (canvas.xs - x) / np.maximum(radius, 1e-4)
    alpha = np.clip((radius - np.abs(canvas.xs - x)) * canvas.px + 0.5, 0, 1)
    alpha = (
        alpha
        * np.clip((canvas.ys - (foot - height)) * canvas.px + 0.5, 0, 1)
        * np.clip((foot + bulge - canvas.ys) * canvas.px + 0.5, 0, 1)
    )
    turn = np.clip(t, -1, 1)
    normal = unit(
        np.dstack(
            [
                turn,
                np.broadcast_to(-np.clip(slope, -1.5, 1.5)[:, None] * -0.6, turn.shape),
                np.sqrt(np.clip(1.02 - turn**2, 0.03, 1)),
            ]
        )
    )
    canvas.lay(alpha, colour, normal, depth=depth)
    rim = smoothstep(0.6, 1.0, np.abs(turn))
    canvas.darken(alpha * rim * 0.45)
    for at, width in ((-0.5, 0.09), (0.62, 0.05)):
        canvas.lay(
            alpha
            * gloss
            * np.exp(-(((turn - at) / width) ** 2))
            * smoothstep(0.02, 0.15, v)
            * smoothstep(0.98, 0.7, v),
            (0.97, 0.97, 0.95),
            normal,
            depth=depth,
            same=True,
        )
    return alpha, turn


def rim_ellipse(
    canvas: Canvas, x: float, y: float, r: float, colour: Colour, inside: Colour, depth: float
) -> None:
    """Lays the mouth of a vessel: a lip and the shaded inside."""
    canvas.ellipsoid(x, y, r, r * 0.28, np.asarray(colour) * 1.08, depth=depth, flat=0.3)
    canvas.ellipsoid(x, y + r * 0.015, r * 0.9, r * 0.235, inside, depth=depth, flat=-0.6)


def draw_fruit(canvas: Canvas, x: float, foot: float, r: float) -> None:
    """Lays an apple, orange, lemon, pear or plum with its stem and light."""
    rng = canvas.rng
    colour, depth = pick(rng, FRUIT), 1 - 0.6 * foot
    ry = r * float(rng.choice([0.9, 1.0, 1.3]))
    contact_shadow(canvas, x, foot - r * 0.1, r)
    blush = mix(
        colour, pick(rng, FRUIT), smoothstep(-0.5, 1.8, canvas.fbm(4)) * float(rng.choice([0, 0.6]))
    )
    if ry > r * 1.2:
        alpha, _ = revolve(
            canvas,
            x,
            foot - r * 0.15,
            2 * ry - r * 0.15,
            PEAR * np.float32(r),
            blush,
            depth=depth,
            gloss=0.1,
        )
    else:
        alpha = canvas.ellipsoid(
            x, foot - ry, r, ry, blush, depth=depth, angle=float(rng.normal(0, 0.15))
        )
    canvas.shade(alpha, canvas.fbm(30, octaves=3), 0.05)
    u, v = canvas.local(x, foot - ry, r, ry)
    canvas.darken(
        alpha
        * (
            0.5 * smoothstep(0.35, 1.0, v + 0.25 * np.abs(u))
            + 0.25 * smoothstep(0.75, 1.0, np.hypot(u, v))
        )
    )
    canvas.lay(
        alpha * float(rng.uniform(0.4, 0.9)) * np.exp(-((u + 0.35) ** 2 + (v + 0.45) ** 2) * 22),
        (1, 0.98, 0.94),
        depth=depth,
        same=True,
    )
    if rng.random() < 0.7:
        canvas.lay(
            canvas.stroke_coverage(
                [(x, foot - 2 * ry + r * 0.12), (x + r * 0.12, foot - 2 * ry - r * 0.25)], r * 0.08
            ),
            (0.3, 0.22, 0.12),
            depth=depth,
        )
    canvas.words.append("fruit")


def draw_bottle(canvas: Canvas, x: float, foot: float, r: float) -> None:
    """Lays a bottle with a neck, a light and perhaps a label."""
    rng = canvas.rng
    height, depth = r * float(rng.uniform(4.5, 6.5)), 1 - 0.6 * foot
    neck = float(rng.uniform(0.25, 0.4))
    profile = (
        np.float32(
            [neck + 0.05, neck, neck, neck, neck + 0.03, 0.75, 0.97, 1, 1, 1, 1, 1, 0.97, 0.9]
        )
        * r
    )
    colour = pick(rng, GLASS)
    contact_shadow(canvas, x, foot, r)
    alpha, turn = revolve(canvas, x, foot, height, profile, colour, depth=depth, gloss=0.7)
    glow = smoothstep(0.75, 0.1, np.abs(turn - 0.3)) * 0.35
    canvas.lay(
        alpha * glow,
        np.clip(colour * 1.9, 0, 1),
        unit(np.float32([0.2, 0, 1])),
        depth=depth,
        same=True,
    )
    if rng.random() < 0.5:
        v = (canvas.ys - (foot - height)) / height
        label = alpha * smoothstep(0.53, 0.54, v) * smoothstep(0.85, 0.84, v)
        canvas.lay(
            label,
            np.clip(pick(rng, CLOTHS)[None, None] * (1.05 - 0.3 * turn[..., None] ** 2), 0, 1),
            np.dstack([turn, turn * 0, np.sqrt(1.01 - turn**2)]),
            depth=depth,
        )
        canvas.darken(
            label
            * (smoothstep(0.6, 0.62, v) * smoothstep(0.66, 0.64, v) * (np.abs(turn) < 0.55))
            * 0.6
        )
    canvas.words.append("bottle")


def draw_vessel(canvas: Canvas, x: float, foot: float, r: float) -> None:
    """Lays a bowl, a cup with a handle, or a vase."""
    rng = canvas.rng
    colour, depth = pick(rng, CLAY), 1 - 0.6 * foot
    kind = str(rng.choice(["bowl", "cup", "vase"]))
    height, radii = {
        "bowl": (r * 0.9, (1.2, 1.18, 1.1, 0.98, 0.8, 0.55, 0.5)),
        "cup": (r * float(rng.uniform(1.4, 2.1)), (0.85, 0.84, 0.83, 0.8, 0.76, 0.68, 0.55)),
        "vase": (
            r * float(rng.uniform(2.4, 3.6)),
            (0.55, 0.45, 0.42, 0.6, 0.9, 1.0, 0.98, 0.85, 0.68, 0.5),
        ),
    }[kind]
    profile = np.float32(radii) * r
    contact_shadow(canvas, x, foot, r * 0.9)
    if kind == "cup":
        t = np.linspace(-1.7, 1.7, 14) + (0 if rng.random() < 0.5 else np.pi)
        ring = np.stack(
            [
                x + np.cos(t) * r * 0.42 + np.sign(np.cos(t[7])) * r * 0.75,
                foot - height * 0.52 + np.sin(t) * height * 0.32,
            ],
            1,
        )
        canvas.lay(canvas.stroke_coverage(ring, r * 0.15), colour * 0.9, depth=depth)
    alpha, _ = revolve(
        canvas, x, foot, height, profile, colour, depth=depth, gloss=float(rng.uniform(0.1, 0.6))
    )
    if rng.random() < 0.4:
        v = (canvas.ys - (foot - height)) / height
        canvas.lay(
            alpha * smoothstep(0.4, 0.42, v) * smoothstep(0.6, 0.58, v) * 0.9,
            pick(rng, CLAY),
            canvas.normal.copy(),
            depth=depth,
            same=True,
        )
    canvas.shade(alpha, canvas.fbm(18), 0.04)
    inside = (
        colour * 0.5
        if rng.random() < 0.6
        else pick(rng, ((0.25, 0.13, 0.07), (0.9, 0.88, 0.85), (0.4, 0.1, 0.08)))
    )
    rim_ellipse(canvas, x, foot - height, float(profile[0]), colour, inside, depth)
    canvas.words.append(kind)
    if kind == "bowl" and rng.random() < 0.5:
        for _ in range(rng.integers(2, 5)):
            draw_fruit(
                canvas,
                x + r * float(rng.uniform(-0.6, 0.6)),
                foot - height + r * 0.1,
                r * float(rng.uniform(0.3, 0.42)),
            )
    if kind == "vase" and rng.random() < 0.65:
        draw_bouquet(canvas, x, foot - height, r * float(rng.uniform(0.8, 1.4)), depth)
