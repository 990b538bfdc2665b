"""Four more media of drawing: ink, charcoal, soft pastel and woodcut.

Each takes the lit colours [H, W, 3] (0…1) and the scene and returns uint8 [H, W, 3], like `training.media`. The
generator and the scene decide where marks lie, the light only which of them show: both lights are drawn by one hand.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from training.brushwork import Brushwork, lay_strokes, trace
from training.canvas import Colour, Plane, fbm, mix, smoothstep
from training.light import neutral
from training.media import LUMA, Pixels, contours, object_edges, saturate, to_pixels, wander
from training.scenes import Scene

FINENESS = 2  # two-tone pictures are drawn at twice the size, so that edges come out smooth
CREAMS = np.float32([[0.95, 0.91, 0.82], [0.93, 0.88, 0.76], [0.96, 0.94, 0.88]])
BUFF, BLUE_GREY, BROWN = (0.78, 0.68, 0.52), (0.47, 0.54, 0.62), (0.27, 0.2, 0.17)
TERRACOTTA, WARM_GREY, BLUE_BLACK = (0.66, 0.4, 0.29), (0.52, 0.5, 0.46), (0.17, 0.19, 0.24)
CHALK_PAPERS = np.float32([BUFF, BLUE_GREY, BROWN, TERRACOTTA, WARM_GREY, BLUE_BLACK])


def darkness(lit: Plane, *, soft_px: float, local: float) -> Plane:
    """Returns how much tone a draughtsman would give each place, 0 for paper … 1 for the deepest black.

    The picture's own extremes set the scale; `local` is how strongly things stand out from what lies round them.
    """
    size = lit.shape[0]
    value = cv2.GaussianBlur(lit @ LUMA, (0, 0), soft_px) ** 0.75
    value = value + local * (value - cv2.GaussianBlur(value, (0, 0), size / 16))
    low, high = np.quantile(value[::3, ::3], (0.03, 0.95))
    low, high = min(float(low), 0.3), max(float(high), 0.45)
    return np.clip(1 - (value - low) / (high - low), 0, 1).astype(np.float32)


def enlarge(plane: Plane) -> Plane:
    """Returns a plane at `FINENESS` times its size."""
    return cv2.resize(plane, None, fx=FINENESS, fy=FINENESS, interpolation=cv2.INTER_LINEAR)


def reduce(mask: Plane) -> Plane:
    """Returns a fine plane at the picture's size, averaged."""
    return cv2.resize(mask, None, fx=1 / FINENESS, fy=1 / FINENESS, interpolation=cv2.INTER_AREA)


def object_angles(scene: Scene, rng: np.random.Generator, *, base: float, spread: float) -> Plane:
    """Returns one direction an object, radians: `base` for small things, up to `spread` away from it for others."""
    turns = rng.uniform(-spread, spread, 64).astype(np.float32)
    ids = np.clip(scene.ids, 0, None)
    turns_by_id = turns[np.arange(int(ids.max()) + 1) * 7 % 64]
    turns_by_id[np.bincount(ids.ravel()) < 0.015 * ids.size] = 0
    return (base + turns_by_id[ids]).astype(np.float32)


def pen_strokes(
    rng: np.random.Generator, angle: Plane, *, spacing_px: float, width_px: float
) -> Plane:
    """Returns free parallel strokes along `angle`; a stroke's value, 0…1, is how soon tone calls for it, 0 is paper."""
    size = angle.shape[0]
    along, across = np.arange(0, size, spacing_px * 5), np.arange(0, size, spacing_px)
    x, y = np.meshgrid(along, across)
    x = x + rng.uniform(0, spacing_px * 5, (len(across), 1))
    spots = np.stack([x, y], -1).reshape(-1, 2) + rng.normal(0, spacing_px * 0.14, (x.size, 2))
    main = float(np.median(angle))  # the rows run along it
    turn = np.array([[np.cos(main), np.sin(main)], [-np.sin(main), np.cos(main)]])
    spots = (spots - size / 2) * 1.45 @ turn + size / 2
    at = np.clip(spots, 0, size - 1).astype(np.int32)
    own = angle[at[:, 1], at[:, 0]] + rng.normal(0, 0.06, len(spots))
    half = np.stack([np.cos(own), np.sin(own)], 1) * spacing_px
    half = half * rng.uniform(2.4, 5.5, (len(spots), 1))
    sag = half[:, ::-1] * (-1, 1) * rng.uniform(-0.06, 0.1, (len(spots), 1))
    paths = np.stack([spots - half, spots + sag, spots + half], 1) * (FINENESS * 16)
    calls = rng.permutation(np.linspace(60, 255, len(spots))).astype(int)
    wide = FINENESS * width_px * rng.choice([0.75, 1.0, 1.0, 1.35], len(spots))
    plane = np.zeros((FINENESS * size, FINENESS * size), np.uint8)
    for path, call, thick in zip(np.round(paths).astype(np.int32), calls, wide, strict=True):
        cv2.polylines(plane, [path], False, int(call), max(1, round(thick)), shift=4)  # noqa: FBT003
    return plane.astype(np.float32) / 255


def two_tone(black: NDArray[np.uint8], ink_colour: Colour, paper: Colour) -> Pixels:
    """Returns a fine mask (0 or 255) as a picture of two tones, their edges a pixel wide."""
    covered = reduce(black).astype(np.float32) / 255
    return to_pixels(mix(paper, ink_colour, smoothstep(0.2, 0.8, covered)))


def ink(lit: Plane, scene: Scene, rng: np.random.Generator) -> Pixels:
    """Returns a pen and brush drawing: pure black on pure white, solid darks, bold contours, sparse hatching."""
    size = lit.shape[0]
    unit_px = size / 256
    dark = darkness(lit, soft_px=1.3 * unit_px, local=float(rng.uniform(0.7, 1.0)))
    calm = cv2.GaussianBlur(dark, (0, 0), 1.2 * unit_px)
    calm = calm * min(1.0, 0.6 / float(calm.mean() + 1e-6))  # a night, too, is mostly paper
    drift = [fbm(rng, size, 10, octaves=3) * 0.9 * unit_px for _ in range(2)]
    pressure = fbm(rng, size, 7, octaves=3)
    solid = float(rng.uniform(0.7, 0.8))
    lines = contours(lit, scene, fine_px=float(rng.uniform(1.2, 1.5)) * unit_px, keep=0.02)
    lines = cv2.GaussianBlur(wander(lines, drift[0], drift[1]), (0, 0), 1.1 * unit_px)
    brush = lines - (float(rng.uniform(0.24, 0.32)) - 0.07 * pressure)
    gaps = cv2.GaussianBlur(object_edges(scene, drift), (0, 0), 0.8 * unit_px)
    mass = calm + 0.03 * pressure - solid - 1.3 * gaps  # a rim of paper keeps dark things apart
    base = float(rng.choice([-0.85, -0.7, -1.0, -2.3]))
    angle = object_angles(scene, rng, base=base, spread=float(rng.uniform(0, 0.5)))
    spacing, width = float(rng.uniform(4.6, 6.5)) * unit_px, float(rng.uniform(1.0, 1.5)) * unit_px
    first = pen_strokes(rng, angle, spacing_px=spacing, width_px=width)
    angle = angle + float(rng.uniform(0.8, 1.4))
    second = pen_strokes(rng, angle, spacing_px=spacing, width_px=width)
    touch = float(rng.uniform(0.42, 0.52))
    need = enlarge(smoothstep(touch - 0.12, touch + 0.12, calm))
    cross = enlarge(smoothstep(touch + 0.08, solid, calm))
    black = enlarge(np.maximum(np.where(calm > solid, mass, brush), mass)) > 0
    black |= (first + need > 1.0) & (first > 0)
    black |= (second + cross > 1.0) & (second > 0)
    black = black.astype(np.uint8) * 255
    spatter(black, rng)
    return two_tone(black, (0, 0, 0), (1, 1, 1))


def spatter(black: NDArray[np.uint8], rng: np.random.Generator) -> None:
    """Flicks a few drops of ink over the mask, most of them tiny, around one or two places."""
    size = black.shape[0]
    for _ in range(int(rng.choice([0, 0, 1, 2]))):
        where = rng.uniform(0.05, 0.95, 2) * size
        for _ in range(14):
            x, y = where + rng.normal(0, size * 0.09, 2)
            radius = size / 256 * float(np.clip(0.35 / rng.uniform(0.1, 1), 0.4, 2.6))
            cv2.circle(black, (round(x), round(y)), max(1, round(radius)), 255, -1)


def charcoal(lit: Plane, scene: Scene, rng: np.random.Generator) -> Pixels:
    """Returns a charcoal drawing: rubbed grey tones, velvet blacks and erased lights on a toothy warm-grey paper."""
    size = lit.shape[0]
    unit_px = size / 256
    tooth = fbm(rng, size, 90, octaves=2, gain=0.8)
    drift = [fbm(rng, size, 5, octaves=3) * 2.2 * unit_px for _ in range(2)]
    dark = darkness(lit, soft_px=1.6 * unit_px, local=float(rng.uniform(0.6, 0.9)))
    soft_px = float(rng.uniform(3, 5)) * unit_px
    rubbed = cv2.GaussianBlur(wander(dark, drift[0], drift[1]), (0, 0), soft_px)
    base = float(rng.choice([-0.8, -0.65, -1.05, -2.2]))
    sweep = sweeps(rng, size, base, length_px=46 * unit_px, grain_px=5 * unit_px)
    smudge = np.clip(0.2 + 0.72 * rubbed + 0.05 * fbm(rng, size, 4, octaves=4) + 0.05 * sweep, 0, 1)
    tone = cv2.GaussianBlur(dark, (0, 0), 1.3 * unit_px)
    stick = smoothstep(-0.7, 1.1, 2.4 * (tone - 0.56) + 0.34 * tooth + 0.25 * sweep)
    velvet = smoothstep(0.68, 0.94, tone + 0.03 * tooth)
    width = float(rng.uniform(1.4, 2.0)) * unit_px
    lines = wander(contours(lit, scene, fine_px=width, keep=0.016), 0.5 * drift[0], 0.5 * drift[1])
    lines = np.clip(1.5 * cv2.GaussianBlur(lines, (0, 0), 0.9 * unit_px), 0, 1)
    broken = smoothstep(-0.7, 0.6, fbm(rng, size, 8, octaves=3) + 0.35 * tooth)
    bare = (1 - 0.68 * smudge) * (1 - 0.42 * stick) * (1 - 0.75 * velvet)
    dust = 1 - bare * (1 - 0.85 * lines * broken)
    dust = dust + 0.5 * (tone - cv2.GaussianBlur(tone, (0, 0), 5 * unit_px))  # keeps features
    lift = smoothstep(float(rng.uniform(0.14, 0.2)), 0.03, tone + 0.05 * sweep)
    dust = dust * (1 - 0.9 * lift)
    dust = np.clip(dust * (1 + 0.16 * np.clip(tooth, -2, 2) * smoothstep(1.0, 0.6, dust)), 0, 1)
    if rng.random() < 0.4:
        dust = dust * vignette(rng, size)
    paper = np.float32([0.88, 0.86, 0.82]) * float(rng.uniform(0.93, 1.05))
    paper = paper * (1 + 0.02 * tooth)[..., None]
    return to_pixels(mix(paper, (0.05, 0.047, 0.047), dust))


def sweeps(
    rng: np.random.Generator, size: int, angle: float, *, length_px: float, grain_px: float
) -> Plane:
    """Returns straight streaks along `angle` with deviation 1, as a hand or the side of a stick leaves them."""
    wide = round(size * 1.5)
    grid = rng.standard_normal((round(wide / grain_px) + 2, round(wide / length_px) + 2))
    streaks = cv2.resize(grid.astype(np.float32), (wide, wide), interpolation=cv2.INTER_CUBIC)
    turn = cv2.getRotationMatrix2D((wide / 2, wide / 2), -np.degrees(angle), 1)
    turn[:, 2] -= (wide - size) / 2
    streaks = cv2.warpAffine(streaks, turn, (size, size), borderMode=cv2.BORDER_REFLECT)
    return (streaks - streaks.mean()) / (streaks.std() + 1e-6)


def vignette(rng: np.random.Generator, size: int) -> Plane:
    """Returns 1 inside and 0 at a loose, irregular border that the drawing leaves open."""
    ys, xs = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j].astype(np.float32)
    reach = (np.abs(xs) ** 4 + np.abs(ys) ** 4) ** 0.25 + 0.07 * fbm(rng, size, 6, octaves=4)
    return smoothstep(float(rng.uniform(0.95, 1.04)), 0.86, reach)


def pastel(lit: Plane, scene: Scene, rng: np.random.Generator) -> Pixels:
    """Returns a soft pastel: matte chalk in broad parallel strokes, broken by the tooth of a toned paper."""
    size = lit.shape[0]
    unit_px = size / 256
    ground = CHALK_PAPERS[int(rng.integers(len(CHALK_PAPERS)))] * rng.uniform(0.9, 1.1)
    tooth = fbm(rng, size, 64, octaves=2, gain=0.7)
    base = float(rng.choice([-0.8, -0.65, -1.05, -2.2]))
    streaks = sweeps(rng, size, base, length_px=26 * unit_px, grain_px=3.2 * unit_px)
    chalk = chalky(lit, rng)
    work, pressure = chalk_strokes(scene, rng, base)
    marks = lay_strokes(chalk, work)
    value = cv2.GaussianBlur(chalk @ LUMA, (0, 0), 1.1 * unit_px)
    accent = cv2.GaussianBlur(value, (0, 0), 5 * unit_px) - value
    marks = marks * np.clip(1 - 1.6 * accent / (value + 0.15), 0.35, 1.25)[..., None]
    under = cv2.GaussianBlur(chalk, (0, 0), 4 * unit_px)
    grain = float(rng.uniform(0.5, 0.65)) * tooth + 0.35 * streaks
    rubbed = smoothstep(-1.4, 1.6, grain) * float(rng.uniform(0.6, 0.85))
    pressed = cv2.GaussianBlur(reduce(pressure[work.owner]), (0, 0), 0.7 * unit_px)
    cover = smoothstep(-0.95, 0.85, 2.6 * (pressed - 0.35) + 2 * np.abs(accent) + grain)
    if rng.random() < 0.4:
        border = vignette(rng, size)
        rubbed, cover = rubbed * border, cover * smoothstep(0.2, 0.9, border + 0.2 * grain)
    paper = ground.astype(np.float32) * (1 + 0.04 * tooth)[..., None]
    return to_pixels(mix(mix(paper, under, rubbed), marks, 0.95 * cover))


def chalky(lit: Plane, rng: np.random.Generator) -> Plane:
    """Returns the colours as sticks of chalk have them: clear hues, mixed with white, no deep darks."""
    fair = 0.92 / float(np.clip(np.quantile(lit[::3, ::3].max(axis=2), 0.96), 0.65, 0.92))
    clear = np.clip(saturate(fair * lit, float(rng.uniform(1.6, 2.1))), 0, 1) ** 0.75
    clear = clear + 0.3 * clear * (1 - clear) * (2 * clear - 1)
    white = float(rng.uniform(0.07, 0.13))
    return (clear * (0.98 - white) + white).astype(np.float32)


def chalk_strokes(scene: Scene, rng: np.random.Generator, base: float) -> tuple[Brushwork, Plane]:
    """Returns strokes of two breadths, parallel on each object and bent by its form, and how hard each is pressed."""
    size = scene.depth.shape[0]
    coarse = float(rng.uniform(0.9, 1.25)) * size / 256
    guide = neutral(scene)
    grey = guide @ LUMA
    angle = object_angles(scene, rng, base=base, spread=float(rng.uniform(0.2, 0.8)))
    angle = angle + 0.8 * cv2.GaussianBlur(scene.normal[..., 0], (0, 0), 4 * coarse)
    owner = np.zeros((size * FINENESS, size * FINENESS), np.int32)
    spots, widths, first = [np.zeros((1, 2), np.float32)], [np.ones(1, np.float32)], 1
    for width, needs in ((7.0 * coarse, -1.0), (3.2 * coarse, 0.024)):
        line = np.arange(0, size, width)
        start = np.stack(np.meshgrid(line, line), -1).reshape(-1, 2)
        start = np.clip(start + rng.uniform(-width / 2, width / 2, start.shape), 0, size - 1)
        start = rng.permutation(start.astype(np.float32))
        at = start.astype(np.int32)
        fine = cv2.blur(np.abs(grey - cv2.GaussianBlur(grey, (0, 0), width)), (5, 5))
        start = start[fine[at[:, 1], at[:, 0]] > needs]
        reach = (width * rng.uniform(1.6, 3.6, len(start))).astype(np.float32)
        paths = trace(start, cv2.GaussianBlur(guide, (0, 0), width / 3), angle, reach=reach)
        wide_px = max(2, round(width * FINENESS))
        for i, path in enumerate(np.round(paths[:, ::2] * (FINENESS * 16)).astype(np.int32)):
            cv2.polylines(owner, [path], False, first + i, wide_px, shift=4)  # noqa: FBT003
        first += len(start)
        spots.append(start)
        widths.append(np.full(len(start), width, np.float32))
    wide = np.concatenate(widths)
    tint = rng.normal(0, 0.035, (len(wide), 3)) + rng.normal(0, 0.04, (len(wide), 1))
    tint = np.clip(tint, -0.12, 0.12).astype(np.float32)
    pressure = rng.normal(0.62, 0.15, len(wide)).astype(np.float32)
    flat = np.zeros((1, 1), np.float32)  # chalk has no relief
    return Brushwork(owner, np.concatenate(spots).astype(np.int32), wide, flat, tint), pressure


def woodcut(lit: Plane, scene: Scene, rng: np.random.Generator) -> Pixels:
    """Returns a woodcut: two flat tones, greys made of tapering carved lines that follow the form, angular edges."""
    size = lit.shape[0]
    unit_px = size / 256
    dark = darkness(lit, soft_px=1.5 * unit_px, local=float(rng.uniform(0.8, 1.1)))
    calm = cv2.GaussianBlur(dark, (0, 0), 1.4 * unit_px)
    waves = carved_lines(scene, rng, spacing_px=float(rng.uniform(5.5, 8.0)) * unit_px)
    tool = fbm(rng, size, 16, octaves=2)
    steep = float(rng.uniform(1.5, 1.9))  # above 1 the lightest and darkest tones are flat
    field = steep * (calm - float(rng.uniform(0.46, 0.56))) + 0.07 * tool + 0.5 * waves
    lines = contours(lit, scene, fine_px=1.4 * unit_px, keep=0.02)
    lines = cv2.GaussianBlur(lines, (0, 0), 0.9 * unit_px)
    field = np.maximum(field, np.where(calm < 0.62, 3 * (lines - 0.34), -1))
    edges = cv2.GaussianBlur(object_edges(scene, [0 * tool, 0 * tool]), (0, 0), 1.0 * unit_px)
    field = field - 6 * edges * smoothstep(0.55, 0.7, calm)  # dark things are parted by a white cut
    black = angular((enlarge(field) > 0).astype(np.uint8), unit_px * FINENESS)
    white = np.float32([0.985, 0.98, 0.97])
    paper = white if rng.random() < 0.2 else CREAMS[int(rng.integers(len(CREAMS)))]
    return two_tone(black, (0.05, 0.045, 0.045), paper)


def carved_lines(scene: Scene, rng: np.random.Generator, *, spacing_px: float) -> Plane:
    """Returns a wave −1…1 whose crests are parallel lines, one direction an object, bent by the form they run over."""
    size = scene.depth.shape[0]
    unit_px = size / 256
    base = float(rng.choice([0.0, 0.2, -0.5, 0.8]))
    angle = object_angles(scene, rng, base=base, spread=float(rng.uniform(0.4, 1.2)))
    ys, xs = np.mgrid[0:size, 0:size].astype(np.float32)
    normal = cv2.GaussianBlur(scene.normal, (0, 0), 3 * unit_px)
    bend = float(rng.uniform(16, 30)) * unit_px * normal[..., 2]
    sway = fbm(rng, size, 3, octaves=2) * float(rng.uniform(2, 5)) * unit_px
    across = ys * np.cos(angle) - xs * np.sin(angle) + bend + sway
    turn = across / spacing_px
    return (4 * np.abs(turn - np.floor(turn) - 0.5) - 1).astype(np.float32)


def angular(mask: NDArray[np.uint8], unit_px: float) -> NDArray[np.uint8]:
    """Returns the mask with its curves cut into short straight facets, as a knife leaves them, and specks gone."""
    outlines, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    kept = [line for line in outlines if len(line) > 7 * unit_px]
    cut = [cv2.approxPolyDP(line, 0.7 * unit_px, closed=True) for line in kept]
    facets = np.zeros_like(mask)
    cv2.fillPoly(facets, cut, 255)
    return facets
