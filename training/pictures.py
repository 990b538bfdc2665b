"""Training pictures: one scene in many media, lights and palettes, aligned to the pixel, and the command that stores them.

python -m training.pictures --out DIR --count 3000 --first-seed 0 --processes 2
python -m training.pictures --sheet FILE.png --count 6
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from training import decorative, drawings, media
from training.brushwork import plan_strokes
from training.canvas import Plane
from training.grading import LUMA, PALETTES, PaletteName, grade, toned
from training.light import IN_LIGHT, LIGHTS, LightName, neutral
from training.media import Pixels
from training.scenes import Scene, draw_scene

SHARD_SCENES = 50
OTHERS = 3  # media a scene beside the main ones


@dataclass(frozen=True, slots=True)
class Variant:
    """In which medium, light and palette a scene is rendered."""

    medium: str
    light: LightName = "neutral"
    palette: PaletteName = "natural"


def oil(lit: Plane, scene: Scene, rng: np.random.Generator) -> Pixels:
    """Returns an oil painting whose strokes lie the same in every light."""
    return media.oil(lit, plan_strokes(neutral(scene), scene.normal, rng), rng)


MAIN: dict[str, Callable[[Plane, Scene, np.random.Generator], Pixels]] = {
    "photograph": media.photograph,
    "oil": oil,
    "watercolour": media.watercolour,
    "pencil": media.pencil,
    "ink": drawings.ink,
    "pastel": drawings.pastel,
    "charcoal": drawings.charcoal,
}
OTHER: dict[str, Callable[[Plane, Scene, np.random.Generator], Pixels]] = {
    "woodcut": drawings.woodcut,
    "mosaic": decorative.mosaic,
    "stained_glass": decorative.stained_glass,
    "pointillism": decorative.pointillism,
    "low_poly": decorative.low_poly,
    "clay": decorative.clay_render,
    "gouache": decorative.gouache,
}
MEDIA = {**MAIN, **OTHER, "line_drawing": media.line_drawing}
COLOURLESS = {"pencil", "ink", "charcoal", "woodcut", "clay", "line_drawing"}
"""What has no colours to grade; sepia tones it all the same."""

UNLIT = {"line_drawing"}


def choose_variants(rng: np.random.Generator) -> list[Variant]:
    """Returns the variants of one scene: photographs, a line drawing, the main media, some others.

    The lights and palettes are few a scene, so that many pairs differ in one respect only.
    """
    lights = rng.choice(LIGHTS[1:], 2, replace=False).tolist()
    palettes = rng.choice(PALETTES[1:], 2, replace=False).tolist()
    chosen = [
        Variant("photograph"),
        Variant("line_drawing"),
        Variant("photograph", light=lights[0]),
        Variant("photograph", palette=palettes[0]),
    ]
    others = rng.choice(list(OTHER), OTHERS, replace=False).tolist()
    for medium in (*list(MAIN)[1:], *others):
        light = rng.choice(["neutral", *lights], p=[0.44, 0.28, 0.28]).item()
        graded = medium not in COLOURLESS or rng.random() < 0.15
        palette = rng.choice(["natural", *palettes], p=[0.5, 0.25, 0.25]).item()
        if medium in COLOURLESS:
            palette = "sepia"
        chosen.append(Variant(medium, light, palette if graded else "natural"))
    return chosen


def render(scene: Scene, variant: Variant, rng: np.random.Generator) -> Pixels:
    """Returns the scene in one variant, uint8 [H, W, 3]."""
    lit = IN_LIGHT[variant.light](scene, np.random.default_rng(int(rng.integers(2**31))))
    colourless = variant.medium in COLOURLESS
    pixels = MEDIA[variant.medium](lit if colourless else grade(lit, variant.palette), scene, rng)
    if variant.palette == "sepia":
        return media.to_pixels(toned(pixels.astype(np.float32) / 255 @ LUMA))
    if variant.palette == "monochrome":  # after the paint as well: no tinted paper, no stray hue
        return media.to_pixels(grade(pixels.astype(np.float32) / 255, "monochrome"))
    return pixels


def draw(
    seed: int, size_px: int = 256, variants: list[Variant] | None = None
) -> tuple[list[tuple[Variant, Pixels]], tuple[str, ...]]:
    """Returns pictures of the scene of that seed, one a variant, and the words for what it shows."""
    rng = np.random.default_rng(seed)
    scene = draw_scene(rng, size_px)
    chosen = choose_variants(rng) if variants is None else variants
    hands = rng.integers(2**31, size=len(chosen))
    pictures = [
        (variant, render(scene, variant, np.random.default_rng(hand)))
        for variant, hand in zip(chosen, hands, strict=True)
    ]
    return pictures, scene.words


def write_shard(first_seed: int, *, out: Path, size_px: int) -> float:
    """Draws the shard of scenes that starts at `first_seed`, unless it is there; returns the seconds it took."""
    path = out / f"pictures-{first_seed:07d}.npz"
    if path.exists():
        return 0.0
    cv2.setNumThreads(1)
    started_s = time.process_time()
    pixels, meta = [], []
    for seed in range(first_seed, first_seed + SHARD_SCENES):
        pictures, words = draw(seed, size_px)
        pixels.append([picture for _, picture in pictures])
        variants = [asdict(variant) for variant, _ in pictures]
        meta.append({"seed": seed, "words": list(words), "variants": variants})
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with unfinished.open("wb") as file:
        np.savez(file, pixels=np.array(pixels, np.uint8), meta=np.array(json.dumps(meta)))
    unfinished.replace(path)
    return time.process_time() - started_s


def write_sheet(path: Path, *, count: int, first_seed: int, size_px: int) -> None:
    """Writes a contact sheet: a row a scene, a column a variant."""
    seeds = range(first_seed, first_seed + count)
    rows = [np.hstack([picture for _, picture in draw(seed, size_px)[0]]) for seed in seeds]
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
            if cpu_s:
                drawn += SHARD_SCENES
                rate = drawn / (time.monotonic() - started_s)
                print(
                    f"{drawn} scenes, {rate:.2f} scenes/s, {cpu_s / SHARD_SCENES:.2f} s CPU a scene",
                    flush=True,
                )


if __name__ == "__main__":
    main()
