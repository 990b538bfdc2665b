"""Media that simplify: a clay render, gouache, flat triangles, and the ones put together from pieces (`tiles.py`)."""

from __future__ import annotations

import cv2
import numpy as np
from scipy.spatial import Delaunay

from training.canvas import Plane, fbm, flow_texture, smoothstep
from training.media import LUMA, Pixels, saturate, to_pixels, wander
from training.scenes import Scene
from training.tiles import (
    FINENESS,
    look_up,
    means,
    mosaic,
    pointillism,
    scattered,
    stained_glass,
    told_apart,
)

__all__ = ["clay_render", "gouache", "low_poly", "mosaic", "pointillism", "stained_glass"]


def illumination(lit: Plane, scene: Scene) -> Plane:
    """Returns how much light falls on each pixel [H, W], whatever its colour: about 1 in full light."""
    seen, own = (np.maximum(p @ LUMA, 0.03) for p in (lit, scene.albedo))
    light = np.clip(seen / own, 0, 1.6)
    return cv2.GaussianBlur(light, (0, 0), lit.shape[0] / 256)


def lamp_side(light: Plane) -> float:
    """Returns from where the light comes: -1 from the left, 1 from the right, smaller for an even light."""
    width = light.shape[1] // 3
    left, right = float(light[:, :width].mean()), float(light[:, -width:].mean())
    return float(np.clip(3 * (right - left) / (left + right), -1, 1))


def hollows(height: Plane, unit_px: float) -> Plane:
    """Returns how deeply each pixel lies below its surroundings, 0…1: where little of the sky is seen."""
    deep = np.zeros_like(height)
    for sigma_px, weight in ((2.0, 2.4), (5.0, 2.0), (12.0, 1.6)):
        deep += weight * np.clip(
            cv2.GaussianBlur(height, (0, 0), sigma_px * unit_px) - height, 0, 0.25
        )
    return np.clip(deep, 0, 1)


def clay_render(lit: Plane, scene: Scene, rng: np.random.Generator) -> Pixels:
    """Returns the scene modelled in one matte clay: form and hollows only, what was colour has become relief."""
    size = lit.shape[0]
    unit_px = size / 256
    light = illumination(lit, scene)
    grey = cv2.bilateralFilter(scene.albedo @ LUMA, 5, 0.15, 2 * unit_px)
    grey = cv2.GaussianBlur(grey, (0, 0), 1.3 * unit_px)
    near = cv2.GaussianBlur(np.clip(1 - scene.depth, 0, 1), (0, 0), 0.9 * unit_px)
    lump = fbm(rng, size, 12, octaves=3)
    height = 0.5 * grey + 0.006 * lump
    side = lamp_side(light)
    towards = np.float32([-0.55 if abs(side) < 0.25 else side, -0.7])
    towards = towards / np.linalg.norm(towards)
    slope = sum(
        -cv2.Sobel(height, cv2.CV_32F, i, 1 - i, scale=unit_px / 8) * towards[1 - i] for i in (1, 0)
    )
    relief = np.tanh(slope * float(rng.uniform(7, 10)))
    rim = 0.5 + 0.5 * smoothstep(0.05, 0.75, scene.normal[..., 2])
    deep = hollows(height, unit_px) * 0.5 + hollows(0.42 * near, unit_px)
    shade = light**1.35 * (0.8 + 0.2 * rim) * (1 + 0.34 * relief) * np.exp(-1.9 * deep)
    shade = shade * (0.86 + 0.14 * grey)
    bright = 1.1 * np.tanh(1.3 * shade)  # a shoulder, so that the lamp leaves the clay its colour
    clay = np.float32([[0.93, 0.89, 0.83], [0.90, 0.83, 0.73], [0.83, 0.50, 0.36]])[
        int(rng.choice(3, p=[0.4, 0.25, 0.35]))
    ]
    clay = clay * float(rng.uniform(0.95, 1.05)) + rng.normal(0, 0.005, 3).astype(np.float32)
    ink = 1 + 0.35 * (1 - clay / clay.max())  # light that bounces in hollows is coloured twice
    full = clay * np.clip(bright, 0.02, 1.3)[..., None] ** ink
    return to_pixels(full * (1 + 0.012 * fbm(rng, size, 90, octaves=2))[..., None])


def poster_colours(lit: Plane, rng: np.random.Generator, *, count: int) -> Plane:
    """Returns the few colours [count, 3] that a picture can be told with (k-means, spread out first)."""
    small = cv2.resize(lit, (48, 48), interpolation=cv2.INTER_AREA).reshape(-1, 3)
    chosen = small[:1]
    for _ in range(count - 1):
        far = np.square(small[:, None] - chosen[None]).sum(2).min(1)
        spread = far**0.75
        chosen = np.vstack(
            [chosen, small[int((spread.cumsum() > rng.random() * spread.sum()).argmax())]]
        )
    for _ in range(6):
        label = np.square(small[:, None] - chosen[None]).sum(2).argmin(1)
        mean, members = means(small[None], label[None], count)
        chosen = np.where(members[:, None] > 0, mean, chosen)
    return chosen.astype(np.float32)


def gouache(lit: Plane, _scene: Scene, rng: np.random.Generator) -> Pixels:
    """Returns a gouache: a few clean, flat, opaque colours in crisp shapes, with dry-brushed passages."""
    size = lit.shape[0]
    unit_px = size / 256
    bold = told_apart(lit, 0.3)
    colours = poster_colours(bold, rng, count=int(rng.integers(7, 12)))
    calm = cv2.medianBlur(bold, 5)  # leaves no colours between two areas
    drift = [fbm(rng, size, 9, octaves=3) * 1.1 * unit_px for _ in range(2)]
    calm = wander(cv2.bilateralFilter(calm, 7, 0.15, 3 * unit_px), drift[0], drift[1])
    far = np.square(colours).sum(1) - 2 * calm @ colours.T
    label = far.argmin(2)
    share = (label[..., None] == np.arange(len(colours))).astype(np.float32)
    share = cv2.GaussianBlur(share, (0, 0), 2.0 * unit_px)
    ranked = share.max(2, keepdims=True)
    weight = np.exp(np.clip((share - ranked) * 14, -20, 0))
    weight /= weight.sum(2, keepdims=True)
    clean = saturate(colours, float(rng.uniform(1.5, 1.9)))
    clean = np.clip(
        0.08 + 0.9 * np.clip(clean, 0, 1) ** 0.85, 0.03, 0.97
    )  # opaque paint has neither black nor glare
    flat = weight @ clean
    heading = np.full((size, size), float(rng.uniform(-0.6, 0.6)), np.float32)
    bristles = flow_texture(rng, heading, length_px=26 * unit_px, grain_px=1.6 * unit_px)
    dry = smoothstep(0.7, 1.5, fbm(rng, size, 4, octaves=2))
    bare = dry * smoothstep(0.6, 1.1, bristles) * float(rng.uniform(0.25, 0.5))
    under = 0.1 + 1.15 * flat
    flat = flat * (1 + 0.018 * bristles)[..., None]
    return to_pixels(flat + (1.4 * bare)[..., None] * (under - flat))


def vertices(scene: Scene, rng: np.random.Generator, *, fine_px: float, wide_px: float) -> Plane:
    """Returns corners of triangles [N, 2]: on the contours, `fine_px` apart, elsewhere `wide_px` apart."""
    size = scene.depth.shape[0]
    calm = cv2.GaussianBlur(
        np.dstack([told_apart(scene.albedo, 0.5), scene.depth]), (0, 0), fine_px / 8
    )
    steep = np.abs(cv2.Sobel(calm, cv2.CV_32F, 1, 0)) + np.abs(cv2.Sobel(calm, cv2.CV_32F, 0, 1))
    edge = steep.sum(2) + 0.02 * rng.random((size, size)).astype(np.float32)
    reach = max(3, round(fine_px) | 1)
    peak = (edge >= cv2.dilate(edge, np.ones((reach, reach), np.uint8))) & (edge > 0.3)
    found = np.argwhere(peak)[:, ::-1].astype(np.float32)
    filling = scattered(rng, size, wide_px, 0.36)[1:-1, 1:-1].reshape(-1, 2)
    filling = np.clip(filling, 1, size - 2)
    lonely = cv2.dilate(peak.astype(np.uint8), cv2.getStructuringElement(2, (2 * reach + 1,) * 2))
    filling = filling[look_up(lonely, filling) == 0]
    rim = np.linspace(-2, size + 1, max(3, round(size / wide_px))).astype(np.float32)
    low, high = np.full_like(rim, -2), np.full_like(rim, size + 1)
    frame = [np.stack(p, 1) for p in ((rim, low), (rim, high), (low, rim), (high, rim))]
    return np.unique(np.concatenate([found, filling, *frame]), axis=0)


def low_poly(lit: Plane, scene: Scene, rng: np.random.Generator) -> Pixels:
    """Returns a picture in flat triangles, finer along contours, each facet a little lighter or darker."""
    size = lit.shape[0]
    unit_px = size / 256
    fine_px, wide_px = float(rng.uniform(8.5, 12.5)) * unit_px, float(rng.uniform(23, 34)) * unit_px
    corners = vertices(scene, rng, fine_px=fine_px, wide_px=wide_px)
    triangles = corners[Delaunay(corners).simplices]
    owner = np.zeros((size * FINENESS, size * FINENESS), np.int32)
    for i, fixed in enumerate(np.round(triangles * (FINENESS * 16)).astype(np.int32)):
        cv2.fillConvexPoly(owner, fixed, i, cv2.LINE_8, 4)
    coarse = owner[FINENESS // 2 :: FINENESS, FINENESS // 2 :: FINENESS].astype(np.int64)
    bold = told_apart(lit, 0.5)
    facet, count = means(bold, coarse, len(triangles))
    facet = np.where(count[:, None] > 0, facet, look_up(bold, triangles.mean(1)))
    facet = saturate(0.96 * facet, float(rng.uniform(1.1, 1.4)))
    slant = rng.normal(0, float(rng.uniform(0.05, 0.085)), (len(facet), 1))
    facet = np.clip(facet * (1 + slant) + 0.1 * slant, 0, 1).astype(np.float32)
    return to_pixels(cv2.resize(facet[owner], (size, size), interpolation=cv2.INTER_AREA))
