"""The contact sheet: a page of a sweep as one picture, with labels that scale with its cells."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil, sqrt
from pathlib import Path
from typing import IO

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from underpaint.sweeping.lettering import can_write, line_px, width_of, wrapped, write

PAPER, INK, FAINT = "#f5f4f0", "#1d1d1b", "#6b6964"
_MARK = "underpaint, a contact sheet"
_LONGEST_CELL_PX = 384  # large enough to judge a picture, small enough for eight beside each other
_NARROWEST_CELL_PX = 160  # room for a label under pictures that are narrower
_LARGEST_SHEET_PX = 60_000_000  # area: some 180 MB while it is drawn
_COLUMNS_AT_MOST = 8  # wider ones are folded: on a screen, labels of more would be too small
_GAP_SHARE = 1 / 24  # of a cell's width
_TEXT_SHARE = 1 / 13  # letters, of a cell's width: eight cells on a screen leave them 12 pixels
_SMALLEST_TEXT_PX = 13


@dataclass(frozen=True, slots=True)
class Page:
    """What is on a sheet.

    Attributes:
        title: What all pictures share, in words: the prompt.
        details: More of it, one line each.
        columns: Their labels.
        rows: Their labels; one empty label for a single row.
        source: The picture that all started from.
        picture: The one at (row, column).
    """

    title: str
    details: Sequence[str]
    columns: Sequence[str]
    rows: Sequence[str]
    source: Image.Image
    picture: Callable[[int, int], Image.Image]


@dataclass(frozen=True, slots=True)
class _Measures:
    """Lengths in pixels."""

    picture: tuple[int, int]
    cell: int
    text: int
    gap: int
    labels: int  # the column of row labels, 0 without any
    head: int  # the line of column labels
    across: int  # columns beside each other

    @property
    def across_px(self) -> int:
        return self.labels + self.across * (self.cell + self.gap) + self.gap

    @property
    def row_px(self) -> int:
        return self.picture[1] + self.gap


def save(sheet: Image.Image, file: IO[bytes]) -> None:
    """Writes a sheet as PNG, with a mark by which it is known again."""
    mark = PngInfo()
    mark.add_text("Software", _MARK)
    sheet.save(file, "PNG", pnginfo=mark)


def is_sheet(path: Path) -> bool:
    """Whether that file is a sheet of this or another sweep."""
    try:
        with Image.open(path) as image:
            return image.info.get("Software") == _MARK
    except (OSError, ValueError, Image.DecompressionBombError):
        return False


def draw(page: Page) -> Image.Image:
    """The sheet, ``RGB``: the source and the title on top, then the pictures under their labels."""
    measures = _measured(page)
    blocks = list(_blocks(len(page.columns), measures.across))
    block_px = measures.head + len(page.rows) * measures.row_px + measures.gap
    lines = _top_lines(page, measures)
    beside_px = sum(line_px(size) for _, size, _ in lines) + measures.gap
    source_px = measures.picture[1] + line_px(measures.text)
    top_px = measures.gap + max(source_px, beside_px) + 2 * measures.gap
    size = (measures.across_px, top_px + len(blocks) * block_px)
    sheet = Image.new("RGB", size, PAPER)
    _draw_top(sheet, page, measures, lines)
    for i, columns in enumerate(blocks):
        _draw_block(sheet, page, measures, columns, top_px + i * block_px)
    return sheet


def _measured(page: Page) -> _Measures:
    width, height = page.source.size
    count = len(page.columns) * len(page.rows)
    longest = min(_LONGEST_CELL_PX, max(width, height), int(sqrt(_LARGEST_SHEET_PX / count / 1.6)))
    scale = longest / max(width, height)
    picture = (max(1, round(width * scale)), max(1, round(height * scale)))
    cell = max(picture[0], min(_NARROWEST_CELL_PX, longest), 96)
    text = max(_SMALLEST_TEXT_PX, round(cell * _TEXT_SHARE))
    gap = max(6, round(cell * _GAP_SHARE))
    folds = ceil(len(page.columns) / _COLUMNS_AT_MOST)
    across = ceil(len(page.columns) / folds)
    # A sheet of few columns is still wide enough for the source and a title beside it.
    if not any(page.rows):
        across = max(across, min(3, _COLUMNS_AT_MOST))
    labels = _labels_px(page.rows, text, cell, gap)
    lines = max(len(_fitted(one, text, cell, 4)) for one in page.columns)
    return _Measures(picture, cell, text, gap, labels, lines * line_px(text) + gap // 2, across)


def _labels_px(rows: Sequence[str], text: int, cell: int, gap: int) -> int:
    if not any(rows):
        return 0
    return min(max(width_of(writable(one, i), text) for i, one in enumerate(rows)), cell) + gap


def _blocks(columns: int, across: int) -> Iterator[range]:
    for start in range(0, columns, across):
        yield range(start, min(start + across, columns))


def _top_lines(page: Page, measures: _Measures) -> list[tuple[str, int, str]]:
    """What stands beside the source: each line, the size of its letters and their colour."""
    text, large = measures.text, round(measures.text * 1.5)
    within = max(measures.across_px - _beside_px(measures) - measures.gap, measures.cell)
    title = page.title if can_write(page.title) else ""
    room = max(1, (measures.picture[1] - (len(page.details) + 1) * line_px(text)) // line_px(large))
    lines = [(one, large, INK) for one in wrapped(title, large, within_px=within, lines=room)]
    for detail in page.details:
        lines += [(one, text, FAINT) for one in wrapped(detail, text, within_px=within, lines=2)]
    return lines


def _beside_px(measures: _Measures) -> int:
    return measures.gap + measures.cell + 2 * measures.gap


def _draw_top(
    sheet: Image.Image, page: Page, measures: _Measures, lines: Sequence[tuple[str, int, str]]
) -> None:
    gap, text = measures.gap, measures.text
    left = gap + (measures.cell - measures.picture[0]) // 2
    sheet.paste(_thumbnail(page.source, measures.picture), (left, gap))
    write(sheet, (gap, gap + measures.picture[1] + gap // 2), "source", text, FAINT)
    y, colour_before = gap, lines[0][2] if lines else INK
    for line, size, colour in lines:
        y += gap if colour != colour_before else 0
        write(sheet, (_beside_px(measures), y), line, size, colour)
        y, colour_before = y + line_px(size), colour


def _draw_block(
    sheet: Image.Image, page: Page, measures: _Measures, columns: range, top: int
) -> None:
    gap, text = measures.gap, measures.text
    for place, column in enumerate(columns):
        x = measures.labels + gap + place * (measures.cell + gap)
        for i, line in enumerate(_fitted(page.columns[column], text, measures.cell, 4, column)):
            write(sheet, (x, top + i * line_px(text)), line, text, INK)
        for row in range(len(page.rows)):
            y = top + measures.head + row * measures.row_px
            shown = _thumbnail(page.picture(row, column), measures.picture)
            sheet.paste(shown, (x + (measures.cell - measures.picture[0]) // 2, y))
    if not measures.labels:
        return
    for row, words in enumerate(page.rows):
        y = top + measures.head + row * measures.row_px
        lines = max(1, measures.picture[1] // line_px(text))
        for i, line in enumerate(_fitted(words, text, measures.labels - gap, lines, row)):
            write(sheet, (gap, y + i * line_px(text)), line, text, INK)


def _fitted(words: str, text: int, within: int, lines: int, number: int = 0) -> list[str]:
    return wrapped(writable(words, number), text, within_px=within, lines=lines)


def writable(words: str, number: int) -> str:
    """The label, or a number for words that no font here can write."""
    return words if can_write(words) else f"prompt {number + 1}"


def _thumbnail(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The picture at that size, on paper where it is transparent."""
    if image.has_transparency_data:
        paper = Image.new("RGBA", image.size, PAPER)
        image = Image.alpha_composite(paper, image.convert("RGBA"))
    image = image.convert("RGB")
    if image.size == size:
        return image
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
