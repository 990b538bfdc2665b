"""Oil strokes: where they lie, how they run, and the relief that they leave (after Hertzmann 1998)."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from training.canvas import Plane, flow_texture

FINENESS = 2  # strokes are laid on a canvas of twice the size, so that their edges come out smooth


@dataclass(frozen=True, slots=True)
class Brushwork:
    """Strokes over a picture: for every fine pixel the stroke on top, for every stroke where it takes its colour."""

    owner: NDArray[np.int32]  # [2H, 2W]
    spots: NDArray[np.int32]  # [N, 2], x and y in the picture
    widths: Plane  # [N], pixels
    relief: Plane  # [H, W], light caught by the ridges of paint, around 0
    tint: Plane  # [N, 3], how each stroke's colour departs from what it saw


def stroke_angle(guide: Plane, rng: np.random.Generator, normal: Plane) -> Plane:
    """Returns the direction that strokes follow: along contours, round forms, elsewhere in slow swirls."""
    size = guide.shape[0]
    grey = cv2.GaussianBlur(guide @ np.float32([0.3, 0.59, 0.11]), (0, 0), size / 128)
    gx, gy = cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)
    slant = 0.035
    gx, gy = gx + slant * normal[..., 0], gy + slant * normal[..., 1]
    swirl = cv2.resize(
        rng.uniform(-1, 1, (4, 4)).astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC
    ) * 1.2 + rng.uniform(0, 3.14)
    weak = 0.00012
    cos2 = cv2.GaussianBlur(gx * gx - gy * gy, (0, 0), size / 50) + weak * -np.cos(2 * swirl)
    sin2 = cv2.GaussianBlur(2 * gx * gy, (0, 0), size / 50) + weak * -np.sin(2 * swirl)
    return (0.5 * np.arctan2(sin2, cos2) + np.pi / 2).astype(np.float32)


def plan_strokes(guide: Plane, normal: Plane, rng: np.random.Generator) -> Brushwork:
    """Returns strokes for a picture [H, W, 3]: broad ones everywhere, then finer ones where there is more to say."""
    size = guide.shape[0]
    unit_px = size / 256
    angle = stroke_angle(guide, rng, normal)
    coarse = float(rng.uniform(0.85, 1.4)) * unit_px
    layers = (
        (19.0, 2.2, 0.0),
        (11.0, 2.8, 0.0),
        (6.5, 3.0, 0.03),
        (4.0, 2.8, 0.045),
        (2.6, 2.4, 0.075),
    )
    owner = np.zeros((size * FINENESS, size * FINENESS), np.int32)
    spots, widths = [np.zeros((1, 2), np.float32)], [np.ones(1, np.float32)]
    grey = guide @ np.float32([0.3, 0.59, 0.11])
    first = 1
    for relative, aspect, needs in layers:
        width = relative * coarse
        seen = cv2.GaussianBlur(guide, (0, 0), width / 3)
        step = width * 0.62
        grid = np.stack(
            np.meshgrid(np.arange(0, size, step), np.arange(0, size, step)), -1
        ).reshape(-1, 2)
        start = np.clip(grid + rng.uniform(-step / 2, step / 2, grid.shape), 0, size - 1).astype(
            np.float32
        )
        if needs:
            detail = cv2.GaussianBlur(
                np.abs(grey - cv2.GaussianBlur(grey, (0, 0), width * 0.8)), (0, 0), width * 0.5
            )
            at = start.astype(np.int32)
            start = start[detail[at[:, 1], at[:, 0]] > needs * rng.uniform(0.35, 1.1, len(start))]
        rng.shuffle(start)
        paths = trace(
            start,
            seen,
            angle,
            reach=width * aspect * rng.uniform(0.5, 1.1, len(start)).astype(np.float32),
        )
        fixed = np.round(paths * (FINENESS * 16)).astype(np.int32)
        for i, path in enumerate(fixed):
            cv2.polylines(
                owner,
                [path],
                isClosed=False,
                color=first + i,
                thickness=max(2, round(width * FINENESS * (0.75 + 0.5 * ((i * 7) % 11) / 11))),
                lineType=cv2.LINE_8,
                shift=4,
            )
        first += len(start)
        spots.append(start)
        widths.append(np.full(len(start), width, np.float32))
    wide = np.concatenate(widths)
    return Brushwork(
        owner,
        np.concatenate(spots).astype(np.int32),
        wide,
        paint_relief(owner, wide, angle, rng),
        stroke_tint(wide / (size / 256), rng),
    )


def trace(start: Plane, seen: Plane, angle: Plane, *, reach: Plane) -> Plane:
    """Returns paths [N, 7, 2] through `start` along `angle`; a path stops where the colour is no longer its own."""
    size = seen.shape[0]
    at = start.astype(np.int32)
    own = seen[at[:, 1], at[:, 0]]
    halves = []
    for sign in (-1.0, 1.0):
        p, points = start.copy(), []
        heading = sign * np.stack(
            [np.cos(angle[at[:, 1], at[:, 0]]), np.sin(angle[at[:, 1], at[:, 0]])], 1
        )
        going = np.ones(len(start), bool)
        for _ in range(3):
            q = np.clip(p, 0, size - 1).astype(np.int32)
            a = angle[q[:, 1], q[:, 0]]
            d = np.stack([np.cos(a), np.sin(a)], 1)
            d *= np.where((d * heading).sum(1) < 0, -1, 1)[:, None]
            heading = 0.5 * heading + 0.5 * d
            ahead = p + heading * (reach / 6)[:, None]
            q = np.clip(ahead, 0, size - 1).astype(np.int32)
            going &= np.abs(seen[q[:, 1], q[:, 0]] - own).max(1) < 0.13
            p = np.where(going[:, None], ahead, p)
            points.append(p)
        halves.append(points)
    return np.stack([*reversed(halves[0]), start, *halves[1]], 1).astype(np.float32)


def paint_relief(
    owner: NDArray[np.int32], widths: Plane, angle: Plane, rng: np.random.Generator
) -> Plane:
    """Returns how the ridges and bristle marks of the paint catch a light from the upper left."""
    height, width = angle.shape
    heights = rng.uniform(0, 1, len(widths)) * np.clip(
        np.sqrt(widths * (128 / width)), 0.35, 1
    )  # fine strokes lie flatter
    thick = heights.astype(np.float32)[owner]
    step = cv2.resize(thick, (width, height), interpolation=cv2.INTER_AREA)
    bristles = flow_texture(rng, angle, length_px=width / 12, grain_px=max(1.0, width / 150))
    surface = step * 1.0 + 0.12 * bristles
    surface = cv2.GaussianBlur(surface, (0, 0), width / 300)
    gx, gy = (
        cv2.Sobel(surface, cv2.CV_32F, 1, 0, scale=0.25),
        cv2.Sobel(surface, cv2.CV_32F, 0, 1, scale=0.25),
    )
    return np.clip(0.6 * gx + 0.8 * gy, -1, 1).astype(np.float32)


def stroke_tint(widths: Plane, rng: np.random.Generator) -> Plane:
    """Returns each stroke's departure from the colour it saw: mostly in value, a little in hue, less in fine strokes."""
    count, share = len(widths), np.clip(widths / 9, 0.25, 1)[:, None]
    return share * (rng.normal(0, 0.06, (count, 1)) + rng.normal(0, 0.013, (count, 3))).astype(
        np.float32
    )


def lay_strokes(rgb: Plane, work: Brushwork) -> Plane:
    """Returns a picture [H, W, 3] repainted with the strokes, before relief."""
    size = rgb.shape[0]
    colours = np.empty((len(work.widths), 3), np.float32)
    for width in np.unique(work.widths):
        chosen = work.widths == width
        seen = cv2.GaussianBlur(rgb, (0, 0), float(max(width, 1.5)) / 4)
        colours[chosen] = seen[work.spots[chosen, 1], work.spots[chosen, 0]]
    colours = np.clip(colours * (1 + work.tint) + 0.3 * work.tint, 0, 1)
    return cv2.resize(colours[work.owner], (size, size), interpolation=cv2.INTER_AREA)
