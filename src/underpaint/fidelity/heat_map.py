"""Where a result strayed from its source, as a picture."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from underpaint import pixels
from underpaint.fidelity.colours import delta_e_2000, lab
from underpaint.fidelity.comparison import STRUCTURE_SIDE_PX, at_one_size
from underpaint.fidelity.structure import Floats, luminance, ssim_map
from underpaint.pixels import Picture, Source

MOST_DELTA_E = 40.0  # a glance tells such colours apart; what lies above looks the same as this
PANEL_SIDE_PX = 256  # the least; the legend's words need it
BAR_PX, WORDS_PX, GAP_PX = 12, 14, 8

# Viridis (van der Walt & Smith 2015, matplotlib; public domain): even steps in colour and in grey.
_VIRIDIS = np.array(
    [
        [68, 1, 84], [72, 40, 120], [62, 73, 137], [49, 104, 142], [38, 130, 142], [31, 158, 137],
        [53, 183, 121], [110, 206, 88], [181, 222, 43], [253, 231, 37],
    ]
)  # fmt: skip


def heat_map(source: Source | Picture, result: Source | Picture) -> Image.Image:
    """Two maps side by side, an ``RGB`` image: colour difference, and loss of structure.

    On the left CIEDE2000 from 0 to 40 and more, on the right 1 − SSIM from 0 to 1 and more, dark
    violet to bright yellow, each over its legend; at the comparison's resolution, the longer side
    at most 512 px.

    Raises:
        PictureError: one of them cannot be read, or their shapes differ.
    """
    pair = at_one_size(
        *(pixels.read(one).to_pil() for one in (source, result)), longest_px=STRUCTURE_SIDE_PX
    )
    colour = delta_e_2000(*(lab(np.asarray(one)) for one in pair)) / MOST_DELTA_E
    structure = 1 - ssim_map(*map(luminance, pair))
    panels = [
        _panel(colour, "colour difference, CIEDE2000", most=MOST_DELTA_E),
        _panel(structure, "structure lost, 1 - SSIM", most=1.0),
    ]
    width, height = panels[0].size
    sheet = Image.new("RGB", (2 * width + GAP_PX, height), "white")
    for i, panel in enumerate(panels):
        sheet.paste(panel, (i * (width + GAP_PX), 0))
    return sheet


def _panel(shares: Floats, words: str, *, most: float) -> Image.Image:
    shown = Image.fromarray(_coloured(shares))
    times = -(-PANEL_SIDE_PX // shown.width)
    shown = shown.resize((shown.width * times, shown.height * times), Image.Resampling.NEAREST)
    width, height = shown.size
    panel = Image.new("RGB", (width, height + 4 * GAP_PX + BAR_PX + 2 * WORDS_PX), "white")
    panel.paste(shown, (0, 0))
    bar = np.tile(np.linspace(0, 1, width), (BAR_PX, 1))
    panel.paste(Image.fromarray(_coloured(bar)), (0, height + GAP_PX))
    draw, font = ImageDraw.Draw(panel), ImageFont.load_default(WORDS_PX)
    below = height + 2 * GAP_PX + BAR_PX
    for share, anchor in ((0.0, "la"), (0.5, "ma"), (1.0, "ra")):
        plus = "+" if share == 1 else ""
        place = (share * (width - 1), below)
        draw.text(place, f"{share * most:g}{plus}", fill="black", font=font, anchor=anchor)
    place = (width / 2, below + WORDS_PX + GAP_PX)
    draw.text(place, words, fill="black", font=font, anchor="ma")
    return panel


def _coloured(shares: Floats) -> pixels.reading.Bytes:
    """The colours ``[H, W, 3]`` of shares ``[H, W]``; what lies beyond 0…1 is held there."""
    steps = np.linspace(0, 1, len(_VIRIDIS))
    channels: list[Floats] = [np.interp(shares, steps, channel) for channel in _VIRIDIS.T]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)
