"""Scenes: what a picture shows, before anybody has lit or painted it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from training.abstracts import draw_dead_leaves, draw_page, draw_texture
from training.animals import draw_animal
from training.canvas import Canvas, Plane, unit
from training.flowers import draw_flowers
from training.landscapes import draw_landscape
from training.places import draw_city, draw_street
from training.portraits import draw_portrait
from training.rooms import draw_room
from training.still_lifes import draw_still_life

KINDS: tuple[tuple[Callable[[Canvas], None], float], ...] = (
    (draw_landscape, 0.32),
    (draw_still_life, 0.16),
    (draw_portrait, 0.19),
    (draw_animal, 0.1),
    (draw_city, 0.05),
    (draw_street, 0.04),
    (draw_room, 0.05),
    (draw_flowers, 0.04),
    (draw_dead_leaves, 0.05),
    (draw_texture, 0.02),
    (draw_page, 0.03),
)


@dataclass(frozen=True, slots=True)
class Scene:
    """What is to be seen, without light: colours, surfaces, distances, objects and words."""

    albedo: Plane  # [H, W, 3], sRGB, 0…1
    normal: Plane  # [H, W, 3], unit, x right, y down, z towards the viewer
    depth: Plane  # [H, W], 0 near … 1 far
    ids: NDArray[np.int32]  # [H, W], one number an object
    words: tuple[str, ...]


def draw_scene(rng: np.random.Generator, size_px: int) -> Scene:
    """Returns a random scene seen through a random window, perhaps mirrored."""
    span = float(
        rng.choice([1.0, rng.uniform(0.75, 1.0), rng.uniform(0.5, 0.8)], p=[0.65, 0.25, 0.1])
    )
    x0, y0 = rng.uniform(0, 1 - span, 2) if span < 1 else (0.0, 0.0)
    canvas = Canvas(rng, size_px, x0=float(x0), y0=float(y0), span=span)
    weights = np.array([w for _, w in KINDS])
    KINDS[int(rng.choice(len(KINDS), p=weights / weights.sum()))][0](canvas)
    albedo, normal, depth, ids = (
        np.clip(canvas.albedo, 0, 1),
        canvas.normal,
        canvas.depth,
        canvas.ids,
    )
    if rng.random() < 0.05:
        grey = albedo @ np.float32([0.3, 0.59, 0.11])
        albedo = np.repeat(grey[..., None], 3, axis=2)
    if rng.random() < 0.5:
        albedo, normal, depth, ids = (
            np.ascontiguousarray(p[:, ::-1]) for p in (albedo, normal, depth, ids)
        )
        normal[..., 0] *= -1
    if rng.random() < 0.1:
        albedo = cv2.GaussianBlur(albedo, (0, 0), float(rng.uniform(0.4, 1.2)))
    return Scene(
        albedo.astype(np.float32), unit(normal), depth, ids, tuple(dict.fromkeys(canvas.words))
    )
