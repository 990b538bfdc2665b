"""Quick dead-leaves pictures, so that the autoencoder also sees what no drawn scene holds."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray


def quick_picture(rng: np.random.Generator, size_px: int = 256) -> NDArray[np.uint8]:
    """One dead-leaves picture `[size, size, 3]`: shaded shapes with 1/f texture, hairs, letters. 20 ms."""
    scale = rng.uniform(0.4, 2.4)
    canvas = np.empty((size_px, size_px, 3), np.float32)
    canvas[:] = rng.uniform(0, 1, 3)
    yy, xx = np.mgrid[0:size_px, 0:size_px].astype(np.float32) / size_px
    for radius in np.sort(np.clip(0.02 * rng.pareto(1.2, 60) + 0.015, 0, 0.7))[::-1]:
        mask = np.zeros((size_px, size_px), np.uint8)
        centre = rng.integers(0, size_px, 2)
        axes = np.maximum((radius * size_px * rng.uniform(0.3, 1.3, 2)).astype(int), 1)
        if rng.random() < 0.6:
            cv2.ellipse(
                mask,
                centre.tolist(),
                axes.tolist(),
                rng.uniform(0, 180),
                0,
                360,
                255,
                -1,
                cv2.LINE_AA,
            )
        else:
            corners = centre + rng.normal(0, 1, (rng.integers(3, 7), 2)) * axes
            cv2.fillPoly(mask, [corners.astype(np.int32)], 255, cv2.LINE_AA)
        slope = rng.normal(0, 0.5, 2)
        shade = (slope[0] * (xx - 0.5) + slope[1] * (yy - 0.5))[..., None] * rng.uniform(0.3, 1, 3)
        colour = rng.uniform(0, 1) + rng.normal(0, 0.22, 3)
        alpha = mask[..., None].astype(np.float32) / 255
        canvas = canvas * (1 - alpha) + (colour + shade).astype(np.float32) * alpha
    if rng.random() < 0.8:
        canvas += rng.uniform(0.02, 0.25) * pink_noise(rng, size_px, rng.uniform(0.8, 2.2))
    if rng.random() < 0.5:
        draw_hairs(rng, canvas)
    if scale < 1:
        canvas = cv2.GaussianBlur(canvas, (0, 0), 1 / scale - 0.9)
    canvas = (np.clip(canvas, 0, 1) * 255).astype(np.uint8)
    if rng.random() < 0.25:
        words = "".join(chr(c) for c in rng.integers(33, 126, 14))
        at = (int(rng.integers(-20, 120)), int(rng.integers(20, size_px)))
        ink = rng.integers(0, 256, 3).tolist()
        cv2.putText(canvas, words, at, cv2.FONT_HERSHEY_DUPLEX, rng.uniform(0.4, 1.6), ink, 1)
    return canvas


def pink_noise(rng: np.random.Generator, size_px: int, power: float) -> NDArray[np.float32]:
    """Noise `[size, size, 3]` with a 1/f^power spectrum, deviation 1, mostly grey."""
    f = np.hypot(np.fft.fftfreq(size_px)[:, None], np.fft.rfftfreq(size_px)[None]) + 1 / size_px
    white = np.fft.rfft2(rng.normal(size=(3, size_px, size_px)))
    noise = np.fft.irfft2(white / f ** (power / 1.0), s=(size_px, size_px))
    noise = noise / noise.std() + 2 * noise[:1] / noise[:1].std()
    return (noise / noise.std()).transpose(1, 2, 0).astype(np.float32)


def draw_hairs(rng: np.random.Generator, canvas: NDArray[np.float32]) -> None:
    """Thin curved lines of one rough direction, in place: fur, grass, hatching."""
    size = canvas.shape[0]
    direction, tone = rng.uniform(0, 2 * math.pi), rng.uniform(0, 1, 3)
    steps = np.linspace(0, 1, 6)[:, None]
    for _ in range(int(rng.integers(20, 250))):
        angle = direction + rng.normal(0, 0.3)
        way = np.array([math.cos(angle), math.sin(angle)])
        bend = rng.normal(0, 6) * np.array([-way[1], way[0]])
        points = rng.uniform(0, size, 2) + steps * way * rng.uniform(8, 50) + steps**2 * bend
        colour = np.clip(tone + rng.normal(0, 0.12), 0, 1).tolist()
        cv2.polylines(
            canvas,
            [(points * 16).astype(np.int32)],
            isClosed=False,
            color=colour,
            lineType=cv2.LINE_AA,
            shift=4,
        )
