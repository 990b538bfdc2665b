"""What a sweep leaves beside its pictures: contact sheets, one web page and ``sweep.json``."""

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from underpaint import pixels
from underpaint.errors import OutputError
from underpaint.recipe import Recipe
from underpaint.sweeping import page, sheet
from underpaint.sweeping.grid import Cell, label
from underpaint.sweeping.planning import VERSION, Sweep


@dataclass(frozen=True, slots=True)
class Made:
    """A cell whose file is there.

    Attributes:
        cell: Which.
        path: Its file.
        recipe: What the file carries.
        sha256: Of the file.
    """

    cell: Cell
    path: Path
    recipe: Recipe
    sha256: str


def publish(sweep: Sweep) -> tuple[Made, ...]:
    """Writes sheets, page and ``sweep.json`` from the cells' files; all of them must be there."""
    made = tuple(_found(sweep, cell) for cell in sweep.cells)
    source = own_pixels_at(sweep, made[0])
    for number, place in enumerate(sweep.sheets):
        written = io.BytesIO()
        sheet.save(sheet.draw(_sheet_page(sweep, number, source)), written)
        pixels.write_atomically(place, written.getvalue(), overwrite=True)
    html = page.compose(_page_content(sweep, made), source)
    pixels.write_atomically(sweep.page, _as_bytes(html), overwrite=True)
    write_facts(sweep, made=made)
    return made


def write_facts(sweep: Sweep, *, made: Sequence[Made] | None) -> None:
    """Writes ``sweep.json``: every request and file, and what is known once they are made."""
    known = {one.cell.file: one for one in made or ()}
    content = {
        "sweep": VERSION,
        "finished": made is not None,
        "source": {"name": sweep.picture.name, "sha256": sweep.picture.sha256},
        "model": {"name": sweep.checkpoint.name, "sha256": sweep.checkpoint.sha256},
        "drawn_seed": sweep.drawn_seed,
        "axes": {axis.name: list(axis.values) for axis in sweep.grid.axes},
        "sheets": [place.name for place in sweep.sheets],
        "page": sweep.page.name,
        "cells": [_cell_facts(sweep, cell, known.get(cell.file)) for cell in sweep.cells],
    }
    text = json.dumps(content, indent=1, ensure_ascii=False)
    pixels.write_atomically(sweep.facts, _as_bytes(text) + b"\n", overwrite=True)


def _as_bytes(text: str) -> bytes:
    """In UTF-8; what a path holds beyond it is no text, and a question mark."""
    return text.encode("utf-8", errors="replace")


def _cell_facts(sweep: Sweep, cell: Cell, made: Made | None) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "file": cell.file,
        "values": dict(cell.values),
        "page": cell.page,
        "row": cell.row,
        "column": cell.column,
        "request": cell.request.model_dump(mode="json"),
        "command": sweep.command(cell),
    }
    if made is None:
        return {**facts, "sha256": None, "evaluations": None, "fidelity": None, "notices": []}
    recipe = made.recipe
    return {
        **facts,
        "sha256": made.sha256,
        "evaluations": recipe.plan.evaluations,
        "fidelity": None if recipe.fidelity is None else asdict(recipe.fidelity),
        "notices": [asdict(notice) for notice in recipe.plan.notices],
    }


def own_pixels_at(sweep: Sweep, made: Made) -> Image.Image:
    """The source as the results show it: at their size and shape."""
    return pixels.own_pixels(sweep.picture, made.recipe.size, made.cell.request.fit)


def _found(sweep: Sweep, cell: Cell) -> Made:
    path = sweep.folder / cell.file
    try:
        data = path.read_bytes()
    except OSError:
        raise OutputError(f"{str(path)!r} went away while the sweep ran; run it again") from None
    packet, _ = pixels.read_metadata(data)
    recipe = Recipe.from_xmp(packet or b"")
    if recipe is None:
        raise OutputError(f"{str(path)!r} was replaced while the sweep ran; run it again")
    return Made(cell, path, recipe, hashlib.sha256(data).hexdigest())


def _sheet_page(sweep: Sweep, number: int, source: Image.Image) -> sheet.Page:
    grid = sweep.grid
    files = {
        (cell.row, cell.column): sweep.folder / cell.file
        for cell in sweep.cells
        if cell.page == number
    }

    def picture(row: int, column: int) -> Image.Image:
        with Image.open(files[row, column]) as image:
            image.load()
            return image

    label = sheet.writable(grid.pages[number], number)
    return sheet.Page(
        title=grid.fixed.prompt if "prompt" not in _varied(sweep) else "",
        details=[*([label] if len(grid.pages) > 1 else []), _shared(sweep)],
        columns=grid.columns,
        rows=grid.rows,
        source=source,
        picture=picture,
    )


def _page_content(sweep: Sweep, made: Sequence[Made]) -> page.Content:
    grid, labels = sweep.grid, sweep.grid.labels
    return page.Content(
        title=grid.fixed.prompt if "prompt" not in _varied(sweep) else "several prompts",
        details=_shared(sweep),
        source=sweep.picture.name or "the source",
        columns=grid.columns,
        rows=grid.rows,
        pages=grid.pages,
        cells=[
            page.Cell(
                path=one.path,
                page=one.cell.page,
                row=one.cell.row,
                column=one.cell.column,
                caption=", ".join(labels[name][value] for name, value in one.cell.values.items()),
                command=sweep.command(one.cell),
                figures=_figures(one.recipe),
                notices=[notice.message for notice in one.recipe.plan.notices],
            )
            for one in made
        ],
    )


def _figures(recipe: Recipe) -> dict[str, str]:
    start = recipe.plan.start
    figures = {
        "steps": str(recipe.plan.evaluations),
        "signal at the start": f"{start.signal_share:.1%}",
    }
    if (found := recipe.fidelity) is not None:
        figures["structure kept"] = f"{found.structure:.2f} of 1"
        figures["edges kept"] = f"{found.edges:.2f} of 1"
        figures["colour moved"] = f"ΔE {found.delta_e:.1f}"
    return figures


def _varied(sweep: Sweep) -> set[str]:
    return {axis.name for axis in sweep.grid.axes}


def _shared(sweep: Sweep) -> str:
    """What all cells have in common, in one line."""
    first, varied = sweep.cells[0].request, _varied(sweep)
    names = ("strength", "guidance_scale", "seed", "sampler", "spacing")
    words = [
        label(name, getattr(first, name))
        for name in names
        if name not in varied and (name, getattr(first, name)) != ("spacing", "model")
    ]
    if len({cell.request.steps for cell in sweep.cells}) == 1:
        words.insert(0, label("steps", first.steps))
    return " · ".join([*words, sweep.checkpoint.name])
