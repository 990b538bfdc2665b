"""Pictures of no place: dead leaves, textures, and pages of type and signs."""

from __future__ import annotations

import cv2
import numpy as np

from training.backdrops import draw_backdrop
from training.canvas import (
    Canvas,
    Colour,
    flow_texture,
    mix,
    normals_of,
    pick_any,
    smoothstep,
    unit,
    vary,
)
from training.palette import BACKDROPS, CLOTHS, INKS, NATURAL, PETALS


def draw_dead_leaves(canvas: Canvas) -> None:
    """Draws overlapping shaded shapes whose sizes follow a power law, as those of things in photographs do."""
    rng = canvas.rng
    draw_backdrop(canvas)
    texture = [canvas.fbm(float(c), gain=0.7) for c in (3, 10, 30)] + [
        flow_texture(rng, canvas.fbm(2, octaves=2), length_px=canvas.size_px / 20)
    ]
    count = int(rng.integers(15, 60))
    sizes = np.sort(0.03 * rng.random(count) ** (-1 / 1.6))[::-1]
    palette = [pick_any(rng, NATURAL, 0.08) for _ in range(int(rng.integers(3, 9)))]
    for i, r in enumerate(np.clip(sizes, 0.03, 0.5)):
        x, y, colour, depth = (
            float(rng.random()),
            float(rng.random()),
            pick_any(rng, palette),
            0.95 - 0.9 * i / count,
        )
        kind = rng.random()
        grain = texture[int(rng.integers(4))]
        tone = np.clip(colour * (1 + float(rng.uniform(0.02, 0.2)) * grain)[..., None], 0, 1)
        if kind < 0.5:
            canvas.ellipsoid(
                x,
                y,
                r,
                r * float(rng.uniform(0.35, 1)),
                tone,
                angle=float(rng.uniform(0, 3.14)),
                depth=depth,
                flat=float(rng.uniform(0.3, 1)),
            )
        elif kind < 0.8:
            turns = np.sort(rng.uniform(0, 6.28, int(rng.integers(3, 7))))
            points = np.stack([x + r * np.cos(turns), y + r * np.sin(turns)], 1)
            canvas.lay(
                canvas.coverage(points),
                tone,
                unit(
                    rng.normal(0, 1, 3).astype(np.float32) * np.float32([0.5, 0.5, 0.3])
                    + np.float32([0, 0, 0.9])
                ),
                depth=depth,
            )
        else:
            line = np.cumsum(rng.normal(0, r * 0.5, (6, 2)), 0) + np.array([x, y])
            canvas.lay(canvas.stroke_coverage(line, r * 0.12), colour, depth=depth)
    canvas.words.append("abstract")


def draw_texture(canvas: Canvas) -> None:
    """Draws one or two materials filling the picture: fur, bark, stone, cloth, sand."""
    rng = canvas.rng
    whole = np.ones_like(canvas.xs)
    for layer in range(rng.integers(1, 3)):
        base, other = pick_any(rng, NATURAL, 0.08), pick_any(rng, NATURAL, 0.08)
        if rng.random() < 0.5:
            angle = float(rng.uniform(0, 3.14)) + float(rng.uniform(0.2, 1)) * canvas.fbm(
                2, octaves=3
            )
            relief = flow_texture(
                rng,
                angle.astype(np.float32),
                length_px=float(rng.uniform(8, 30)),
                grain_px=float(rng.uniform(1, 4)),
            )
        else:
            relief = canvas.fbm(
                float(rng.uniform(3, 14)),
                gain=float(rng.uniform(0.5, 0.8)),
                ridged=rng.random() < 0.5,
            )
        colour = (
            mix(base, other, smoothstep(-1.5, 1.5, canvas.fbm(4)) * float(rng.uniform(0, 0.6)))
            * (1 + 0.16 * relief)[..., None]
        )
        alpha = whole if layer == 0 else np.clip(canvas.fbm(2, octaves=4) * 60, 0, 1)
        canvas.lay(
            alpha,
            np.clip(colour, 0, 1),
            normals_of(relief, canvas.size_px / 70),
            depth=0.8 - 0.3 * layer,
        )
    canvas.words.append("abstract")


def draw_page(canvas: Canvas) -> None:
    """Draws type, panels and signs, so that screenshots and posters are no strangers."""
    rng = canvas.rng
    dark = rng.random() < 0.3
    paper = pick_any(
        rng,
        ((0.1, 0.11, 0.13), (0.15, 0.18, 0.25))
        if dark
        else ((0.98, 0.98, 0.98), (0.94, 0.94, 0.93), (0.96, 0.93, 0.86)),
        0.02,
    )
    canvas.lay(np.ones_like(canvas.xs), paper, depth=0.9)
    for i in range(rng.integers(1, 7)):
        x, y, w, h = (
            float(rng.uniform(0, 0.7)),
            float(rng.uniform(0, 0.8)),
            float(rng.uniform(0.1, 0.5)),
            float(rng.uniform(0.06, 0.4)),
        )
        canvas.polygon(
            [(x, y), (x + w, y), (x + w, y + h), (x, y + h)],
            pick_any(rng, BACKDROPS + CLOTHS + PETALS),
            depth=0.85 - 0.02 * i,
        )
        if rng.random() < 0.3:
            canvas.ellipsoid(
                x + w / 2,
                y + h / 2,
                h * 0.3,
                h * 0.3,
                pick_any(rng, NATURAL),
                depth=0.7,
                flat=float(rng.choice([0, 1])),
            )
    for _ in range(rng.integers(3, 14)):
        draw_type(
            canvas,
            float(rng.uniform(0, 0.7)),
            float(rng.uniform(0.05, 0.95)),
            float(rng.choice([0.25, 0.4, 0.7, 1.5])),
            pick_any(rng, INKS[3:] if dark else INKS),
        )
    for _ in range(rng.integers(0, 6)):
        a, b = rng.random(2), rng.random(2)
        canvas.lay(
            canvas.stroke_coverage(
                [a, (a[0], b[1]) if rng.random() < 0.6 else b], float(rng.uniform(0.003, 0.012))
            ),
            pick_any(rng, INKS),
            depth=0.6,
        )
    canvas.words.append("page")


def draw_type(canvas: Canvas, x: float, y: float, scale: float, ink: Colour) -> None:
    """Lays a run of random letters."""
    rng = canvas.rng
    letters = "".join(
        rng.choice(list("abcdefghiklmnoprstuvwy ABDEGHRS012358,."), int(rng.integers(3, 18)))
    )
    at = canvas.to_pixels([(x, y)])[0]
    mask = np.zeros((canvas.size_px, canvas.size_px), np.uint8)
    px = scale * canvas.px / 256
    font = int(
        rng.choice(
            [
                cv2.FONT_HERSHEY_SIMPLEX,
                cv2.FONT_HERSHEY_DUPLEX,
                cv2.FONT_HERSHEY_TRIPLEX,
                cv2.FONT_HERSHEY_SCRIPT_SIMPLEX,
            ]
        )
    )
    cv2.putText(
        mask,
        letters,
        (round(float(at[0])), round(float(at[1]))),
        font,
        px,
        255,
        max(1, round(px * 1.6)),
        cv2.LINE_AA,
    )
    canvas.lay(mask.astype(np.float32) / 255, vary(rng, ink, 0.02), depth=0.5, same=True)
