"""How a scene is lit: evenly, from one side, by sun, moon, flame or tubes, or in mist."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import cv2
import numpy as np

from training.canvas import Plane, fbm, mix, smoothstep, unit
from training.scenes import Scene

Side = Literal["left", "right"]
LightName = Literal[
    "neutral", "side-left", "side-right", "golden", "moonlight", "mist", "candle", "neon"
]
LIGHTS: tuple[LightName, ...] = get_args(LightName)
WARM = np.float32([1.22, 0.91, 0.55])
COOL = np.float32([0.62, 0.78, 1.12])


def neutral(scene: Scene) -> Plane:
    """Returns the scene [H, W, 3] under a soft sky: form is legible, nothing is dramatic."""
    towards = np.float32([-0.28, -0.5, 0.82])
    lambert = np.clip(scene.normal @ towards, 0, 1)
    light = 0.5 + 0.56 * lambert
    return np.clip(scene.albedo * light[..., None], 0, 1)


def side_light(scene: Scene, side: Side) -> Plane:
    """Returns the scene [H, W, 3] under a low warm lamp from one side, the other side in deep cool shadow."""
    sign = -1.0 if side == "left" else 1.0
    size = scene.depth.shape[1]
    ramp = np.linspace(0, 1, size, dtype=np.float32)[None]
    across = ramp if side == "right" else 1 - ramp  # 1 at the lamp's edge of the picture
    facing = scene.normal @ np.float32([sign * 0.86, -0.3, 0.4])
    form = smoothstep(-0.25, 0.85, facing)
    fall = 0.12 + 1.12 * smoothstep(-0.02, 1.0, np.broadcast_to(across, form.shape))
    lit = (0.22 + 1.2 * form) * fall * (1 - 0.62 * cast_shadow(scene.depth, sign))
    linear = scene.albedo**2.0
    key = smoothstep(0.1, 0.95, lit)[..., None]
    tint = COOL + key * (WARM - COOL)
    exposed = linear * (0.03 + 1.5 * lit**1.5)[..., None]
    rolled = exposed / (1 + 0.35 * exposed)  # a shoulder, so that whites keep the lamp's warmth
    return np.clip(np.sqrt(rolled * tint), 0, 1)


def golden_hour(scene: Scene) -> Plane:
    """Returns the scene [H, W, 3] under a low sun from the left: amber lights, violet shadows, a glowing haze."""
    width = scene.depth.shape[1]
    across = np.linspace(1, 0, width, dtype=np.float32)[None]  # 1 where the sun stands
    form = smoothstep(-0.3, 0.9, scene.normal @ np.float32([-0.72, -0.3, 0.6]))
    shade = 1 - 0.45 * cast_shadow(scene.depth, -1.0)
    lit = (0.3 + 1.05 * form) * shade * (0.72 + 0.45 * across)
    tint = mix((0.8, 0.56, 0.66), (1.45, 0.9, 0.38), smoothstep(0.25, 1.1, lit))
    linear = scene.albedo**2 * lit[..., None] ** 1.3 * tint
    haze = 0.42 * smoothstep(0.35, 1.0, scene.depth) * (0.35 + 0.65 * across)
    return np.clip(mix(np.sqrt(np.clip(linear, 0, 1)), (1.0, 0.74, 0.36), haze), 0, 1)


def moonlight(scene: Scene) -> Plane:
    """Returns the scene [H, W, 3] at night: deep blue, little colour, pale light from above."""
    form = smoothstep(0.05, 0.95, scene.normal @ np.float32([0.3, -0.72, 0.55]))
    grey = scene.albedo @ np.float32([0.3, 0.59, 0.11])
    pale = mix(np.repeat(grey[..., None], 3, 2), scene.albedo, 0.3)
    lit = (0.1 + 0.75 * form) * (1 - 0.4 * cast_shadow(scene.depth, 1.0))
    exposed = pale**1.6 * lit[..., None] * np.float32([0.6, 0.8, 1.3])
    gleam = smoothstep(0.72, 1.0, form)[..., None] * pale**2
    return np.clip(
        exposed + np.float32([0.02, 0.035, 0.09]) + 0.3 * gleam * np.float32([0.75, 0.88, 1.0]),
        0,
        1,
    )


def mist(scene: Scene, rng: np.random.Generator) -> Plane:
    """Returns the scene [H, W, 3] in fog that swallows what is far and pales what is near."""
    thick = float(rng.uniform(0.75, 0.95))
    bank = 0.12 * fbm(rng, scene.depth.shape[0], 3, octaves=4, stretch=2.5)
    veil = np.clip(0.3 + thick * smoothstep(0.15, 0.95, scene.depth) * 0.7 + bank, 0.22, 0.97)
    veil = cv2.GaussianBlur(veil.astype(np.float32), (0, 0), scene.depth.shape[1] / 120)
    return np.clip(mix(neutral(scene), (0.84, 0.86, 0.87), veil), 0, 1)


def candlelight(scene: Scene, rng: np.random.Generator) -> Plane:
    """Returns the scene [H, W, 3] by one flame: an orange pool of light in brown darkness."""
    height, width = scene.depth.shape
    ys, xs = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j].astype(np.float32)
    dx, dy = xs - float(rng.uniform(0.4, 0.6)), ys - float(rng.uniform(0.5, 0.68))
    far = np.hypot(dx, dy)
    towards = unit(np.dstack([-dx, -dy, np.full_like(dx, 0.35)]))
    form = smoothstep(-0.3, 0.9, (scene.normal * towards).sum(2))
    lit = (0.25 + form) * (0.05 + 1.5 * np.exp(-((far / 0.33) ** 1.6)))
    exposed = scene.albedo**1.7 * lit[..., None] * np.float32([1.5, 0.8, 0.3])
    return np.clip(exposed / (1 + 0.25 * exposed) + np.float32([0.035, 0.02, 0.01]), 0, 1)


def neon(scene: Scene) -> Plane:
    """Returns the scene [H, W, 3] between two tubes: magenta from the left, cyan from the right, violet night."""
    width = scene.depth.shape[1]
    across = np.linspace(0, 1, width, dtype=np.float32)[None]
    left = smoothstep(-0.15, 0.9, scene.normal @ np.float32([-0.8, -0.1, 0.45])) * (
        1.2 - 0.8 * across
    )
    right = smoothstep(-0.15, 0.9, scene.normal @ np.float32([0.8, -0.1, 0.45])) * (
        0.4 + 0.8 * across
    )
    lamps = left[..., None] * np.float32([1.5, 0.12, 0.95]) + right[..., None] * np.float32(
        [0.05, 0.85, 1.4]
    )
    body = 0.18 + 0.82 * scene.albedo**1.6  # even dark things gleam a little
    return np.clip(body * (lamps * 0.85 + np.float32([0.05, 0.03, 0.12])), 0, 1)


def cast_shadow(depth: Plane, sign: float) -> Plane:
    """Returns where nearer things stand between a pixel and the lamp, 0…1, soft at its far end."""
    height, width = depth.shape
    shadow = np.zeros_like(depth)
    solid = depth < 0.97  # the sky catches no shadow
    steps = 9
    for i in range(1, steps + 1):
        dx, dy = round(sign * width * 0.022 * i), round(-height * 0.006 * i)
        moved = cv2.warpAffine(
            depth,
            np.float32([[1, 0, -dx], [0, 1, -dy]]),
            (width, height),
            borderMode=cv2.BORDER_REPLICATE,
        )
        blocks = (depth - moved > 0.02 + 0.012 * i) & (depth - moved < 0.5)
        shadow = np.maximum(shadow, np.where(blocks & solid, 1 - 0.6 * i / steps, 0))
    return cv2.GaussianBlur(shadow.astype(np.float32), (0, 0), width / 110)


IN_LIGHT: dict[LightName, Callable[[Scene, np.random.Generator], Plane]] = {
    "neutral": lambda scene, _: neutral(scene),
    "side-left": lambda scene, _: side_light(scene, "left"),
    "side-right": lambda scene, _: side_light(scene, "right"),
    "golden": lambda scene, _: golden_hour(scene),
    "moonlight": lambda scene, _: moonlight(scene),
    "mist": mist,
    "candle": candlelight,
    "neon": lambda scene, _: neon(scene),
}
"""The scene [H, W, 3], 0…1, in the light of each name."""
