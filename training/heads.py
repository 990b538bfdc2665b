"""Heads: portraits, marble busts and furry animals."""

from __future__ import annotations

import cv2
import numpy as np

from training.canvas import Canvas, Colour, Plane, flow_texture, mix, normals_of, pick, smoothstep, unit, vary
from training.still_lifes import CLOTHS, draw_backdrop

SKINS = ((0.93, 0.76, 0.66), (0.87, 0.66, 0.53), (0.76, 0.54, 0.4), (0.58, 0.38, 0.27), (0.4, 0.26, 0.19), (0.95, 0.82, 0.74))
HAIRS = ((0.12, 0.1, 0.1), (0.28, 0.18, 0.11), (0.45, 0.3, 0.16), (0.72, 0.56, 0.33), (0.6, 0.58, 0.56), (0.55, 0.25, 0.13), (0.85, 0.84, 0.82))
STONES = ((0.85, 0.83, 0.79), (0.7, 0.7, 0.7), (0.92, 0.91, 0.9), (0.35, 0.3, 0.24), (0.55, 0.48, 0.4))
FURS = ((0.75, 0.5, 0.28), (0.5, 0.48, 0.46), (0.2, 0.18, 0.18), (0.88, 0.84, 0.78), (0.4, 0.28, 0.18), (0.6, 0.45, 0.32))


def bump(u: Plane, v: Plane, x: float, y: float, rx: float, ry: float) -> Plane:
    """Returns a soft hill of height 1 at (x, y)."""
    return np.exp(-(((u - x) / rx) ** 2) - ((v - y) / ry) ** 2)


def face_relief(u: Plane, v: Plane, yaw: float) -> Plane:
    """Returns the height of a face over its unit head: brow, sockets, nose, lips, cheeks and chin."""
    x = yaw * 0.35
    relief = 0.16 * bump(u, v, x, 0.12, 0.1, 0.26) + 0.16 * bump(u, v, x + yaw * 0.06, 0.28, 0.13, 0.09)
    for side in (-1, 1):
        cx = x + side * 0.36 * (1 - 0.25 * abs(yaw)) - yaw * 0.04
        relief += -0.13 * bump(u, v, cx, -0.06, 0.2, 0.12) + 0.07 * bump(u, v, cx, -0.05, 0.1, 0.07)
        relief += 0.07 * bump(u, v, cx, -0.24, 0.26, 0.08) + 0.08 * bump(u, v, cx * 1.1, 0.25, 0.2, 0.2)
        relief += 0.05 * bump(u, v, x + yaw * 0.05 + side * 0.11, 0.3, 0.06, 0.06)
    relief += 0.05 * bump(u, v, x, 0.5, 0.2, 0.04) + 0.06 * bump(u, v, x, 0.59, 0.17, 0.05)
    relief += -0.05 * bump(u, v, x, 0.545, 0.22, 0.018) - 0.05 * bump(u, v, x, 0.68, 0.2, 0.04) + 0.08 * bump(u, v, x, 0.82, 0.2, 0.12)
    return relief


def draw_portrait(canvas: Canvas) -> None:
    """Draws a person, or a bust of stone, from the shoulders up."""
    rng = canvas.rng
    draw_backdrop(canvas)
    stone = rng.random() < 0.25
    cx, cy, r = float(rng.uniform(0.4, 0.6)), float(rng.uniform(0.38, 0.48)), float(rng.uniform(0.15, 0.24))
    yaw = float(rng.uniform(-0.9, 0.9)) * float(rng.choice([0.3, 1]))
    skin = pick(rng, STONES if stone else SKINS, 0.03)
    hair = skin * 0.95 if stone else pick(rng, HAIRS, 0.03)
    if rng.random() < 0.4:
        draw_hair_mass(canvas, cx, cy + r * 0.55, r * float(rng.uniform(1.12, 1.3)), r * float(rng.uniform(1.5, 2.1)), hair)
    draw_shoulders(canvas, cx, cy, r, skin, skin if stone else pick(rng, CLOTHS))
    draw_face(canvas, cx, cy, r, yaw, skin, stone=stone)
    if rng.random() < 0.9:
        draw_hair_cap(canvas, cx, cy, r, yaw, hair, fringe=float(rng.uniform(-0.75, -0.42)))
    canvas.words.extend(("bust", "face") if stone else ("face", "figure"))


def draw_shoulders(canvas: Canvas, cx: float, cy: float, r: float, skin: Colour, cloth: Colour) -> None:
    """Lays neck, shoulders and clothing with folds."""
    rng = canvas.rng
    folds = flow_texture(rng, 1.57 + 0.6 * (canvas.xs - cx) / r * 0.5 + 0.3 * canvas.fbm(3, octaves=2), length_px=canvas.px * 0.15, grain_px=max(1.0, canvas.px * 0.03))
    u, v = canvas.local(cx, cy + r * 3.25, r * float(rng.uniform(2.0, 2.5)), r * 1.75)
    shape = np.abs(u) ** 2.6 + np.abs(v) ** 2.4
    alpha = np.clip((1 - shape) * canvas.px * r * 0.6 + 0.5, 0, 1)
    base = unit(np.dstack([u, v * 0.6 - 0.2, np.sqrt(np.clip(1.1 - shape, 0.05, 1))]))
    cloth_alpha_colour = np.clip(np.asarray(cloth) * (1 + 0.13 * folds)[..., None], 0, 1)
    canvas.lay(alpha, cloth_alpha_colour, unit(base + (normals_of(folds, canvas.size_px / 60) - np.float32([0, 0, 1])) * 0.8), depth=0.52)
    neck = canvas.coverage([(cx - r * 0.5, cy + r * 0.6), (cx + r * 0.5, cy + r * 0.6), (cx + r * 0.6, cy + r * 1.65), (cx, cy + r * float(rng.uniform(1.8, 2.4))), (cx - r * 0.6, cy + r * 1.65)])
    turn = np.clip((canvas.xs - cx) / (r * 0.62), -1, 1)
    canvas.lay(neck, np.asarray(skin) * 0.92, unit(np.dstack([turn, turn * 0, np.sqrt(1.02 - turn**2)])), depth=0.5)
    canvas.darken(neck * smoothstep(cy + r * 1.75, cy + r * 1.2, canvas.ys) * 0.45, (0.3, 0.2, 0.18))


def draw_face(canvas: Canvas, cx: float, cy: float, r: float, yaw: float, skin: Colour, *, stone: bool) -> None:
    """Lays the head with relief, eyes, brows, nose and mouth."""
    rng = canvas.rng
    for side in (-1, 1):
        if yaw * side < 0.4:
            canvas.ellipsoid(cx + side * r * 0.97, cy + r * 0.1, r * 0.14, r * 0.27, np.asarray(skin) * 0.9, depth=0.48)
    u, v = canvas.local(cx, cy, r, r * 1.32)
    jaw = u / (1 - 0.2 * smoothstep(0.0, 1.0, v))
    r2 = jaw * jaw + v * v
    alpha = np.clip((1 - np.sqrt(r2)) * canvas.px * r + 0.5, 0, 1)
    height = np.sqrt(np.clip(1 - r2, 0.02, 1)) * 0.75 + face_relief(u, v, yaw) * float(rng.uniform(0.85, 1.2))
    normal = normals_of(height.astype(np.float32), canvas.px * r)
    hollow = np.clip(cv2.GaussianBlur(height, (0, 0), canvas.px * r * 0.12) - height, -0.05, 0.05) * 9
    x = yaw * 0.35
    colour = np.asarray(skin)[None, None] * (1 - np.clip(hollow, -0.1, 0.5)[..., None] * np.float32([0.5, 0.7, 0.8]))
    if not stone:
        flush = bump(u, v, x - 0.42, 0.28, 0.22, 0.18) + bump(u, v, x + 0.42, 0.28, 0.22, 0.18) + bump(u, v, x, 0.3, 0.14, 0.1)
        colour = colour * (1 - flush[..., None] * np.float32([-0.02, 0.1, 0.1]))
        if rng.random() < 0.2:
            beard = smoothstep(0.35, 0.6, v) * (1 - bump(u, v, x, 0.55, 0.2, 0.06)) + 0.8 * bump(u, v, x, 0.42, 0.25, 0.04)
            colour = mix(colour, pick(rng, HAIRS), np.clip(beard, 0, 1) * 0.75)
    colour = colour * (1 + 0.025 * canvas.fbm(25, octaves=4)[..., None])
    canvas.lay(alpha, np.clip(colour, 0, 1), normal, depth=0.45)
    lip = mix(skin, (0.68, 0.24, 0.24), float(rng.uniform(0.3, 0.75))) if not stone else np.asarray(skin) * 0.93
    wide = float(rng.uniform(0.24, 0.33))
    smile = float(rng.normal(0.008, 0.022))
    curve = 0.545 - smile * ((u - x) / wide) ** 2
    lips = alpha * smoothstep(wide, wide * 0.75, np.abs(u - x)) * np.clip(1 - np.abs(v - curve - 0.01) / (0.085 * (1.02 - ((u - x) / wide) ** 2).clip(0.05)), 0, 1) ** 0.4
    canvas.albedo += (lips * 0.85)[..., None] * (lip - canvas.albedo)
    canvas.darken(alpha * smoothstep(wide * 1.1, wide * 0.9, np.abs(u - x)) * np.exp(-(((v - curve) / 0.016) ** 2)) * 0.75, (0.25, 0.1, 0.1))
    for side in (-1, 1):
        canvas.darken(alpha * bump(u, v, x + yaw * 0.05 + side * 0.075, 0.345, 0.035, 0.02) * 0.7, (0.25, 0.12, 0.1))
        draw_eye(canvas, u, v, alpha, x + side * 0.36 * (1 - 0.25 * abs(yaw)) - yaw * 0.04, skin, yaw, stone=stone)


def draw_eye(canvas: Canvas, u: Plane, v: Plane, alpha: Plane, cx: float, skin: Colour, yaw: float, *, stone: bool) -> None:
    """Paints one eye and its brow in head coordinates."""
    rng = canvas.rng
    wide = 0.19 * (1 - 0.2 * abs(yaw))
    du = (u - cx) / wide
    lid, under = -0.06 - 0.07 * (1 - du * du), -0.06 + 0.045 * (1 - du * du)
    soft = 40.0
    opening = alpha * np.clip((v - lid) * soft, 0, 1) * np.clip((under - v) * soft, 0, 1) * (np.abs(du) < 1)
    tone = np.asarray(skin)
    if stone:
        canvas.darken(alpha * np.exp(-(((v - lid) / 0.02) ** 2)) * (np.abs(du) < 1.05) * 0.5, (0.4, 0.4, 0.4))
        return
    canvas.albedo += opening[..., None] * (np.float32([0.9, 0.88, 0.86]) - canvas.albedo)
    canvas.darken(opening * smoothstep(-0.06, -0.14, v) * 0.5)
    d = np.hypot((u - cx - yaw * 0.04) / 0.085, (v + 0.075) / 0.075)
    iris = pick(np.random.default_rng(int(tone.sum() * 1e4)), ((0.3, 0.2, 0.12), (0.3, 0.42, 0.5), (0.3, 0.38, 0.25), (0.18, 0.12, 0.1)))
    canvas.albedo += (opening * smoothstep(1.05, 0.9, d))[..., None] * (iris - canvas.albedo)
    canvas.albedo += (opening * smoothstep(0.5, 0.4, d))[..., None] * (np.float32([0.04, 0.03, 0.03]) - canvas.albedo)
    canvas.albedo += (opening * bump(u, v, cx - 0.02, -0.1, 0.018, 0.016))[..., None] * (1 - canvas.albedo)
    canvas.darken(alpha * np.exp(-(((v - lid) / 0.018) ** 2)) * smoothstep(1.2, 0.95, np.abs(du)) * 0.85, (0.15, 0.1, 0.09))
    canvas.darken(alpha * np.exp(-(((v - under) / 0.014) ** 2)) * smoothstep(1.1, 0.9, np.abs(du)) * 0.35, (0.3, 0.2, 0.18))
    arch = -0.265 + 0.05 * du * du + float(rng.normal(0, 0.006))
    canvas.darken(alpha * np.exp(-(((v - arch) / 0.03) ** 2)) * smoothstep(1.4, 1.0, np.abs(du)) * 0.75, tone * 0.3)


def hair_flow(canvas: Canvas, cx: float, top: float) -> Plane:
    """Returns strand texture falling from a parting at (cx, top)."""
    angle = np.arctan2(canvas.ys - top + 0.02, (canvas.xs - cx) * 0.9) + 0.25 * canvas.fbm(4, octaves=2)
    return flow_texture(canvas.rng, angle.astype(np.float32), length_px=canvas.px * 0.1, grain_px=max(1.0, canvas.px / 180))


def draw_hair_mass(canvas: Canvas, cx: float, cy: float, rx: float, ry: float, hair: Colour) -> None:
    """Lays long hair behind the face."""
    strands = hair_flow(canvas, cx, cy - ry)
    u, v = canvas.local(cx, cy, rx, ry)
    edge = np.abs(u + 0.05 * canvas.fbm(5)) ** 2.4 + np.abs(v) ** 2.4 + 0.08 * strands * smoothstep(0, 1, v)
    alpha = np.clip((1 - edge) * canvas.px * rx * 0.5 + 0.5, 0, 1)
    normal = unit(np.dstack([u, v * 0.3, np.sqrt(np.clip(1.05 - u * u, 0.05, 1))]))
    canvas.lay(alpha, np.clip(np.asarray(hair) * (1 + 0.3 * strands)[..., None], 0, 1), normal, depth=0.5)


def draw_hair_cap(canvas: Canvas, cx: float, cy: float, r: float, yaw: float, hair: Colour, *, fringe: float) -> None:
    """Lays the hair over the skull, down to a fringe line that turns with the head."""
    rng = canvas.rng
    strands = hair_flow(canvas, cx + r * float(rng.uniform(-0.4, 0.4)), cy - r * 1.3)
    u, v = canvas.local(cx, cy - r * 0.06, r * 1.08, r * 1.36)
    r2 = u * u + v * v + 0.05 * canvas.fbm(9)
    line = fringe + 0.9 * np.abs((u - yaw * 0.3) / 1.0) ** 3.2 + 0.06 * strands + float(rng.normal(0, 0.12)) * u
    alpha = np.clip((1 - np.sqrt(np.clip(r2, 0, None))) * canvas.px * r + 0.5, 0, 1) * np.clip((line - v) * canvas.px * r * 0.8 + 0.5, 0, 1)
    normal = unit(np.dstack([u, v, np.sqrt(np.clip(1.05 - r2, 0.05, 1))]) + 0.25 * (normals_of(strands, 2) - np.float32([0, 0, 1])))
    gloss = np.exp(-(((v + 0.75 + 0.25 * u * u) / 0.12) ** 2)) * 0.35
    canvas.lay(alpha, np.clip(np.asarray(hair) * (1 + 0.28 * strands + gloss)[..., None] + gloss[..., None] * 0.1, 0, 1), normal, depth=0.44)


def draw_animal(canvas: Canvas) -> None:
    """Draws the face of a cat, dog, fox or bear in fur."""
    rng = canvas.rng
    draw_backdrop(canvas)
    fur = pick(rng, FURS, 0.04)
    pale, dark = mix(fur, (0.95, 0.93, 0.9), float(rng.uniform(0.4, 0.9))), fur * float(rng.uniform(0.3, 0.7))
    cx, cy, r = float(rng.uniform(0.4, 0.6)), float(rng.uniform(0.4, 0.52)), float(rng.uniform(0.19, 0.29))
    pointed, squash = rng.random() < 0.6, float(rng.uniform(0.82, 1.05))
    angle = np.arctan2(canvas.ys - cy - r * 0.15, canvas.xs - cx) + 0.25 * canvas.fbm(4, octaves=2)
    hairs = flow_texture(rng, angle.astype(np.float32), length_px=canvas.px * float(rng.uniform(0.02, 0.05)), grain_px=max(1.0, canvas.px / 170))
    fluff = 0.06 * hairs
    u, v = canvas.local(cx, cy + r * 2.0, r * 1.5, r * 1.5)
    body = np.clip((1 - np.hypot(u, v) + fluff) * canvas.px * r + 0.5, 0, 1)
    canvas.lay(body, np.clip(fur * (0.85 + 0.2 * hairs)[..., None], 0, 1), unit(np.dstack([u, v, np.sqrt(np.clip(1.05 - u * u - v * v, 0.05, 1))])), depth=0.55)
    for side in (-1, 1):
        if pointed:
            for size, tone in ((1.0, fur * 0.8), (0.6, mix(fur, (0.85, 0.6, 0.55), 0.5))):
                x = cx + side * r * 0.68
                ear = [(x - r * 0.36 * size, cy - r * 0.55), (x + side * r * 0.22, cy - r * (0.6 + 0.85 * size)), (x + r * 0.36 * size, cy - r * 0.5)]
                alpha = canvas.polygon(ear, tone, unit(np.float32([side * 0.4, -0.2, 0.9])), depth=0.5)
                canvas.shade(alpha, hairs, 0.18)
        else:
            alpha = canvas.ellipsoid(cx + side * r * 0.92, cy - r * 0.25, r * 0.3, r * float(rng.uniform(0.35, 0.75)), dark, angle=side * -0.35, depth=0.43)
            canvas.shade(alpha, hairs, 0.2)
    u, v = canvas.local(cx, cy, r, r * squash)
    r2 = u * u + v * v
    alpha = np.clip((1 - np.sqrt(r2) + fluff) * canvas.px * r + 0.5, 0, 1)
    muzzle = bump(u, v, -0.2, 0.42, 0.3, 0.28) + bump(u, v, 0.2, 0.42, 0.3, 0.28)
    height = np.sqrt(np.clip(1 - r2, 0.02, 1)) * 0.7 + 0.2 * muzzle - 0.1 * (bump(u, v, -0.4, -0.12, 0.2, 0.16) + bump(u, v, 0.4, -0.12, 0.2, 0.16)) + 0.015 * hairs
    colour = mix(fur, pale, np.clip(muzzle + 0.7 * bump(u, v, 0, -0.1, 0.12, 0.6) * (rng.random() < 0.5), 0, 1))
    if rng.random() < 0.5:
        stripes = smoothstep(0.2, 0.7, np.sin(7 * np.abs(u) + 9 * v * np.abs(v) + canvas.fbm(4)) * smoothstep(0.3, 0.8, r2))
        colour = mix(colour, dark, stripes * 0.75)
    canvas.lay(alpha, np.clip(colour * (1 + 0.2 * np.clip(hairs, -2, 2))[..., None], 0, 1), normals_of(height.astype(np.float32), canvas.px * r), depth=0.45)
    draw_muzzle(canvas, u, v, alpha, dark)
    canvas.words.extend(("animal", "cat" if pointed else "dog"))


def draw_muzzle(canvas: Canvas, u: Plane, v: Plane, alpha: Plane, dark: Colour) -> None:
    """Paints eyes, nose, mouth and whiskers in head coordinates."""
    rng = canvas.rng
    iris = pick(rng, ((0.75, 0.65, 0.2), (0.45, 0.6, 0.3), (0.3, 0.18, 0.08), (0.4, 0.55, 0.65)))
    slit = float(rng.choice([0.35, 0.8]))
    black = np.float32([0.05, 0.04, 0.04])
    for side in (-1, 1):
        d = np.hypot((u - side * 0.4) / 0.19, (v + 0.12) / 0.155)
        for cover, tone in ((smoothstep(1.2, 1.05, d), black), (smoothstep(0.98, 0.85, d), iris), (smoothstep(1.0, 0.85, np.hypot((u - side * 0.38) / (0.13 * slit), (v + 0.12) / 0.125)), black), (bump(u, v, side * 0.4 - 0.05, -0.18, 0.04, 0.035), np.float32([1, 1, 1]))):
            canvas.albedo += (alpha * cover)[..., None] * (tone - canvas.albedo)
    nose = smoothstep(1.1, 0.85, np.hypot(u / (0.16 - 0.25 * np.clip(v - 0.25, -0.1, 0.3)), (v - 0.26) / 0.1))
    canvas.albedo += (alpha * nose)[..., None] * (pick(rng, ((0.12, 0.09, 0.09), (0.75, 0.45, 0.43))) - canvas.albedo)
    curve = 0.52 + 0.1 * np.cos(np.clip(np.abs(u) / 0.3, 0, 1) * 6.28) * 0.5
    canvas.darken(alpha * (np.exp(-(((v - curve) / 0.022) ** 2)) * (np.abs(u) < 0.32) + np.exp(-((u / 0.016) ** 2)) * (v > 0.3) * (v < 0.55)) * 0.8)
