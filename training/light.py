"""How a scene is lit: evenly, or dramatically from one side."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np

from training.canvas import Plane, smoothstep
from training.scenes import Scene

Side = Literal["left", "right"]
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
    fall = 0.24 + 0.98 * smoothstep(-0.05, 1.0, np.broadcast_to(across, form.shape))
    lit = (0.22 + 1.2 * form) * fall * (1 - 0.62 * cast_shadow(scene.depth, sign))
    linear = scene.albedo**2.0
    key = smoothstep(0.1, 0.95, lit)[..., None]
    tint = COOL + key * (WARM - COOL)
    exposed = linear * (0.03 + 1.5 * lit**1.5)[..., None]
    rolled = exposed / (1 + 0.35 * exposed)  # a shoulder, so that whites keep the lamp's warmth
    return np.clip(np.sqrt(rolled * tint), 0, 1)


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
