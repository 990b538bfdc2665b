"""The media: how the same lit scene looks as photograph, oil, watercolour, pencil and contour drawing.

Every medium takes the lit colours [H, W, 3] (0…1) and the scene's geometry and returns uint8 [H, W, 3]. The same
generator state gives the same marks, so the two lights of a scene are painted with the same hand.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from training.brushwork import Brushwork, lay_strokes
from training.canvas import Plane, fbm, flow_texture, smoothstep
from training.scenes import Scene

Pixels = NDArray[np.uint8]
LUMA = np.float32([0.3, 0.59, 0.11])


def to_pixels(rgb: Plane) -> Pixels:
    """Returns a picture 0…1 as uint8."""
    return np.round(np.clip(rgb, 0, 1) * 255).astype(np.uint8)


def saturate(rgb: Plane, amount: float) -> Plane:
    """Returns the colours pushed away from their grey by `amount`."""
    grey = (rgb @ LUMA)[..., None]
    return grey + (rgb - grey) * amount


def wander(plane: Plane, dx: Plane, dy: Plane) -> Plane:
    """Returns a picture whose pixels are fetched from (dx, dy) pixels away."""
    ys, xs = np.mgrid[0 : plane.shape[0], 0 : plane.shape[1]].astype(np.float32)
    return cv2.remap(plane, xs + dx, ys + dy, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def photograph(lit: Plane, scene: Scene, rng: np.random.Generator) -> Pixels:
    """Returns a clean photograph: depth of field, tone curve, a trace of sensor grain."""
    size = lit.shape[0]
    focus, aperture = (
        float(rng.uniform(0.35, 0.6)),
        float(rng.choice([0.0, 0.0, 0.0, 1.2, 2.5])) * size / 256,
    )
    rgb = lit
    if aperture:
        out_of_focus = cv2.GaussianBlur(lit, (0, 0), aperture)
        amount = smoothstep(
            0.12, 0.45, cv2.GaussianBlur(np.abs(scene.depth - focus), (0, 0), size / 150)
        )[..., None]
        rgb = lit + amount * (out_of_focus - lit)
    contrast = float(rng.uniform(0.0, 0.35))
    rgb = rgb + contrast * rgb * (1 - rgb) * (2 * rgb - 1)
    rgb = rgb * rng.normal(1, 0.015, 3).astype(np.float32)
    ys, xs = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j].astype(np.float32)
    rgb = rgb * (1 - float(rng.uniform(0, 0.12)) * (xs**2 + ys**2) / 2)[..., None]
    grain = (
        rng.standard_normal(lit.shape[:2]).astype(np.float32)[..., None] * 0.7
        + rng.standard_normal(lit.shape).astype(np.float32) * 0.4
    )
    return to_pixels(rgb + grain * float(rng.uniform(0.003, 0.01)))


def oil(lit: Plane, work: Brushwork, rng: np.random.Generator) -> Pixels:
    """Returns an oil painting: directed strokes of several sizes, rich colour, relief that catches the light."""
    rich = saturate(lit, float(rng.uniform(1.25, 1.6)))
    rich = np.clip(rich + float(rng.uniform(0.15, 0.4)) * rich * (1 - rich) * (2 * rich - 1), 0, 1)
    painted = lay_strokes(rich, work)
    relief = work.relief[..., None] * float(rng.uniform(0.5, 0.9))
    lightness = 0.35 + 0.65 * np.sqrt(np.clip(painted @ LUMA, 0, 1))[..., None]
    painted = painted * (1 + 0.9 * relief) + 0.3 * np.clip(relief, 0, 1) * lightness
    return to_pixels(painted * np.float32([1.0, 0.985, 0.95]))


def watercolour(lit: Plane, scene: Scene, rng: np.random.Generator) -> Pixels:
    """Returns a watercolour: luminous washes with dark rims, granulated on white paper that is left open here and there."""
    size = lit.shape[0]
    unit_px = size / 256
    drift = [fbm(rng, size, 14, octaves=4) * 1.3 * unit_px for _ in range(2)]
    flat = cv2.resize(lit, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    for _ in range(2):
        flat = cv2.bilateralFilter(flat, 7, 0.11, 4 * unit_px)
    flat = wander(
        cv2.resize(flat, (size, size), interpolation=cv2.INTER_LINEAR), drift[0], drift[1]
    )
    bleed = smoothstep(0.5, 1.3, fbm(rng, size, 4, octaves=3))[..., None] * 0.75
    flat = flat + bleed * (cv2.GaussianBlur(flat, (0, 0), 6 * unit_px) - flat)
    value = np.clip(flat @ LUMA, 0.02, 1)
    levels = float(rng.integers(4, 7))
    scaled = value * levels
    stepped = (np.floor(scaled) + smoothstep(0.36, 0.64, scaled - np.floor(scaled))) / levels
    washes = np.clip(flat * (stepped / value)[..., None], 0, 1)
    washes = np.clip(saturate(washes, float(rng.uniform(1.5, 1.9))), 0.03, 1)
    ink = -np.log(washes) * float(rng.uniform(0.42, 0.6))
    deepest = float(rng.uniform(1.1, 1.7))  # thinned pigment never reaches black
    load = ink.mean(axis=2, keepdims=True) + 1e-4
    ink = ink * (deepest * np.tanh(load / deepest) / load)
    ink = ink * (1 - 0.35 * smoothstep(0.25, 0.0, ink.mean(axis=2)))[..., None]
    fine = wander(cv2.GaussianBlur(lit, (0, 0), 0.9 * unit_px), drift[0], drift[1]) @ LUMA
    accents = np.clip(
        (cv2.GaussianBlur(fine, (0, 0), 5 * unit_px) - fine) / (fine + 0.15) - 0.06, 0, 0.6
    )
    ink = ink + (accents * float(rng.uniform(0.8, 1.4)))[..., None] * np.float32(
        [0.9, 1.0, 0.95]
    )  # the last dark touches
    tone = ink.mean(axis=2)
    rim = np.clip(tone - cv2.GaussianBlur(tone, (0, 0), 2.6 * unit_px), 0, 0.3)
    outline = object_edges(scene, drift)
    pool, paper = fbm(rng, size, 5, octaves=5), fbm(rng, size, 70, octaves=2, gain=0.8)
    density = 1 + 0.22 * pool + float(rng.uniform(0.07, 0.14)) * np.clip(paper, -2, 2)
    open_paper = white_gaps(outline, rng)
    wet = open_paper - cv2.GaussianBlur(open_paper, (0, 0), 2.2 * unit_px)
    density = np.clip(density * (1 + 1.5 * rim / (tone + 0.08)), 0.15, 3)
    ink = ink * density[..., None] + np.clip(-wet, 0, 1)[..., None] * ink * 1.3
    ink = ink * (1 - open_paper)[..., None]
    white = np.float32([0.985, 0.98, 0.965]) * (1 + 0.008 * paper)[..., None]
    return to_pixels(white * np.exp(-ink))


def object_edges(scene: Scene, drift: list[Plane]) -> Plane:
    """Returns the outlines of objects, 0…1, about a pixel wide."""
    ids = scene.ids.astype(np.float32)
    edge = np.zeros_like(ids)
    edge[:, 1:] = ids[:, 1:] != ids[:, :-1]
    edge[1:] = np.maximum(edge[1:], ids[1:] != ids[:-1])
    return wander(edge, drift[0], drift[1])


def white_gaps(outline: Plane, rng: np.random.Generator) -> Plane:
    """Returns where the paper stays bare, 0…1: along some outlines and round the border."""
    size = outline.shape[0]
    thin = np.clip(cv2.GaussianBlur(outline, (0, 0), size / 260) * 2.2, 0, 1)
    along = (
        thin * smoothstep(0.1, 0.7, fbm(rng, size, 6, octaves=3)) * float(rng.uniform(0.3, 0.95))
    )
    bare = along
    if rng.random() < 0.22:
        ys, xs = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j].astype(np.float32)
        reach = (np.abs(xs) ** 4 + np.abs(ys) ** 4) ** 0.25 + 0.06 * fbm(rng, size, 5, octaves=4)
        bare = np.maximum(bare, smoothstep(0.0, 0.035, reach - float(rng.uniform(0.93, 1.06))))
    return np.clip(bare, 0, 1)


def contours(
    lit: Plane, scene: Scene, *, fine_px: float, keep: float, within: float = 1.0
) -> Plane:
    """Returns the lines an artist would see, 0…1: outlines of objects and, `within` them, creases and edges of tone."""
    size = lit.shape[0]
    calm = cv2.bilateralFilter(lit, 7, 0.2, 3 * size / 256)
    grey = calm @ LUMA
    near, far = (
        cv2.GaussianBlur(grey, (0, 0), fine_px),
        cv2.GaussianBlur(grey, (0, 0), fine_px * 1.7),
    )
    tone = smoothstep(keep, keep * 2.2, (far - near) + 0.35 * np.abs(far - near))
    normal = cv2.GaussianBlur(scene.normal, (0, 0), fine_px)
    crease = np.abs(cv2.Sobel(normal, cv2.CV_32F, 1, 0)).sum(2) + np.abs(
        cv2.Sobel(normal, cv2.CV_32F, 0, 1)
    ).sum(2)
    edge = object_edges(scene, [np.zeros_like(grey), np.zeros_like(grey)])
    edge = np.clip(cv2.GaussianBlur(edge, (0, 0), fine_px * 0.55) * 1.9, 0, 1)
    crowd = cv2.blur(edge, (15, 15))
    edge = edge * smoothstep(0.75, 0.35, crowd)
    inner = np.maximum(tone, 0.7 * smoothstep(1.6, 3.2, crease))
    inner = inner * (
        0.12 + 0.88 * smoothstep(0.42, 0.16, cv2.GaussianBlur(inner, (0, 0), 9 * size / 256))
    )  # texture is hinted at, not traced
    broad = cv2.GaussianBlur(grey, (0, 0), fine_px * 1.6)
    bold = smoothstep(0.045, 0.09, cv2.GaussianBlur(broad, (0, 0), fine_px * 3.2) - broad)
    return np.clip(np.maximum(within * np.maximum(inner, 0.85 * bold), edge), 0, 1)


def hatching(rng: np.random.Generator, angle: Plane, *, spacing_px: float) -> Plane:
    """Returns pencil strokes along `angle` as a field with deviation 1; where it is high there is graphite."""
    return flow_texture(rng, angle, length_px=spacing_px * 9, grain_px=spacing_px * 0.55)


def pencil(lit: Plane, scene: Scene, rng: np.random.Generator) -> Pixels:
    """Returns a graphite drawing: grey contours and directed hatching on paper that stays mostly white."""
    size = lit.shape[0]
    unit_px = size / 256
    tooth = fbm(rng, size, 90, octaves=2, gain=0.9)
    spacing = float(rng.uniform(2.6, 4.2)) * unit_px
    value = cv2.GaussianBlur(lit @ LUMA, (0, 0), 1.6 * unit_px)
    value = value**0.7 + 0.6 * (
        value - cv2.GaussianBlur(value, (0, 0), 14 * unit_px)
    )  # dark things keep their features
    high = max(float(np.quantile(value, 0.93)), 0.45)
    dark = np.clip(1 - value / high, 0, 1) * (
        1 - 0.4 * smoothstep(0.9, 0.97, scene.depth)
    )  # backgrounds are only hinted at
    base = float(rng.uniform(-1.1, -0.5))
    turns = (
        base
        + 0.25 * fbm(rng, size, 2, octaves=2)
        + 0.35 * scene.normal[..., 0] * float(rng.uniform(0, 1))
    )
    first = hatching(rng, turns, spacing_px=spacing)
    second = hatching(rng, turns + float(rng.uniform(0.7, 1.3)), spacing_px=spacing)
    light_touch, strength = float(rng.uniform(0.2, 0.32)), float(rng.uniform(0.75, 1.0))
    marks = (
        smoothstep(-0.7, 1.0, first + 2.6 * (dark - light_touch) - 0.5)
        * smoothstep(light_touch * 0.4, 0.9, dark)
        * 0.72
    )
    cross = (
        smoothstep(-0.6, 0.9, second + 3.0 * (dark - 0.55) - 0.4)
        * smoothstep(0.4, 0.95, dark)
        * 0.5
    )
    smudge = 0.34 * smoothstep(0.2, 1.0, dark)
    drift = [fbm(rng, size, 9, octaves=3) * 0.5 * unit_px for _ in range(2)]
    lines = wander(contours(lit, scene, fine_px=0.95 * unit_px, keep=0.014), drift[0], drift[1])
    pressure = 0.75 + 0.2 * np.clip(fbm(rng, size, 7, octaves=2), -1.5, 1.2)
    graphite = 1 - (1 - marks * strength) * (1 - cross * strength) * (1 - smudge) * (
        1 - 0.78 * lines * pressure
    )
    blackest = float(rng.uniform(0.78, 0.95))
    graphite = blackest * np.tanh(
        np.clip(graphite * (1 + 0.22 * np.clip(tooth, -2, 2)), 0, 1) / blackest
    )
    paper = float(rng.uniform(0.95, 0.995)) + 0.008 * tooth
    return to_pixels(np.repeat((paper * (1 - graphite))[..., None], 3, axis=2))


def line_drawing(lit: Plane, scene: Scene, rng: np.random.Generator) -> Pixels:
    """Returns the contour sketch that one starts from: slightly wobbly lines of varying pressure on white paper."""
    size = lit.shape[0]
    unit_px = size / 256
    width = float(rng.uniform(0.75, 1.7)) * unit_px
    ink = np.zeros((size, size), np.float32)
    spare = rng.random() < 0.45  # hardly more than outlines
    within = float(rng.uniform(0, 0.5)) if spare else 1.0
    keep = float(rng.uniform(0.012, 0.03))
    lines = contours(lit, scene, fine_px=width, keep=keep, within=within)
    for again in range(1 + (rng.random() < 0.35)):
        drift = [fbm(rng, size, 6, octaves=3) * (0.9 + 0.7 * again) * unit_px for _ in range(2)]
        pressure = np.clip(
            float(rng.uniform(0.7, 1.0)) + 0.28 * fbm(rng, size, 5, octaves=3), 0.05, 1
        )
        if rng.random() < 0.4:
            pressure = pressure * smoothstep(-1.4, -0.9, fbm(rng, size, 4, octaves=2))
        ink = np.maximum(
            ink, wander(lines, drift[0], drift[1]) * pressure * (1 if again == 0 else 0.7)
        )
    if rng.random() < 0.25:
        dark = 1 - cv2.GaussianBlur(lit @ LUMA, (0, 0), 4 * unit_px)
        strokes = hatching(
            rng,
            np.full((size, size), float(rng.uniform(-1.2, -0.4)), np.float32),
            spacing_px=4 * unit_px,
        )
        ink = np.maximum(ink, 0.5 * smoothstep(0.3, 0.9, strokes) * smoothstep(0.5, 0.8, dark))
    tone = float(rng.uniform(0.05, 0.38))
    ink = ink * (1 + 0.12 * fbm(rng, size, 80, octaves=2)) * (1 - tone)
    paper = float(rng.uniform(0.96, 1.0))
    return to_pixels(np.repeat((paper - np.clip(ink, 0, 1) * paper)[..., None], 3, axis=2))
