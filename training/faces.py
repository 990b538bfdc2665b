"""Faces: the relief of a head, eyes, nose and mouth."""

from __future__ import annotations

import cv2
import numpy as np

from training.canvas import Canvas, Colour, Plane, mix, normals_of, pick, smoothstep
from training.palette import HAIRS


def bump(u: Plane, v: Plane, x: float, y: float, rx: float, ry: float) -> Plane:
    """Returns a soft hill of height 1 at (x, y)."""
    return np.exp(-(((u - x) / rx) ** 2) - ((v - y) / ry) ** 2)


def face_relief(u: Plane, v: Plane, yaw: float) -> Plane:
    """Returns the height of a face over its unit head: brow, sockets, nose, lips, cheeks and chin."""
    x = yaw * 0.35
    relief = 0.16 * bump(u, v, x, 0.12, 0.1, 0.26) + 0.16 * bump(
        u, v, x + yaw * 0.06, 0.28, 0.13, 0.09
    )
    for side in (-1, 1):
        cx = x + side * 0.36 * (1 - 0.25 * abs(yaw)) - yaw * 0.04
        relief += -0.13 * bump(u, v, cx, -0.06, 0.2, 0.12) + 0.07 * bump(u, v, cx, -0.05, 0.1, 0.07)
        relief += 0.07 * bump(u, v, cx, -0.24, 0.26, 0.08) + 0.08 * bump(
            u, v, cx * 1.1, 0.25, 0.2, 0.2
        )
        relief += 0.05 * bump(u, v, x + yaw * 0.05 + side * 0.11, 0.3, 0.06, 0.06)
    relief += 0.05 * bump(u, v, x, 0.5, 0.2, 0.04) + 0.06 * bump(u, v, x, 0.59, 0.17, 0.05)
    relief += (
        -0.05 * bump(u, v, x, 0.545, 0.22, 0.018)
        - 0.05 * bump(u, v, x, 0.68, 0.2, 0.04)
        + 0.08 * bump(u, v, x, 0.82, 0.2, 0.12)
    )
    return relief


def draw_face(
    canvas: Canvas, cx: float, cy: float, r: float, yaw: float, skin: Colour, *, stone: bool
) -> None:
    """Lays the head with relief, eyes, brows, nose and mouth."""
    rng = canvas.rng
    for side in (-1, 1):
        if yaw * side < 0.4:
            canvas.ellipsoid(
                cx + side * r * 0.97,
                cy + r * 0.1,
                r * 0.14,
                r * 0.27,
                np.asarray(skin) * 0.9,
                depth=0.48,
            )
    u, v = canvas.local(cx, cy, r, r * 1.32)
    jaw = u / (1 - 0.2 * smoothstep(0.0, 1.0, v))
    r2 = jaw * jaw + v * v
    alpha = np.clip((1 - np.sqrt(r2)) * canvas.px * r + 0.5, 0, 1)
    height = np.sqrt(np.clip(1 - r2, 0.02, 1)) * 0.75 + face_relief(u, v, yaw) * float(
        rng.uniform(0.85, 1.2)
    )
    normal = normals_of(height.astype(np.float32), canvas.px * r)
    hollow = (
        np.clip(cv2.GaussianBlur(height, (0, 0), canvas.px * r * 0.12) - height, -0.05, 0.05) * 9
    )
    x = yaw * 0.35
    colour = np.asarray(skin)[None, None] * (
        1 - np.clip(hollow, -0.1, 0.5)[..., None] * np.float32([0.5, 0.7, 0.8])
    )
    if not stone:
        flush = (
            bump(u, v, x - 0.42, 0.28, 0.22, 0.18)
            + bump(u, v, x + 0.42, 0.28, 0.22, 0.18)
            + bump(u, v, x, 0.3, 0.14, 0.1)
        )
        colour = colour * (1 - flush[..., None] * np.float32([-0.02, 0.1, 0.1]))
        if rng.random() < 0.2:
            beard = smoothstep(0.35, 0.6, v) * (1 - bump(u, v, x, 0.55, 0.2, 0.06)) + 0.8 * bump(
                u, v, x, 0.42, 0.25, 0.04
            )
            colour = mix(colour, pick(rng, HAIRS), np.clip(beard, 0, 1) * 0.75)
    colour = colour * (1 + 0.025 * canvas.fbm(25, octaves=4)[..., None])
    canvas.lay(alpha, np.clip(colour, 0, 1), normal, depth=0.45)
    lip = (
        mix(skin, (0.68, 0.24, 0.24), float(rng.uniform(0.3, 0.75)))
        if not stone
        else np.asarray(skin) * 0.93
    )
    wide = float(rng.uniform(0.24, 0.33))
    smile = float(rng.normal(0.008, 0.022))
    curve = 0.545 - smile * ((u - x) / wide) ** 2
    lips = (
        alpha
        * smoothstep(wide, wide * 0.75, np.abs(u - x))
        * np.clip(
            1 - np.abs(v - curve - 0.01) / (0.085 * (1.02 - ((u - x) / wide) ** 2).clip(0.05)), 0, 1
        )
        ** 0.4
    )
    canvas.albedo += (lips * 0.85)[..., None] * (lip - canvas.albedo)
    canvas.darken(
        alpha
        * smoothstep(wide * 1.1, wide * 0.9, np.abs(u - x))
        * np.exp(-(((v - curve) / 0.016) ** 2))
        * 0.75,
        (0.25, 0.1, 0.1),
    )
    for side in (-1, 1):
        canvas.darken(
            alpha * bump(u, v, x + yaw * 0.05 + side * 0.075, 0.345, 0.035, 0.02) * 0.7,
            (0.25, 0.12, 0.1),
        )
        draw_eye(
            canvas,
            u,
            v,
            alpha,
            x + side * 0.36 * (1 - 0.25 * abs(yaw)) - yaw * 0.04,
            skin,
            yaw,
            stone=stone,
        )


def draw_eye(
    canvas: Canvas,
    u: Plane,
    v: Plane,
    alpha: Plane,
    cx: float,
    skin: Colour,
    yaw: float,
    *,
    stone: bool,
) -> None:
    """Paints one eye and its brow in head coordinates."""
    rng = canvas.rng
    wide = 0.19 * (1 - 0.2 * abs(yaw))
    du = (u - cx) / wide
    lid, under = -0.06 - 0.07 * (1 - du * du), -0.06 + 0.045 * (1 - du * du)
    soft = 40.0
    opening = (
        alpha
        * np.clip((v - lid) * soft, 0, 1)
        * np.clip((under - v) * soft, 0, 1)
        * (np.abs(du) < 1)
    )
    tone = np.asarray(skin)
    if stone:
        canvas.darken(
            alpha * np.exp(-(((v - lid) / 0.02) ** 2)) * (np.abs(du) < 1.05) * 0.5, (0.4, 0.4, 0.4)
        )
        return
    canvas.albedo += opening[..., None] * (np.float32([0.9, 0.88, 0.86]) - canvas.albedo)
    canvas.darken(opening * smoothstep(-0.06, -0.14, v) * 0.5)
    d = np.hypot((u - cx - yaw * 0.04) / 0.085, (v + 0.075) / 0.075)
    iris = pick(
        np.random.default_rng(int(tone.sum() * 1e4)),
        ((0.3, 0.2, 0.12), (0.3, 0.42, 0.5), (0.3, 0.38, 0.25), (0.18, 0.12, 0.1)),
    )
    canvas.albedo += (opening * smoothstep(1.05, 0.9, d))[..., None] * (iris - canvas.albedo)
    canvas.albedo += (opening * smoothstep(0.5, 0.4, d))[..., None] * (
        np.float32([0.04, 0.03, 0.03]) - canvas.albedo
    )
    canvas.albedo += (opening * bump(u, v, cx - 0.02, -0.1, 0.018, 0.016))[..., None] * (
        1 - canvas.albedo
    )
    canvas.darken(
        alpha * np.exp(-(((v - lid) / 0.018) ** 2)) * smoothstep(1.2, 0.95, np.abs(du)) * 0.85,
        (0.15, 0.1, 0.09),
    )
    canvas.darken(
        alpha * np.exp(-(((v - under) / 0.014) ** 2)) * smoothstep(1.1, 0.9, np.abs(du)) * 0.35,
        (0.3, 0.2, 0.18),
    )
    arch = -0.265 + 0.05 * du * du + float(rng.normal(0, 0.006))
    canvas.darken(
        alpha * np.exp(-(((v - arch) / 0.03) ** 2)) * smoothstep(1.4, 1.0, np.abs(du)) * 0.75,
        tone * 0.3,
    )
