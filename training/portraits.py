"""Portraits and busts of stone: shoulders, clothing and hair around a face."""

from __future__ import annotations

import numpy as np

from training.backdrops import draw_backdrop
from training.canvas import (
    Canvas,
    Colour,
    Plane,
    flow_texture,
    normals_of,
    pick,
    pick_any,
    smoothstep,
    unit,
)
from training.faces import draw_face
from training.palette import CLOTHS, HAIRS, SKINS, STONES


def draw_portrait(canvas: Canvas) -> None:
    """Draws a person, or a bust of stone, from the shoulders up."""
    rng = canvas.rng
    draw_backdrop(canvas)
    stone = rng.random() < 0.25
    cx, cy, r = (
        float(rng.uniform(0.4, 0.6)),
        float(rng.uniform(0.38, 0.48)),
        float(rng.uniform(0.15, 0.24)),
    )
    yaw = float(rng.uniform(-0.9, 0.9)) * float(rng.choice([0.3, 1]))
    skin = pick_any(rng, STONES if stone else SKINS, 0.03)
    hair = skin * 0.95 if stone else pick(rng, HAIRS, 0.03)
    if rng.random() < 0.4:
        draw_hair_mass(
            canvas,
            cx,
            cy + r * 0.55,
            r * float(rng.uniform(1.12, 1.3)),
            r * float(rng.uniform(1.5, 2.1)),
            hair,
        )
    draw_shoulders(canvas, cx, cy, r, skin, skin if stone else pick(rng, CLOTHS))
    draw_face(canvas, cx, cy, r, yaw, skin, stone=stone)
    if rng.random() < 0.9:
        draw_hair_cap(canvas, cx, cy, r, yaw, hair, fringe=float(rng.uniform(-0.75, -0.42)))
    canvas.words.extend(("bust", "face") if stone else ("face", "figure"))


def draw_shoulders(
    canvas: Canvas, cx: float, cy: float, r: float, skin: Colour, cloth: Colour
) -> None:
    """Lays neck, shoulders and clothing with folds."""
    rng = canvas.rng
    folds = flow_texture(
        rng,
        1.57 + 0.6 * (canvas.xs - cx) / r * 0.5 + 0.3 * canvas.fbm(3, octaves=2),
        length_px=canvas.px * 0.15,
        grain_px=max(1.0, canvas.px * 0.03),
    )
    u, v = canvas.local(cx, cy + r * 3.25, r * float(rng.uniform(2.0, 2.5)), r * 1.75)
    shape = np.abs(u) ** 2.6 + np.abs(v) ** 2.4
    alpha = np.clip((1 - shape) * canvas.px * r * 0.6 + 0.5, 0, 1)
    base = unit(np.dstack([u, v * 0.6 - 0.2, np.sqrt(np.clip(1.1 - shape, 0.05, 1))]))
    cloth_alpha_colour = np.clip(np.asarray(cloth) * (1 + 0.13 * folds)[..., None], 0, 1)
    canvas.lay(
        alpha,
        cloth_alpha_colour,
        unit(base + (normals_of(folds, canvas.size_px / 60) - np.float32([0, 0, 1])) * 0.8),
        depth=0.52,
    )
    neck = canvas.coverage(
        [
            (cx - r * 0.5, cy + r * 0.6),
            (cx + r * 0.5, cy + r * 0.6),
            (cx + r * 0.6, cy + r * 1.65),
            (cx, cy + r * float(rng.uniform(1.8, 2.4))),
            (cx - r * 0.6, cy + r * 1.65),
        ]
    )
    turn = np.clip((canvas.xs - cx) / (r * 0.62), -1, 1)
    canvas.lay(
        neck,
        np.asarray(skin) * 0.92,
        unit(np.dstack([turn, turn * 0, np.sqrt(1.02 - turn**2)])),
        depth=0.5,
    )
    canvas.darken(
        neck * smoothstep(cy + r * 1.75, cy + r * 1.2, canvas.ys) * 0.45, (0.3, 0.2, 0.18)
    )


def hair_flow(canvas: Canvas, cx: float, top: float) -> Plane:
    """Returns strand texture falling from a parting at (cx, top)."""
    angle = np.arctan2(canvas.ys - top + 0.02, (canvas.xs - cx) * 0.9) + 0.25 * canvas.fbm(
        4, octaves=2
    )
    return flow_texture(
        canvas.rng,
        angle.astype(np.float32),
        length_px=canvas.px * 0.1,
        grain_px=max(1.0, canvas.px / 180),
    )


def draw_hair_mass(
    canvas: Canvas, cx: float, cy: float, rx: float, ry: float, hair: Colour
) -> None:
    """Lays long hair behind the face."""
    strands = hair_flow(canvas, cx, cy - ry)
    u, v = canvas.local(cx, cy, rx, ry)
    edge = (
        np.abs(u + 0.05 * canvas.fbm(5)) ** 2.4
        + np.abs(v) ** 2.4
        + 0.08 * strands * smoothstep(0, 1, v)
    )
    alpha = np.clip((1 - edge) * canvas.px * rx * 0.5 + 0.5, 0, 1)
    normal = unit(np.dstack([u, v * 0.3, np.sqrt(np.clip(1.05 - u * u, 0.05, 1))]))
    canvas.lay(
        alpha, np.clip(np.asarray(hair) * (1 + 0.3 * strands)[..., None], 0, 1), normal, depth=0.5
    )


def draw_hair_cap(
    canvas: Canvas, cx: float, cy: float, r: float, yaw: float, hair: Colour, *, fringe: float
) -> None:
    """Lays the hair over the skull, down to a fringe line that turns with the head."""
    rng = canvas.rng
    strands = hair_flow(canvas, cx + r * float(rng.uniform(-0.4, 0.4)), cy - r * 1.3)
    u, v = canvas.local(cx, cy - r * 0.06, r * 1.08, r * 1.36)
    r2 = u * u + v * v + 0.05 * canvas.fbm(9)
    line = (
        fringe
        + 0.9 * np.abs((u - yaw * 0.3) / 1.0) ** 3.2
        + 0.06 * strands
        + float(rng.normal(0, 0.12)) * u
    )
    alpha = np.clip((1 - np.sqrt(np.clip(r2, 0, None))) * canvas.px * r + 0.5, 0, 1) * np.clip(
        (line - v) * canvas.px * r * 0.8 + 0.5, 0, 1
    )
    normal = unit(
        np.dstack([u, v, np.sqrt(np.clip(1.05 - r2, 0.05, 1))])
        + 0.25 * (normals_of(strands, 2) - np.float32([0, 0, 1]))
    )
    gloss = np.exp(-(((v + 0.75 + 0.25 * u * u) / 0.12) ** 2)) * 0.35
    canvas.lay(
        alpha,
        np.clip(
            np.asarray(hair) * (1 + 0.28 * strands + gloss)[..., None] + gloss[..., None] * 0.1,
            0,
            1,
        ),
        normal,
        depth=0.44,
    )
