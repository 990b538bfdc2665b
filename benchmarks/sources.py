"""Pictures of several kinds to measure on: photographs, drawings and screenshots.

scikit-image's own, and scenes that the training draws; a set is the same everywhere.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

SKETCH = Path(__file__).parent.parent / "examples" / "sketch.png"
Kind = Literal["photograph", "drawing", "screenshot"]


@dataclass(frozen=True, slots=True)
class Source:
    """A picture, drawn when it is asked for."""

    name: str
    kind: Kind
    draw: Callable[[], Image.Image]

    def square(self, side_px: int) -> Image.Image:
        """Its middle, as a square ``RGB`` picture."""
        return ImageOps.fit(self.draw().convert("RGB"), (side_px, side_px))


def photograph(name: str) -> Source:
    from skimage import data

    return Source(name, "photograph", lambda: Image.fromarray(getattr(data, name)()))


def drawn(medium: str, seed: int) -> Source:
    def draw() -> Image.Image:
        from training.pictures import Variant, draw

        ((_, picture),), _ = draw(seed, 256, [Variant(medium)])
        return Image.fromarray(np.asarray(picture))

    return Source(f"{medium}-{seed}", "drawing", draw)


def screenshot_of(name: str) -> Source:
    return Source(name, "screenshot", photograph(name).draw)


def window(title: str, shade: str) -> Image.Image:
    """A window with a title, a list and a chart, as a program's would look."""
    image = Image.new("RGB", (512, 512), shade)
    pen = ImageDraw.Draw(image)
    text = "white" if shade != "white" else "black"
    pen.rectangle((0, 0, 512, 44), fill="steelblue")
    pen.text((16, 8), title, fill="white", font=ImageFont.load_default(24))
    for row in range(8):
        top = 70 + row * 34
        pen.rectangle((16, top, 40, top + 24), fill=("tomato", "gold", "seagreen")[row % 3])
        line = f"{title} entry {row * 37 % 11}: {row * row} items"
        pen.text((52, top + 2), line, fill=text, font=ImageFont.load_default(16))
    for column in range(12):
        height = 20 + (column * 53) % 90
        left = 20 + column * 40
        pen.rectangle((left, 500 - height, left + 26, 500), fill="slategray")
    return image


def sources() -> list[Source]:
    """All sixteen, the kinds in turn, so that the first few are of every kind."""
    photographs = ("astronaut", "coffee", "chelsea", "rocket", "camera", "hubble_deep_field")
    drawings = [
        Source("sketch", "drawing", lambda: Image.open(SKETCH)),
        drawn("oil", 901),
        drawn("pencil", 902),
        drawn("watercolour", 903),
        drawn("photograph", 904),
        drawn("oil", 905),
    ]
    screenshots = [
        screenshot_of("page"),
        Source("dark-window", "screenshot", lambda: window("Library", "black")),
        screenshot_of("text"),
        Source("light-window", "screenshot", lambda: window("Orders", "white")),
    ]
    in_turn = zip_longest(map(photograph, photographs), drawings, screenshots)
    return [source for three in in_turn for source in three if source is not None]
