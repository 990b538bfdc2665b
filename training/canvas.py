"""The surface that scenes are drawn on: world coordinates, shaded shapes, textures.

World coordinates run from 0 to 1 across the uncropped scene, x to the right and y downwards; a canvas shows a window
of that world, so one scene can be drawn sharply at any zoom. Normals are in the same axes, with z towards the viewer.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]
Colour = tuple[float, float, float] | NDArray[np.float32]
FACING: tuple[float, float, float] = (0.0, 0.0, 1.0)
RARER = 0.6  # how much less often a colour is taken than the one before it


def smoothstep(low: float, high: float, x: Plane) -> Plane:
    """Returns 0 below `low`, 1 above `high` and a smooth ramp between."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def fbm(
    rng: np.random.Generator,
    size_px: int,
    cells: float,
    *,
    octaves: int = 6,
    gain: float = 0.55,
    stretch: float = 1.0,
    ridged: bool = False,
) -> Plane:
    """Returns fractal noise [size, size], mean 0 and deviation 1; `stretch` above 1 elongates it horizontally."""
    total = np.zeros((size_px, size_px), np.float32)
    amplitude = 1.0
    for _ in range(octaves):
        across, down = max(2, round(cells)), max(2, round(cells * stretch))
        if across > size_px or down > size_px:
            break
        grid = rng.standard_normal((down + 2, across + 2)).astype(np.float32)
        wide = cv2.resize(
            grid,
            (size_px + 2 * size_px // across, size_px + 2 * size_px // down),
            interpolation=cv2.INTER_CUBIC,
        )
        layer = wide[size_px // down // 2 :, size_px // across // 2 :][:size_px, :size_px]
        total += amplitude * (1 - 2 * np.abs(layer) if ridged else layer)
        amplitude *= gain
        cells *= 2
    total -= total.mean()
    return total / (total.std() + 1e-6)


def flow_texture(
    rng: np.random.Generator, angle: Plane, *, length_px: float, grain_px: float = 1.0
) -> Plane:
    """Returns noise smeared along `angle` (radians), deviation 1: fur, hair, grass, bristles (Cabral and Leedom 1993)."""
    height, width = angle.shape
    grain = rng.standard_normal((round(height / grain_px) + 1, round(width / grain_px) + 1)).astype(
        np.float32
    )
    noise = cv2.resize(grain, (width, height), interpolation=cv2.INTER_CUBIC)
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
    dx, dy = np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)
    step = max(1.0, 0.9 * grain_px)  # wider steps would skip grains and leave dots
    total = noise.copy()
    for sign in (1.0, -1.0):
        x, y = xs, ys
        for _ in range(max(1, min(16, round(length_px / step / 2)))):
            x, y = x + sign * step * dx, y + sign * step * dy
            total += cv2.remap(noise, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return (total - total.mean()) / (total.std() + 1e-6)


def normals_of(height: Plane, strength: float) -> Plane:
    """Returns unit normals [H, W, 3] of a height field in pixels, scaled by `strength`."""
    gx = cv2.Sobel(height, cv2.CV_32F, 1, 0, scale=0.125) * strength
    gy = cv2.Sobel(height, cv2.CV_32F, 0, 1, scale=0.125) * strength
    return unit(np.dstack([-gx, -gy, np.ones_like(gx)]))


def unit(vectors: Plane) -> Plane:
    """Returns `vectors` [..., 3] at length one."""
    return (vectors / (np.linalg.norm(vectors, axis=-1, keepdims=True) + 1e-6)).astype(np.float32)


class Canvas:
    """What has been drawn so far: colour, normals, distance and object ids, plus the words for it."""

    def __init__(
        self,
        rng: np.random.Generator,
        size_px: int,
        *,
        x0: float = 0,
        y0: float = 0,
        span: float = 1,
    ) -> None:
        self.rng = rng
        self.size_px = size_px
        self.x0, self.y0, self.span = x0, y0, span
        ticks = (np.arange(size_px, dtype=np.float32) + 0.5) / size_px * span
        self.xs, self.ys = np.meshgrid(ticks + x0, ticks + y0)
        self.albedo = np.full((size_px, size_px, 3), 0.9, np.float32)
        self.normal = np.zeros((size_px, size_px, 3), np.float32)
        self.normal[..., 2] = 1
        self.depth = np.ones((size_px, size_px), np.float32)
        self.ids = np.zeros((size_px, size_px), np.int32)
        self.words: list[str] = []
        self.objects = 0

    @property
    def px(self) -> float:
        """Returns how many pixels one world unit takes."""
        return self.size_px / self.span

    def fbm(
        self,
        cells: float,
        *,
        octaves: int = 6,
        gain: float = 0.55,
        stretch: float = 1.0,
        ridged: bool = False,
    ) -> Plane:
        """Returns fractal noise with `cells` cells across the world, not across the window."""
        return fbm(
            self.rng,
            self.size_px,
            cells * self.span,
            octaves=octaves,
            gain=gain,
            stretch=stretch,
            ridged=ridged,
        )

    def to_pixels(self, points: Sequence[Sequence[float]] | Plane) -> Plane:
        """Returns world points [N, 2] as pixel coordinates."""
        return ((np.asarray(points, np.float32) - (self.x0, self.y0)) * self.px - 0.5).astype(
            np.float32
        )

    def coverage(self, points: Sequence[Sequence[float]] | Plane) -> Plane:
        """Returns the antialiased inside [0, 1] of a world polygon."""
        mask = np.zeros((self.size_px, self.size_px), np.uint8)
        corners = np.round(np.clip(self.to_pixels(points), -4000, 4000) * 16).astype(np.int32)
        cv2.fillPoly(mask, [corners], 255, cv2.LINE_AA, 4)
        return mask.astype(np.float32) / 255

    def stroke_coverage(self, points: Sequence[Sequence[float]] | Plane, width: float) -> Plane:
        """Returns the antialiased coverage of a world polyline of a world width."""
        mask = np.zeros((self.size_px, self.size_px), np.uint8)
        path = np.round(np.clip(self.to_pixels(points), -4000, 4000) * 16).astype(np.int32)
        wide_px = max(1, round(width * self.px))
        cv2.polylines(
            mask,
            [path],
            isClosed=False,
            color=255,
            thickness=wide_px,
            lineType=cv2.LINE_AA,
            shift=4,
        )
        return mask.astype(np.float32) / 255

    def lay(
        self,
        alpha: Plane,
        colour: Colour,
        normal: Colour = FACING,
        *,
        depth: float | Plane = 0.5,
        same: bool = False,
    ) -> None:
        """Lays a colour over the canvas where `alpha` is; `same` keeps the previous object's id (a detail of it)."""
        if not same:
            self.objects += 1
        rows = np.flatnonzero(alpha.max(axis=1) > 0.002)
        if rows.size == 0:
            return
        cols = np.flatnonzero(alpha.max(axis=0) > 0.002)
        box = (slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1))
        a = alpha[box][..., None]
        for plane, value in ((self.albedo, colour), (self.normal, normal)):
            paint = np.asarray(value, np.float32)
            plane[box] += a * ((paint[box] if paint.ndim == 3 else paint) - plane[box])
        inside = alpha[box] > 0.5
        distance = depth[box] if isinstance(depth, np.ndarray) else np.float32(depth)
        self.depth[box] = np.where(inside, distance, self.depth[box])
        if not same:
            self.ids[box][inside] = self.objects

    def darken(self, amount: Plane, tint: Colour = (0.12, 0.11, 0.13)) -> None:
        """Pulls the colours towards a shadow tint where `amount` [0, 1] is."""
        a = np.clip(amount, 0, 1)[..., None]
        self.albedo *= 1 - a * (1 - np.asarray(tint, np.float32))

    def polygon(
        self,
        points: Sequence[Sequence[float]],
        colour: Colour,
        normal: Colour = FACING,
        *,
        depth: float = 0.5,
        same: bool = False,
    ) -> Plane:
        """Lays a filled polygon and returns its coverage."""
        alpha = self.coverage(points)
        self.lay(alpha, colour, normal, depth=depth, same=same)
        return alpha

    def local(
        self, cx: float, cy: float, rx: float, ry: float, angle: float = 0
    ) -> tuple[Plane, Plane]:
        """Returns coordinates (u, v) in which the ellipse at (cx, cy) with radii (rx, ry) is the unit circle."""
        dx, dy = self.xs - cx, self.ys - cy
        c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        return (dx * c + dy * s) / np.float32(rx), (-dx * s + dy * c) / np.float32(ry)

    def ellipsoid(
        self,
        cx: float,
        cy: float,
        rx: float,
        ry: float,
        colour: Colour,
        *,
        angle: float = 0,
        depth: float = 0.5,
        same: bool = False,
        flat: float = 1.0,
    ) -> Plane:
        """Lays a shaded ellipsoid and returns its coverage; `flat` below 1 flattens its relief."""
        u, v = self.local(cx, cy, rx, ry, angle)
        r2 = u * u + v * v
        alpha = np.clip((1 - np.sqrt(r2)) * (min(rx, ry) * self.px) + 0.5, 0, 1)
        c, s = np.cos(angle), np.sin(angle)
        nz = np.sqrt(np.clip(1 - r2, 0.02, 1))
        normal = unit(np.dstack([(u * c - v * s) * flat, (u * s + v * c) * flat, nz]))
        self.lay(alpha, colour, normal, depth=depth, same=same)
        return alpha

    def shade(self, alpha: Plane, noise: Plane, amount: float) -> None:
        """Varies the value of what lies under `alpha` by `noise` (deviation 1), `amount` being the share a deviation."""
        self.albedo *= (1 + alpha * np.clip(noise, -2.5, 2.5) * amount)[..., None]


def mix(a: Colour, b: Colour, t: Plane | float) -> NDArray[np.float32]:
    """Returns a + t (b − a), for colours and for pictures; a plane `t` gives a picture."""
    weight = t[..., None] if isinstance(t, np.ndarray) and t.ndim == 2 else t
    first, second = np.asarray(a, np.float32), np.asarray(b, np.float32)
    return (first + weight * (second - first)).astype(np.float32)


def vary(rng: np.random.Generator, colour: Colour, amount: float = 0.06) -> NDArray[np.float32]:
    """Returns a neighbour of `colour`: another value and a slightly other hue."""
    base = np.asarray(colour, np.float32)
    return np.clip(
        base * (1 + rng.normal(0, amount * 1.5)) + rng.normal(0, amount, 3) * 0.6, 0.01, 0.99
    ).astype(np.float32)


def pick(
    rng: np.random.Generator, colours: Sequence[Colour], amount: float = 0.05
) -> NDArray[np.float32]:
    """Returns a variation of one of `colours`, more often of the first ones: what such things mostly are.

    So outlines tell something about colours; a sketch that is to be painted has nothing else to go by.
    """
    return vary(rng, colours[ordinary(rng, len(colours))], amount)


def ordinary(rng: np.random.Generator, count: int) -> int:
    """Returns an index below `count`, each `RARER` times as likely as the one before."""
    weights = RARER ** np.arange(count)
    return int(rng.choice(count, p=weights / weights.sum()))


def pick_any(
    rng: np.random.Generator, colours: Sequence[Colour], amount: float = 0.05
) -> NDArray[np.float32]:
    """Returns a variation of one of `colours`, all as likely: where none is the ordinary one."""
    return vary(rng, colours[int(rng.integers(len(colours)))], amount)
