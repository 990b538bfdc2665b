"""Small charts drawn with Pillow: no plotting library is needed for a few lines."""

from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw, ImageFont

Line = tuple[str, Sequence[float], Sequence[float]]  # a name, and values of 0 to 1
SIDE_PX, MARGIN_PX = 360, 44
COLOURS = ("#1b6ca8", "#d1495b", "#66a182", "#edae49", "#8d5a97", "#2e4057", "#7a7a7a", "#00798c")


def draw_panels(panels: Mapping[str, Sequence[Line]], *, across: int = 3) -> Image.Image:
    """One chart a panel under its title, both axes from 0 to 1, a colour a name."""
    down = -(-len(panels) // across)
    names = list(dict.fromkeys(line[0] for lines in panels.values() for line in lines))
    cell = SIDE_PX + 2 * MARGIN_PX
    sheet = Image.new("RGB", (across * cell, down * cell + 40), "white")
    for i, (title, lines) in enumerate(panels.items()):
        _panel(sheet, (i % across * cell, i // across * cell), title, lines, names)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    left = MARGIN_PX
    for number, name in enumerate(names):
        pen.text((left, down * cell), name, fill=COLOURS[number % len(COLOURS)], font=font)
        left += int(pen.textlength(name, font=font)) + 18
    return sheet


def _panel(
    sheet: Image.Image,
    corner: tuple[int, int],
    title: str,
    lines: Sequence[Line],
    names: Sequence[str],
) -> None:
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    left, top = corner[0] + MARGIN_PX, corner[1] + MARGIN_PX

    def place(x: float, y: float) -> tuple[float, float]:
        return left + x * SIDE_PX, top + (1 - y) * SIDE_PX

    for share in (0, 0.25, 0.5, 0.75, 1):
        pen.line((place(share, 0), place(share, 1)), fill="#e4e4e4")
        pen.line((place(0, share), place(1, share)), fill="#e4e4e4")
        below, beside = place(share, 0), place(0, share)
        pen.text((below[0], below[1] + 4), f"{share:g}", "black", font, anchor="ma")
        pen.text((beside[0] - 4, beside[1]), f"{share:g}", "black", font, anchor="rm")
    for name, x, y in lines:
        colour = COLOURS[names.index(name) % len(COLOURS)]
        points = [place(*pair) for pair in zip(x, y, strict=True)]
        pen.line(points, fill=colour, width=2)
    pen.text((left, corner[1] + 16), title, "black", font)
