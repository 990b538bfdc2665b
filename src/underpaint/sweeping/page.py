"""The web page of a sweep: one file that needs nothing else, not even the pictures beside it.

Every word that comes from outside is escaped where it enters, and the page's own policy allows no
script but the one it was written with.
"""

import base64
import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import sqrt
from pathlib import Path
from string import Template
from urllib.parse import quote

from PIL import Image

_HERE = Path(__file__).parent
_LONGEST_PX = 1024  # of an embedded picture; the file beside it has every pixel
_EMBEDDED_PX = 40_000_000  # area of all embedded pictures: a page of some 6 MB
_SHORTEST_PX = 96
_QUALITY = 86  # WebP; no loss a person sees at this size


@dataclass(frozen=True, slots=True)
class Cell:
    """One picture on the page.

    Attributes:
        path: Its file, beside the page.
        page: Its page, from 0.
        row: Its row.
        column: Its column.
        caption: What distinguishes it.
        command: What renders it again.
        figures: What was measured, by name.
        notices: What a person should know.
    """

    path: Path
    page: int
    row: int
    column: int
    caption: str
    command: str
    figures: Mapping[str, str]
    notices: Sequence[str]


@dataclass(frozen=True, slots=True)
class Content:
    """What is on the page.

    Attributes:
        title: The prompt that all cells share.
        details: What else they share.
        source: The source's name.
        columns: Their labels.
        rows: Their labels; one empty label for a single row.
        pages: Their labels; one empty label for a single page.
        cells: Page by page and row by row.
    """

    title: str
    details: str
    source: str
    columns: Sequence[str]
    rows: Sequence[str]
    pages: Sequence[str]
    cells: Sequence[Cell]


def compose(content: Content, source: Image.Image) -> str:
    """The page, as HTML.

    Args:
        content: What is on it.
        source: The picture that all cells started from, at their size and shape.
    """
    style, script = ((_HERE / name).read_text("utf-8") for name in ("page.css", "page.js"))
    longest = _longest_px(len(content.cells), source)
    sections = "\n".join(_section(content, number, longest) for number in range(len(content.pages)))
    return Template((_HERE / "page.html").read_text("utf-8")).substitute(
        style_hash=_hash(style),
        script_hash=_hash(script),
        style=style,
        script=script,
        title=escape(content.title),
        details=escape(content.details),
        source_name=escape(content.source),
        source_data=_embedded(source, longest),
        width=source.width,
        height=source.height,
        count=len(content.cells),
        sections=sections,
    )


def _section(content: Content, number: int, longest: int) -> str:
    cells = {(one.row, one.column): one for one in content.cells if one.page == number}
    heading = (
        f"<h2 dir=auto>{escape(content.pages[number])}</h2>\n" if content.pages[number] else ""
    )
    if not any(content.rows):
        items = "\n".join(
            f"<li>{_figure(cells[0, column], longest)}</li>"
            for column in range(len(content.columns))
        )
        return f"<section>\n{heading}<ol class=strip>\n{items}\n</ol>\n</section>"
    top = "".join(_heading("col", one) for one in content.columns)
    rows = "\n".join(
        f"<tr>{_heading('row', words)}"
        + "".join(
            f"<td>{_figure(cells[row, column], longest)}</td>"
            for column in range(len(content.columns))
        )
        + "</tr>"
        for row, words in enumerate(content.rows)
    )
    return (
        f"<section>\n{heading}<div class=scroll><table>\n<thead><tr><td></td>{top}</tr></thead>\n"
        f"<tbody>\n{rows}\n</tbody></table></div>\n</section>"
    )


def _heading(scope: str, words: str) -> str:
    """A table's heading, of which as much is shown as fits beside a picture."""
    said = escape(words)
    return f'<th scope={scope} dir=auto title="{said}"><span class=words>{said}</span></th>'


def _figure(cell: Cell, longest: int) -> str:
    with Image.open(cell.path) as image:
        data = _embedded(image, longest)
        width, height = image.size
    kept = cell.figures.get("structure kept")
    brief = f"<small>structure {escape(kept.removesuffix(' of 1'))}</small>" if kept else ""
    figures = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"
        for name, value in cell.figures.items()
    )
    notices = "".join(f"<p class=notice>{escape(words)}</p>" for words in cell.notices)
    name = escape(cell.path.name)
    # a browser would break a line within --guidance-scale
    words = " ".join(f"<span>{escape(word)}</span>" for word in cell.command.split(" "))
    return (
        f'<figure id="{name}" data-row={cell.row} data-column={cell.column} data-page={cell.page}>'
        f'<button type=button class=open aria-label="compare {escape(cell.caption)} with the source">'
        f'<img src="{data}" width={width} height={height} alt="{escape(cell.caption)}"></button>'
        f"<figcaption><span class=words dir=auto>{escape(cell.caption)}</span>{brief}</figcaption>"
        f"<template><dl>{figures}</dl>{notices}<pre class=command>{words}</pre>"
        f'<a class=file href="{escape(quote(cell.path.name))}">{name}</a></template></figure>'
    )


def _longest_px(cells: int, source: Image.Image) -> int:
    """The longest side of what is embedded, so that all of it stays within the page's budget."""
    own = max(source.size)
    within = own * sqrt(_EMBEDDED_PX / (cells * source.width * source.height))
    return max(_SHORTEST_PX, min(_LONGEST_PX, own, int(within)))


def _embedded(image: Image.Image, longest: int) -> str:
    shown = image.convert("RGBA" if image.has_transparency_data else "RGB")
    shown.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    made = io.BytesIO()
    shown.save(made, "WEBP", quality=_QUALITY, method=4)
    return "data:image/webp;base64," + base64.b64encode(made.getvalue()).decode()


def _hash(text: str) -> str:
    """The text as a content security policy names it (CSP Level 3, section 2.3.1)."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode()
