"""Training pictures: one scene in every medium and light, aligned to the pixel, and the command that stores them.

python -m training.pictures --out DIR --count 3000 --first-seed 0 --processes 2
python -m training.pictures --sheet FILE.png --count 6
"""

from __future__ import annotations

import argparse
import json
import os
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from training.brushwork import plan_strokes
from training.light import Side, neutral, side_light
from training.media import Pixels, line_drawing, oil, pencil, photograph, watercolour
from training.scenes import draw_scene

SHARD_SCENES = 100
VARIANTS = 9


@dataclass(frozen=True, slots=True)
class Picture:
    """One drawn picture and what a prompt may say of it."""

    pixels: Pixels  # [H, W, 3]
    medium: str  # photograph, oil, watercolour, pencil or line_drawing
    light: str  # neutral, side-left, side-right or none
    words: tuple[str, ...]


def draw(seed: int, size_px: int = 256) -> list[Picture]:
    """Returns nine pictures of one scene: four media in two lights each, then the contour drawing."""
    rng = np.random.default_rng(seed)
    scene = draw_scene(rng, size_px)
    side: Side = "left" if rng.random() < 0.5 else "right"
    lights = {"neutral": neutral(scene), f"side-{side}": side_light(scene, side)}
    even = lights["neutral"]
    work = plan_strokes(even, scene.normal, rng)
    hands = [int(s) for s in rng.integers(2**31, size=5)]
    pictures: list[Picture] = []
    for medium, hand in zip(("photograph", "oil", "watercolour", "pencil"), hands, strict=False):
        for light, lit in lights.items():
            again = np.random.default_rng(hand)  # the same hand for both lights
            if medium == "photograph":
                pixels = photograph(lit, scene, again)
            elif medium == "oil":
                pixels = oil(lit, work, again)
            elif medium == "watercolour":
                pixels = watercolour(lit, scene, again)
            else:
                pixels = pencil(lit, scene, again)
            pictures.append(Picture(pixels, medium, light, scene.words))
    pictures.append(
        Picture(
            line_drawing(even, scene, np.random.default_rng(hands[4])),
            "line_drawing",
            "none",
            scene.words,
        )
    )
    return pictures


def write_shard(first_seed: int, *, out: Path, size_px: int) -> float:
    """Draws the shard of scenes that starts at `first_seed`, unless it is there; returns the seconds it took."""
    path = out / f"pictures-{first_seed:07d}.npz"
    if path.exists():
        return 0.0
    cv2.setNumThreads(1)
    started_s = time.process_time()
    pixels = np.empty((SHARD_SCENES, VARIANTS, size_px, size_px, 3), np.uint8)
    meta: list[dict[str, object]] = []
    for i in range(SHARD_SCENES):
        pictures = draw(first_seed + i, size_px)
        pixels[i] = [p.pixels for p in pictures]
        meta.append(
            {"seed": first_seed + i, "words": list(pictures[0].words), "side": pictures[1].light}
        )
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with unfinished.open("wb") as file:
        np.savez(file, pixels=pixels, meta=np.array(json.dumps(meta)))
    unfinished.replace(path)
    return time.process_time() - started_s


def write_sheet(path: Path, *, count: int, first_seed: int, size_px: int) -> None:
    """Writes a contact sheet: a row a scene, a column a variant."""
    rows = [np.hstack([p.pixels for p in draw(first_seed + i, size_px)]) for i in range(count)]
    cv2.imwrite(str(path), np.vstack(rows)[..., ::-1])


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, help="folder for the shards; finished shards are kept")
    parser.add_argument(
        "--sheet", type=Path, help="write a contact sheet to look at, instead of shards"
    )
    parser.add_argument("--count", type=int, default=SHARD_SCENES, help="scenes")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--size", type=int, default=256, help="pixels a side")
    given = parser.parse_args()
    if given.sheet is not None:
        cv2.setNumThreads(1)
        started_s = time.process_time()
        write_sheet(given.sheet, count=given.count, first_seed=given.first_seed, size_px=given.size)
        print(f"{(time.process_time() - started_s) / given.count:.2f} s CPU a scene")
        return
    if given.out is None:
        parser.error("give --out DIR for shards or --sheet FILE.png to look")
    given.out.mkdir(parents=True, exist_ok=True)
    firsts = range(given.first_seed, given.first_seed + given.count, SHARD_SCENES)
    started_s, drawn = time.monotonic(), 0
    with ProcessPoolExecutor(given.processes) as pool:
        for cpu_s in pool.map(partial(write_shard, out=given.out, size_px=given.size), firsts):
            drawn += SHARD_SCENES if cpu_s else 0
            if cpu_s:
                rate = drawn / (time.monotonic() - started_s)
                print(
                    f"{drawn} scenes, {rate:.2f} scenes/s, {cpu_s / SHARD_SCENES:.2f} s CPU a scene",
                    flush=True,
                )


if __name__ == "__main__":
    main()
