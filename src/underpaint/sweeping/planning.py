"""A sweep before it runs: everything that was asked for, checked and resolved; no torch."""

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from underpaint import pixels
from underpaint.errors import Notice, OutputError, RequestError
from underpaint.models.catalog import Checkpoint
from underpaint.planning import draw_seed, needs_spectrum, resolve, settle
from underpaint.request import Request
from underpaint.sweeping.axes import Axis, check_count
from underpaint.sweeping.commands import Option, render_command
from underpaint.sweeping.grid import Cell, Grid, lay_out
from underpaint.sweeping.sheet import is_sheet

DEFAULT_STRENGTHS = "0.2:0.9:8"
FACTS, PAGE = "sweep.json", "sweep.html"
VERSION = 1  # of the layout of sweep.json
MOST_ALIKE = 3  # sentences of one kind


@dataclass(frozen=True, slots=True)
class Sweep:
    """What will run, and where its files go.

    Attributes:
        grid: Which cell stands where.
        cells: Each of them, its request resolved.
        picture: The source.
        checkpoint: The model.
        folder: Where everything goes.
        source: The source's path, as the one who runs a cell's command would type it.
        options: What else that command needs, by flag.
        drawn_seed: The seed of those pictures in the folder for which nobody named one.
        notices: What a person should know about some cells, each sentence once.
    """

    grid: Grid
    cells: tuple[Cell, ...]
    picture: pixels.Picture
    checkpoint: Checkpoint
    folder: Path
    source: str
    options: Mapping[str, Option] = field(default_factory=dict[str, Option])
    drawn_seed: int | None = None
    notices: tuple[Notice, ...] = ()

    @property
    def sheets(self) -> list[Path]:
        """The contact sheets' places, one a page."""
        pages = range(1, len(self.grid.pages) + 1)
        return [self.folder / ("sheet.png" if i == 1 else f"sheet-{i}.png") for i in pages]

    @property
    def page(self) -> Path:
        """The web page's place."""
        return self.folder / PAGE

    @property
    def facts(self) -> Path:
        """The place of ``sweep.json``."""
        return self.folder / FACTS

    def command(self, cell: Cell) -> str:
        """The command that renders one cell again."""
        request = cell.request.model_copy(update={"source": None})
        return render_command(request, source=self.source, output=cell.file, more=self.options)


def plan_sweep(
    fixed: Request,
    axes: Mapping[str, Axis],
    *,
    picture: pixels.Picture,
    checkpoint: Checkpoint,
    folder: str | Path,
    source: str,
    options: Mapping[str, Option],
    many: bool = False,
    overwrite: bool = False,
) -> Sweep:
    """The sweep of ``axes`` around ``fixed``.

    Where no seed is given one is drawn for all cells; a folder that holds an earlier run of a sweep
    without one names it, so that the run can go on.

    Args:
        fixed: What all cells share.
        axes: What varies, by name.
        picture: The source.
        checkpoint: The model.
        folder: Where everything goes; it is made if it is not there.
        source: The source's path, for the cells' commands.
        options: What else those need, by flag.
        many: Whether more than 400 cells are wanted indeed.
        overwrite: Whether files may be replaced that are not this sweep's.

    Raises:
        RequestError: a combination cannot be used, or there are too many.
        OutputError: the folder cannot be used.
    """
    check_count(axes, allowed=many)
    if fixed.variation and fixed.variation_seed is None:
        raise RequestError(
            "all pictures of a sweep turn to one noise, and its seed is not named; give a "
            "variation_seed beside the variation"
        )
    if fixed.count != 1:
        raise RequestError(
            f"a sweep makes one picture of each combination, got count {fixed.count}; leave it out, or "
            "name several seeds"
        )
    if not os.fspath(folder):
        raise OutputError("the name of the sweep's folder is empty; give one")
    place = Path(folder)
    earlier = _earlier(place)
    known = (earlier or {}).get("drawn_seed")
    drawn = known if isinstance(known, int) else None  # kept for the sweep that it is of
    if "seed" not in axes and fixed.seed is None:
        drawn = draw_seed() if drawn is None else drawn
        fixed = fixed.model_copy(update={"seed": drawn})
    grid = lay_out(fixed.model_copy(update={"source": picture}), axes)
    notices: dict[str, Counter[Notice]] = {}
    cells = tuple(_resolved(grid, picture, checkpoint, notices))
    planned = Sweep(
        grid=grid,
        cells=cells,
        picture=picture,
        checkpoint=checkpoint,
        folder=place,
        source=source,
        options=options,
        drawn_seed=drawn,
        notices=tuple(_summed_up(notices, len(cells))),
    )
    _check_own_files(planned, earlier or {}, overwrite=overwrite)
    return planned


def _check_own_files(sweep: Sweep, earlier: Mapping[str, Any], *, overwrite: bool) -> None:
    """Makes sure that what a sweep writes beside its pictures takes nobody's place, the source's least of all."""
    beside = [sweep.page, sweep.facts, *sweep.sheets]
    for place in (*beside, *(sweep.folder / cell.file for cell in sweep.cells)):
        pixels.check_source_stays(place, sweep.source)
    sheets = earlier.get("sheets")
    own = {FACTS, PAGE} if earlier else set[str]()
    own |= {str(name) for name in cast("list[Any]", sheets)} if isinstance(sheets, list) else set()
    for place in beside:
        is_free = overwrite or place.name in own or not os.path.lexists(place)
        if not is_free and not is_sheet(place):
            raise OutputError(
                f"{str(place)!r} exists and is of no sweep; choose another folder or allow overwriting"
            )


def _resolved(
    grid: Grid, picture: pixels.Picture, checkpoint: Checkpoint, notices: dict[str, Counter[Notice]]
) -> Iterator[Cell]:
    for cell in grid.cells():
        if needs_spectrum(cell.request):  # planned once the source is encoded
            yield replace(cell, request=settle(cell.request, checkpoint))
            continue
        resolved = resolve(cell.request, checkpoint, picture.size, notices=picture.notices)
        for notice in resolved.plan.notices:
            notices.setdefault(notice.code, Counter())[notice] += 1
        again = {
            "refiner": cell.request.refiner
        }  # a place to open it from; only its name is resolved
        yield replace(cell, request=resolved.request.model_copy(update=again))


def _summed_up(notices: Mapping[str, Counter[Notice]], cells: int) -> Iterator[Notice]:
    """Each sentence with the number of pictures that it is true of; many of a kind are counted."""
    for code, alike in notices.items():
        for notice, count in list(alike.items())[:MOST_ALIKE]:
            of = "" if count == cells else f" (in {count} of {cells} pictures)"
            yield Notice(code, notice.message + of)
        if (more := len(alike) - MOST_ALIKE) > 0:
            yield Notice(code, f"and {more} more like it, in {FACTS}")


def _earlier(folder: Path) -> dict[str, Any] | None:
    """What an earlier sweep wrote there about itself."""
    try:
        content: object = json.loads((folder / FACTS).read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(content, dict):
        return None
    found = cast("dict[str, Any]", content)
    return found if found.get("sweep") == VERSION else None
