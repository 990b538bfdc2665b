"""Renders docs/gallery.md and its pictures from the released weights: ``python -m docs.make_gallery [SHEET …]``."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from training.evaluate.photographs import photographs, square
from training.pictures import OTHER, Variant, draw
from training.vocabulary import LIGHTS, MEDIA, PALETTES
from underpaint import Engine, Request

ROOT = Path(__file__).parent.parent
PICTURES = ROOT / "docs" / "pictures"
PAGE = ROOT / "docs" / "gallery.md"
SIZE_PX, SHOWN_PX, GAP_PX = 256, 224, 6
LETTERS_PX, LABEL_PX = 20, 30
QUALITY = 86  # of WebP; strokes stay crisp, and all sheets together below 3 MB
SEED = 7
PHOTOGRAPHS = ("astronaut", "coffee", "chelsea", "rocket")
DRAWN_SKETCHES = {"landscape": 20_000_003, "portrait": 20_000_028, "still life": 20_000_017}
STRENGTHS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
GUIDANCE = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0)

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Cell:
    """A picture and the words over it."""

    label: str
    image: Image.Image


def sketches() -> dict[str, Pixels]:
    """Four line drawings `[256, 256, 3]`: the shipped one, and three that were drawn for nobody's training."""
    shipped = np.asarray(Image.open(ROOT / "examples" / "sketch.png").convert("RGB"))
    drawn = {
        name: draw(seed, SIZE_PX, [Variant("line_drawing")])[0][0][1]
        for name, seed in DRAWN_SKETCHES.items()
    }
    return {"sketch": square(shipped, SIZE_PX), **drawn}


def sources() -> tuple[dict[str, Pixels], dict[str, Pixels]]:
    """Four photographs and four sketches."""
    every = photographs(SIZE_PX)
    return {name: every[name] for name in PHOTOGRAPHS}, sketches()


class Easel:
    """An engine that renders every cell with the same seed."""

    def __init__(self) -> None:
        """Takes the released model."""
        self.engine = Engine()

    def cell(self, source: Pixels, prompt: str, *, label: str, **options: float) -> Cell:
        """The source after the prompt, everything else at its default."""
        request = Request(source=source, prompt=prompt, seed=SEED, **options)
        return Cell(label, self.engine.render(request).image.convert("RGB"))

    def rows(
        self, chosen: dict[str, Pixels], prompts: dict[str, str], **options: float
    ) -> list[list[Cell]]:
        """A row a source: the source, then one cell a prompt."""
        return [
            [Cell(name, Image.fromarray(source))]
            + [
                self.cell(source, prompt, label=label, **options)
                for label, prompt in prompts.items()
            ]
            for name, source in chosen.items()
        ]


def sheet(rows: Sequence[Sequence[Cell]]) -> Image.Image:
    """All cells with their labels above them."""
    width = len(rows[0]) * (SHOWN_PX + GAP_PX) + GAP_PX
    height = len(rows) * (SHOWN_PX + LABEL_PX) + GAP_PX
    made = Image.new("RGB", (width, height), "white")
    pen, font = ImageDraw.Draw(made), ImageFont.load_default(LETTERS_PX)
    for y, row in enumerate(rows):
        for x, cell in enumerate(row):
            left, top = GAP_PX + x * (SHOWN_PX + GAP_PX), y * (SHOWN_PX + LABEL_PX)
            place = (left + SHOWN_PX // 2, top + LABEL_PX - 6)
            pen.text(place, cell.label, fill="black", font=font, anchor="ms")
            small = cell.image.resize((SHOWN_PX, SHOWN_PX), Image.Resampling.LANCZOS)
            made.paste(small, (left, top + LABEL_PX))
    return made


def medium_prompts() -> tuple[dict[str, str], dict[str, str]]:
    """The media in two sheets' widths: the first seven, and the others."""
    plain = {medium: ways[0] for medium, ways in MEDIA.items() if medium != "line_drawing"}
    first = {ways: ways for medium, ways in plain.items() if medium not in OTHER}
    return first, {ways: ways for medium, ways in plain.items() if medium in OTHER}


def in_oil(names: Sequence[Sequence[str]]) -> dict[str, str]:
    """Oil paintings, one with each name's plainest word."""
    return {ways[0]: f"oil painting, {ways[0]}" for ways in names}


def varied(
    easel: Easel, chosen: dict[str, Pixels], option: str, values: Sequence[float]
) -> list[list[Cell]]:
    """Rows of oil paintings in which one number grows."""
    return [
        [Cell(name, Image.fromarray(source))]
        + [
            easel.cell(source, "oil painting", label=f"{value:g}", **{option: value})
            for value in values
        ]
        for name, source in chosen.items()
    ]


def sheets(easel: Easel) -> dict[str, Callable[[], list[list[Cell]]]]:
    """What makes each sheet's rows, by the sheet's name."""
    taken, drawn = sources()
    two = {"coffee": taken["coffee"], "sketch": drawn["sketch"]}
    first, others = medium_prompts()
    return {
        "photographs": lambda: easel.rows(taken, first),
        "photographs-more": lambda: easel.rows(taken, others),
        "sketches": lambda: easel.rows(drawn, first),
        "sketches-more": lambda: easel.rows(drawn, others),
        "strength": lambda: varied(easel, two, "strength", STRENGTHS),
        "guidance": lambda: varied(easel, two, "guidance_scale", GUIDANCE),
        "lights": lambda: easel.rows(two, in_oil(list(LIGHTS.values())), strength=0.7),
        "palettes": lambda: easel.rows(two, in_oil(list(PALETTES.values()))),
    }


def main() -> None:
    """Makes the sheets that are named, or all, and the page about them."""
    PICTURES.mkdir(exist_ok=True)
    easel = Easel()
    makers = sheets(easel)
    for name in sys.argv[1:] or makers:
        path = PICTURES / f"gallery-{name}.webp"
        sheet(makers[name]()).save(path, quality=QUALITY, method=6)
    PAGE.write_text(page(easel), encoding="utf-8")


def page(easel: Easel) -> str:
    """The text of docs/gallery.md."""
    checkpoint = easel.engine.checkpoint
    return TEXT.format(
        sha=checkpoint.sha256[:12],
        guidance=f"{checkpoint.defaults.guidance_scale:g}",
        seed=SEED,
        size=SIZE_PX,
        strength=f"{Request(source=None, prompt='').strength:g}",
    )


TEXT = """\
# Gallery

Every picture here was rendered by the built-in model, Gesso (its files' hash begins with `{sha}`), at {size} × {size}
pixels with seed {seed}, strength {strength}, guidance {guidance} and the model's own steps, unless the row says otherwise.
None was chosen among several. `make gallery` renders them anew and rewrites this page.

The photographs come with scikit-image and are free to use: astronaut (Eileen Collins, NASA, public domain), coffee
(Rachel Michetti, CC0), chelsea the cat (Stéfan van der Walt, CC0), rocket (SpaceX, CC0). Gesso never saw
them, nor any other photograph.

## Photographs

![Four photographs in the seven main media](pictures/gallery-photographs.webp)

![The same photographs in the other media](pictures/gallery-photographs-more.webp)

## Sketches

The first is `examples/sketch.png`; the others were drawn by the programs in `training/`, with seeds that the model was
not trained on.

![Four sketches in the seven main media](pictures/gallery-sketches.webp)

![The same sketches in the other media](pictures/gallery-sketches-more.webp)

## Strength

"oil painting", from a touch to a new picture.

![Strength from .3 to .9](pictures/gallery-strength.webp)

## Guidance

"oil painting": 1 is none, and costs half.

![Guidance from 1 to 6](pictures/gallery-guidance.webp)

## Light

"oil painting, …" with each light, at strength 0.7.

![Eight lights](pictures/gallery-lights.webp)

## Palette

"oil painting, …" with each palette.

![Eight palettes](pictures/gallery-palettes.webp)
"""


if __name__ == "__main__":
    main()
