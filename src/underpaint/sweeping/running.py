"""A sweep as it runs: one engine, every cell a row of it, every finished one a file at once."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from underpaint import pixels
from underpaint.engine import Engine
from underpaint.errors import OutputError, PictureError, RecipeError
from underpaint.recipe import Recipe
from underpaint.request import Request
from underpaint.results import Event, Finished
from underpaint.sweeping.grid import Cell
from underpaint.sweeping.planning import Sweep
from underpaint.sweeping.publishing import Made, publish, write_facts


@dataclass(frozen=True, slots=True)
class Resumed:
    """So many cells of ``of`` were there already, made by the very same requests."""

    found: int
    of: int


@dataclass(frozen=True, slots=True)
class InCell:
    """What the engine says about one cell; a finished one's file is written by then."""

    cell: Cell
    event: Event


@dataclass(frozen=True, slots=True)
class Published:
    """The end: every cell is there, and so are the sheets, the page and ``sweep.json``."""

    made: tuple[Made, ...]


def run(
    sweep: Sweep,
    engine: Engine,
    *,
    overwrite: bool = False,
    cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[Resumed | InCell | Published]:
    """Renders what is missing, and writes the sheets, the page and ``sweep.json``.

    Args:
        sweep: What to render.
        engine: With the sweep's model.
        overwrite: Whether a cell's file that holds another picture may be replaced.
        cancelled: Asked before every network call.

    Raises:
        OutputError: a cell's name is taken, or the folder cannot be written to.
        Cancelled: ``cancelled()`` was true; finished cells are there, and the next run goes on.
    """
    _make_folder(sweep.folder)
    missing = [cell for cell in sweep.cells if made_before(sweep, cell, engine) is None]
    if not overwrite:
        _refuse_taken(sweep, missing)
    write_facts(sweep, made=None)
    yield Resumed(len(sweep.cells) - len(missing), len(sweep.cells))
    wishes = (_wish(sweep, cell) for cell in missing)
    for event in engine.stream(wishes, cancelled=cancelled):
        cell = missing[event.index]
        if isinstance(event, Finished):
            data = event.result.encode(".png")
            pixels.write_atomically(sweep.folder / cell.file, data, overwrite=overwrite)
        yield InCell(cell, event)
    yield Published(publish(sweep))


def made_before(sweep: Sweep, cell: Cell, engine: Engine) -> Recipe | None:
    """The recipe of the cell's file if it is whole and made by the cell's request, on this build."""
    path = sweep.folder / cell.file
    if not path.is_file():
        return None
    try:
        packet, _ = pixels.read_metadata(path)
        recipe = Recipe.from_xmp(packet or b"")
        pixels.read(path)
    except (PictureError, RecipeError):
        return None
    expected = engine.foreseen(_wish(sweep, cell))
    return recipe if recipe is not None and recipe.makes_the_same_as(expected) else None


def _wish(sweep: Sweep, cell: Cell) -> Request:
    return cell.request.model_copy(update={"source": sweep.picture})


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)
    except FileExistsError:
        raise OutputError(f"{str(folder)!r} is a file and no folder; name another folder") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OutputError(
            f"cannot make the folder {str(folder)!r} ({reason}); choose another place"
        ) from None


def _refuse_taken(sweep: Sweep, missing: Sequence[Cell]) -> None:
    taken = [cell.file for cell in missing if (sweep.folder / cell.file).exists()]
    if taken:
        raise OutputError(
            f"{len(taken)} of the sweep's files hold other pictures, {taken[0]!r} first; choose "
            "another folder or allow overwriting"
        )
