"""Furry animals, face to face."""

from __future__ import annotations

import numpy as np

from training.backdrops import draw_backdrop
from training.canvas import (
    Canvas,
    Plane,
    flow_texture,
    mix,
    normals_of,
    pick,
    smoothstep,
    unit,
)
from training.faces import bump
from training.palette import FURS


def draw_animal(canvas: Canvas) -> None:
    """Draws the face of a cat, dog, fox or bear in fur."""
    rng = canvas.rng
    draw_backdrop(canvas)
    fur = pick(rng, FURS, 0.04)
    pale, dark = (
        mix(fur, (0.95, 0.93, 0.9), float(rng.uniform(0.4, 0.9))),
        fur * float(rng.uniform(0.3, 0.7)),
    )
    cx, cy, r = (
        float(rng.uniform(0.4, 0.6)),
        float(rng.uniform(0.4, 0.52)),
        float(rng.uniform(0.19, 0.29)),
    )
    pointed, squash = rng.random() < 0.6, float(rng.uniform(0.82, 1.05))
    angle = np.arctan2(canvas.ys - cy - r * 0.15, canvas.xs - cx) + 0.25 * canvas.fbm(4, octaves=2)
    hairs = flow_texture(
        rng,
        angle.astype(np.float32),
        length_px=canvas.px * float(rng.uniform(0.02, 0.05)),
        grain_px=max(1.0, canvas.px / 170),
    )
    fluff = 0.06 * hairs
    u, v = canvas.local(cx, cy + r * 2.0, r * 1.5, r * 1.5)
    body = np.clip((1 - np.hypot(u, v) + fluff) * canvas.px * r + 0.5, 0, 1)
    canvas.lay(
        body,
        np.clip(fur * (0.85 + 0.2 * hairs)[..., None], 0, 1),
        unit(np.dstack([u, v, np.sqrt(np.clip(1.05 - u * u - v * v, 0.05, 1))])),
        depth=0.55,
    )
    for side in (-1, 1):
        if pointed:
            for size, tone in ((1.0, fur * 0.8), (0.6, mix(fur, (0.85, 0.6, 0.55), 0.5))):
                x = cx + side * r * 0.68
                ear = [
                    (x - r * 0.36 * size, cy - r * 0.55),
                    (x + side * r * 0.22, cy - r * (0.6 + 0.85 * size)),
                    (x + r * 0.36 * size, cy - r * 0.5),
                ]
                alpha = canvas.polygon(
                    ear, tone, unit(np.float32([side * 0.4, -0.2, 0.9])), depth=0.5
                )
                canvas.shade(alpha, hairs, 0.18)
        else:
            alpha = canvas.ellipsoid(
                cx + side * r * 0.92,
                cy - r * 0.25,
                r * 0.3,
                r * float(rng.uniform(0.35, 0.75)),
                dark,
                angle=side * -0.35,
                depth=0.43,
            )
            canvas.shade(alpha, hairs, 0.2)
    u, v = canvas.local(cx, cy, r, r * squash)
    r2 = u * u + v * v
    alpha = np.clip((1 - np.sqrt(r2) + fluff) * canvas.px * r + 0.5, 0, 1)
    muzzle = bump(u, v, -0.2, 0.42, 0.3, 0.28) + bump(u, v, 0.2, 0.42, 0.3, 0.28)
    height = (
        np.sqrt(np.clip(1 - r2, 0.02, 1)) * 0.7
        + 0.2 * muzzle
        - 0.1 * (bump(u, v, -0.4, -0.12, 0.2, 0.16) + bump(u, v, 0.4, -0.12, 0.2, 0.16))
        + 0.015 * hairs
    )
    colour = mix(
        fur,
        pale,
        np.clip(muzzle + 0.7 * bump(u, v, 0, -0.1, 0.12, 0.6) * (rng.random() < 0.5), 0, 1),
    )
    if rng.random() < 0.5:
        stripes = smoothstep(
            0.2,
            0.7,
            np.sin(7 * np.abs(u) + 9 * v * np.abs(v) + canvas.fbm(4)) * smoothstep(0.3, 0.8, r2),
        )
        colour = mix(colour, dark, stripes * 0.75)
    canvas.lay(
        alpha,
        np.clip(colour * (1 + 0.2 * np.clip(hairs, -2, 2))[..., None], 0, 1),
        normals_of(height.astype(np.float32), canvas.px * r),
        depth=0.45,
    )
    draw_muzzle(canvas, u, v, alpha)
    canvas.words.extend(("animal", "cat" if pointed else "dog"))


def draw_muzzle(canvas: Canvas, u: Plane, v: Plane, alpha: Plane) -> None:
    """Paints eyes, nose, mouth and whiskers in head coordinates."""
    rng = canvas.rng
    iris = pick(rng, ((0.75, 0.65, 0.2), (0.45, 0.6, 0.3), (0.3, 0.18, 0.08), (0.4, 0.55, 0.65)))
    slit = float(rng.choice([0.35, 0.8]))
    black = np.float32([0.05, 0.04, 0.04])
    for side in (-1, 1):
        d = np.hypot((u - side * 0.4) / 0.19, (v + 0.12) / 0.155)
        for cover, tone in (
            (smoothstep(1.2, 1.05, d), black),
            (smoothstep(0.98, 0.85, d), iris),
            (
                smoothstep(
                    1.0, 0.85, np.hypot((u - side * 0.38) / (0.13 * slit), (v + 0.12) / 0.125)
                ),
                black,
            ),
            (bump(u, v, side * 0.4 - 0.05, -0.18, 0.04, 0.035), np.float32([1, 1, 1])),
        ):
            canvas.albedo += (alpha * cover)[..., None] * (tone - canvas.albedo)
    nose = smoothstep(
        1.1, 0.85, np.hypot(u / (0.16 - 0.25 * np.clip(v - 0.25, -0.1, 0.3)), (v - 0.26) / 0.1)
    )
    canvas.albedo += (alpha * nose)[..., None] * (
        pick(rng, ((0.12, 0.09, 0.09), (0.75, 0.45, 0.43))) - canvas.albedo
    )
    curve = 0.52 + 0.1 * np.cos(np.clip(np.abs(u) / 0.3, 0, 1) * 6.28) * 0.5
    canvas.darken(
        alpha
        * (
            np.exp(-(((v - curve) / 0.022) ** 2)) * (np.abs(u) < 0.32)
            + np.exp(-((u / 0.016) ** 2)) * (v > 0.3) * (v < 0.55)
        )
        * 0.8
    )
