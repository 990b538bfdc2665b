"""Pictures put together from pieces: mosaic, stained glass, dots of divided colour.

Where the pieces lie comes from the scene and the generator, their colours from the light, so the two lights of a scene
are laid with the same pieces. Pieces are no finer than half a cell of the autoencoder (8 pixels at 256).
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from training.brushwork import stroke_angle
from training.canvas import Plane, fbm, smoothstep
from training.media import LUMA, Pixels, saturate, to_pixels
from training.scenes import Scene

Labels = NDArray[np.int64]
Cell = tuple[Labels, Labels]
FINENESS = 2  # marks are laid at twice the size, so that their edges come out smooth


def two_nearest(
    ticks: Plane, step: float, across: int, distance: Callable[[Cell], Plane]
) -> tuple[Labels, Plane, Plane]:
    """Returns each pixel's nearest piece and its distances to the two nearest ones (Worley 1996).

    Pieces live in a grid of cells `step` wide, `across` in a row with a margin of one cell; `distance` measures to the pieces in the
    given cells. Pieces farther than a neighbouring cell are not looked at.
    """
    home = (ticks / step).astype(np.int64) + 1
    label = np.zeros((len(ticks), len(ticks)), np.int64)
    first = np.full(label.shape, 1e9, np.float32)
    second = first.copy()
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            cell = np.ix_(home + down, home + right)
            here = distance(cell)
            nearer = here < first
            second = np.minimum(second, np.maximum(first, here))
            label = np.where(nearer, cell[0] * across + cell[1], label)
            first = np.minimum(first, here)
    return label, first, second


def means(values: Plane, label: Labels, pieces: int) -> tuple[Plane, Plane]:
    """Returns the mean of `values` [H, W, C] over each piece [pieces, C], and how many pixels each has."""
    flat = label.ravel()
    count = np.bincount(flat, minlength=pieces)
    sums = [
        np.bincount(flat, values[..., c].ravel(), minlength=pieces) for c in range(values.shape[2])
    ]
    mean = np.stack(sums, 1) / np.maximum(count, 1)[:, None]
    return mean.astype(np.float32), count.astype(np.float32)


def scattered(rng: np.random.Generator, size: int, step: float, amount: float) -> Plane:
    """Returns one point a cell [rows, columns, 2], x and y in pixels, up to `amount` cells off its middle."""
    side = int(size / step) + 3
    rows, columns = np.mgrid[0:side, 0:side].astype(np.float32)
    middle = np.stack([columns, rows], -1) - 0.5
    return (middle + rng.uniform(-amount, amount, middle.shape).astype(np.float32)) * step


def told_apart(rgb: Plane, amount: float) -> Plane:
    """Returns a picture with its features exaggerated, as one does who has only coarse pieces to tell them with."""
    around = cv2.GaussianBlur(rgb, (0, 0), 7 * rgb.shape[0] / 256)
    return np.clip(rgb + amount * (rgb - around), 0, 1)


def look_up(plane: Plane, points: Plane) -> Plane:
    """Returns what lies in a picture under `points` [..., 2]."""
    at = np.clip(points, 0, plane.shape[0] - 1).astype(np.int32)
    return plane[at[..., 1], at[..., 0]]


def settle(points: Plane, turn: Plane, scene: Scene, *, step: float, stride: int) -> Plane:
    """Returns tesserae spread evenly and drawn up in rows along the contours (after Hausner 2001)."""
    size = scene.depth.shape[0]
    ticks = np.arange(stride / 2, size, stride).astype(np.float32)
    middle = scattered(np.random.default_rng(0), size, step, 0)
    grey = cv2.medianBlur(to_pixels(cv2.GaussianBlur(scene.albedo, (0, 0), size / 200)), 5)
    edges = cv2.Canny(cv2.cvtColor(grey, cv2.COLOR_RGB2GRAY), 40, 110)
    away = cv2.GaussianBlur(cv2.distanceTransform(255 - edges, cv2.DIST_L2, 5), (0, 0), 1)
    slope = np.dstack([cv2.Sobel(away, cv2.CV_32F, i, 1 - i, scale=0.125) for i in (1, 0)])
    for _ in range(4):
        label, _, _ = two_nearest(ticks, step, len(points), square_distance(ticks, points, turn))
        where = np.dstack(np.meshgrid(ticks, ticks))
        centre, count = means(where, label, points.shape[0] * points.shape[1])
        centre, count = centre.reshape(points.shape), count.reshape(turn.shape)
        points = np.where(count[..., None] > 0, centre, points)
        push = np.clip(0.5 * step - look_up(away, points), 0, step / 2)
        points = points + 0.7 * push[..., None] * look_up(slope, points)
        points = middle + np.clip(points - middle, -0.7 * step, 0.7 * step)
    return points.astype(np.float32)


def square_distance(ticks: Plane, points: Plane, turn: Plane) -> Callable[[Cell], Plane]:
    """Returns the measure in which every piece is a square turned by its own angle."""
    cosine, sine = np.cos(turn), np.sin(turn)

    def distance(cell: Cell) -> Plane:
        dx = ticks[None] - points[..., 0][cell]
        dy = ticks[:, None] - points[..., 1][cell]
        c, s = cosine[cell], sine[cell]
        return np.maximum(np.abs(dx * c + dy * s), np.abs(dy * c - dx * s))

    return distance


def stone_colours(lit: Plane, label: Labels, points: Plane, rng: np.random.Generator) -> Plane:
    """Returns the stones' colours [N, 3]: what each covers, richer, and no two quite alike."""
    pieces = len(points)
    rich = cv2.GaussianBlur(told_apart(lit, 0.9), (0, 0), lit.shape[0] / 210)
    rich = saturate(rich, float(rng.uniform(1.25, 1.6)))
    stone = 0.5 * (means(rich, label, pieces)[0] + look_up(rich, points))
    stone = np.clip(stone, 0, 1) ** 0.88  # makes up for the grout
    stone = stone * (1 + rng.normal(0, float(rng.uniform(0.07, 0.12)), (pieces, 1)))
    return np.clip(stone + rng.normal(0, 0.022, (pieces, 3)), 0.03, 1).astype(np.float32)


def mosaic(lit: Plane, scene: Scene, rng: np.random.Generator) -> Pixels:
    """Returns a mosaic: small square stones, each of one colour, in rows along the contours, with grout between."""
    size = lit.shape[0]
    unit_px = size / 256
    step = float(rng.uniform(7.5, 9.5)) * unit_px
    ticks = np.arange(size).astype(np.float32) + 0.5
    angle = stroke_angle(scene.albedo, rng, scene.normal)
    points = scattered(rng, size, step, 0.2)
    turn = look_up(angle, points) + rng.normal(0, 0.06, points.shape[:2]).astype(np.float32)
    points = settle(points, turn, scene, step=step, stride=max(1, round(2 * unit_px)))
    label, first, second = two_nearest(
        ticks, step, len(points), square_distance(ticks, points, turn)
    )
    pieces = turn.size
    stone = stone_colours(lit, label, points.reshape(-1, 2), rng)
    grout_px = float(rng.uniform(1.1, 1.7)) * unit_px
    inside = np.minimum(0.5 * (second - first), 0.68 * step - first)
    cover = smoothstep(0.5 * grout_px - 0.55 * unit_px, 0.5 * grout_px + 0.55 * unit_px, inside)
    tilt = rng.normal(0, 0.012 / unit_px, (2, pieces)).astype(np.float32)
    dx = ticks[None] - points[..., 0].ravel()[label]
    dy = ticks[:, None] - points[..., 1].ravel()[label]
    gleam = np.clip(tilt[0][label] * dx + tilt[1][label] * dy, -0.12, 0.12)
    grout = np.float32([[0.17, 0.14, 0.14], [0.83, 0.80, 0.74], [0.33, 0.30, 0.27]])
    joint = grout[int(rng.choice(3, p=[0.45, 0.35, 0.2]))] * (
        1 + 0.05 * fbm(rng, size, 60, octaves=2)[..., None]
    )
    dusk = np.clip(0.4 + cv2.GaussianBlur(lit, (0, 0), step) @ LUMA, 0, 1)
    joint = joint * dusk[..., None]
    tiles = stone[label] * (1 + gleam)[..., None]
    return to_pixels(joint + cover[..., None] * (tiles - joint))


def pane_labels(scene: Scene, rng: np.random.Generator, *, step: float, ticks: Plane) -> Labels:
    """Returns panes that keep to the colours and objects of a scene, at `ticks` (SLIC, Achanta et al. 2012)."""
    size, count = scene.depth.shape[0], len(ticks)
    calm = cv2.resize(told_apart(scene.albedo, 0.55), (count, count), interpolation=cv2.INTER_AREA)
    calm = cv2.medianBlur(to_pixels(calm), 7).astype(np.float32) / 255
    near = cv2.resize(scene.depth, (count, count), interpolation=cv2.INTER_AREA)
    where = np.dstack(np.meshgrid(ticks, ticks)) / step
    closeness = float(rng.uniform(0.13, 0.2))
    seen = np.dstack([where, calm / closeness, 0.3 * near / closeness]).astype(np.float32)
    start = scattered(rng, size, step, 0.42)
    pane = np.dstack([start / step, look_up(seen[..., 2:], start / (ticks[1] - ticks[0]))])
    label, side = np.zeros((count, count), np.int64), len(pane)
    for _ in range(3):

        def distance(cell: Cell, pane: Plane = pane) -> Plane:
            return np.square(seen - pane[cell]).sum(-1)

        label, _, _ = two_nearest(ticks, step, side, distance)
        centre, members = means(seen, label, side * side)
        full = (members > 0).reshape(side, side, 1)
        pane = np.where(full, centre.reshape(pane.shape), pane)
    return np.unique(label, return_inverse=True)[1].reshape(count, count)


def rounded(label: Labels, sigma_px: float) -> tuple[Labels, Plane]:
    """Returns pieces with smooth borders, and how far each pixel is from a border in units of `sigma_px`."""
    pieces = int(label.max()) + 1
    share = np.zeros((*label.shape, pieces), np.float32)
    np.put_along_axis(share, label[..., None], 1, axis=2)
    for i in range(0, pieces, 4):
        share[..., i : i + 4] = cv2.GaussianBlur(
            np.ascontiguousarray(share[..., i : i + 4]), (0, 0), sigma_px
        ).reshape(*label.shape, -1)
    best = share.argmax(2)
    top = np.take_along_axis(share, best[..., None], axis=2)[..., 0]
    np.put_along_axis(share, best[..., None], -1, axis=2)
    return best, (top - share.max(2)) * 1.25  # the error function rises by 0.8 a deviation


def glass_colours(pane: Plane, rng: np.random.Generator) -> Plane:
    """Returns panes' colours [N, 3] as light through stained glass: saturated and bright; greys take on a tint."""
    pieces = len(pane)
    value = np.clip(pane.max(1, keepdims=True), 0.05, 1)
    glow = value ** float(rng.uniform(0.55, 0.7)) * (1 + rng.normal(0, 0.09, (pieces, 1)))
    tint = pane / value + rng.normal(0, 0.03, (pieces, 3)) + rng.normal(0, 0.035, 3)
    chroma = tint - tint.mean(1, keepdims=True)
    strength = np.linalg.norm(chroma, axis=1, keepdims=True) + 1e-4
    wanted = np.clip(strength * float(rng.uniform(2.1, 2.7)) + 0.06, 0, 0.78)
    tint = tint.mean(1, keepdims=True) + chroma * wanted / strength
    tint = np.clip(tint / tint.max(1, keepdims=True), 0.02, 1)
    return np.clip(glow * tint, 0, 1.05).astype(np.float32)


def stained_glass(lit: Plane, scene: Scene, rng: np.random.Generator) -> Pixels:
    """Returns a stained-glass window: bold black leads round glowing panes that keep to the objects."""
    size = lit.shape[0]
    unit_px = size / 256
    step, stride = float(rng.uniform(25, 35)) * unit_px, 2 * unit_px
    ticks = (np.arange(size // max(1, round(stride))) + 0.5).astype(np.float32) * stride
    label, apart = rounded(pane_labels(scene, rng, step=step, ticks=ticks), 1.35)
    label = cv2.resize(
        label.astype(np.float32), (size, size), interpolation=cv2.INTER_NEAREST
    ).astype(np.int64)
    apart = cv2.resize(apart, (size, size), interpolation=cv2.INTER_LINEAR) * 1.35 * 2
    half = float(rng.uniform(1.5, 2.3))
    lead = smoothstep(half + 0.6, half - 0.6, apart)
    pieces = int(label.max()) + 1
    pane = means(told_apart(lit, 0.9), label, pieces)[0]
    glass = glass_colours(pane, rng)
    swirl = 0.07 * fbm(rng, size, 7, octaves=4, stretch=float(rng.uniform(0.5, 2)))
    body = (0.8 + 0.26 * smoothstep(half, half + 5, apart) + swirl)[..., None]
    light = glass[label] * body
    window = light * (1 - lead)[..., None] + lead[..., None] * np.float32([0.035, 0.033, 0.04])
    halo = cv2.GaussianBlur(window, (0, 0), 5 * unit_px)
    return to_pixels(window + float(rng.uniform(0.12, 0.22)) * halo * (1 - 0.6 * lead)[..., None])


def pointillism(lit: Plane, _scene: Scene, rng: np.random.Generator) -> Pixels:
    """Returns a picture in dots of pure, divided colour on a light ground, which mix in the eye."""
    size = lit.shape[0]
    unit_px = size / 256
    across = float(rng.uniform(5.0, 6.6)) * unit_px
    places: list[Plane] = []
    for share in (0.87, 1.02):
        spots = scattered(rng, size, across * share, 0.38).reshape(-1, 2)
        rng.shuffle(spots)
        places.append(spots)
    points = np.concatenate(places)
    radius = 0.5 * across * rng.uniform(0.78, 1.12, len(points))
    owner = np.zeros((size * FINENESS, size * FINENESS), np.int32)
    fixed = np.round(points * (FINENESS * 16)).astype(np.int32).tolist()
    for i, (spot, r) in enumerate(
        zip(fixed, (radius * FINENESS * 16).astype(int).tolist(), strict=True)
    ):
        cv2.circle(owner, spot, r, i + 1, -1, cv2.LINE_8, 4)
    dots = divided(
        look_up(cv2.GaussianBlur(told_apart(lit, 0.8), (0, 0), 0.22 * across), points), rng
    )
    ground = np.float32([0.96, 0.935, 0.87]) * float(rng.uniform(0.97, 1.03))
    primed = ground + 0.55 * (cv2.GaussianBlur(lit, (0, 0), across) - ground)
    paint = np.concatenate([np.zeros((1, 3), np.float32), dots])[owner]
    paint = cv2.resize(paint, (size, size), interpolation=cv2.INTER_AREA)
    bare = cv2.resize((owner == 0).astype(np.float32), (size, size), interpolation=cv2.INTER_AREA)
    return to_pixels(paint + bare[..., None] * primed)


def divided(colour: Plane, rng: np.random.Generator) -> Plane:
    """Returns pure colours [N, 3] about those seen: each departs another way round the wheel, light to warm, dark to blue."""
    count = len(colour)
    rich = saturate(colour, float(rng.uniform(1.5, 1.9)))
    value = (colour @ LUMA)[:, None]
    wheel = rng.choice(np.float32([0, 1.05, 2.1, 3.14, 4.2, 5.25]), (count, 1))
    aside = np.hstack([np.cos(wheel), np.cos(wheel - 2.094), np.cos(wheel + 2.094)])
    aside = aside - 0.7 * (aside @ LUMA)[:, None]  # divided in hue, hardly in value
    reach = float(rng.uniform(0.15, 0.23)) * rng.uniform(0.4, 1.3, (count, 1))
    reach = reach * (0.45 + 2.2 * value * (1 - value))
    warmth = (value - 0.45) * np.float32([[0.10, 0.03, -0.22]])
    return np.clip(0.86 * rich + aside * reach + warmth + 0.08, 0.05, 1).astype(np.float32)
