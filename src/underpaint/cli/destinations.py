"""Where results go, decided and checked before any work is done."""

import os
import sys
from pathlib import Path

from underpaint import pixels
from underpaint.cli.options import STANDARD
from underpaint.cli.reporting import is_terminal, write_to_standard_output
from underpaint.errors import Notice, OutputError
from underpaint.results import Result

Destination = Path | None  # None is standard output


def destinations(
    output: str | None,
    *,
    source: str,
    seed: int,
    count: int,
    overwrite: bool,
    as_json: bool,
    painted_from: str | Path | None = None,
) -> list[Destination]:
    """A free place for each of ``count`` pictures.

    Args:
        output: A file, a folder, ``-`` for standard output, or None: standard output where the
            source comes from standard input, else ``<stem>-<seed>.png`` in the current folder.
        source: As it was typed.
        seed: The first picture's.
        count: How many; above 1 the names end in ``-1``, ``-2``, ….
        overwrite: Whether existing files may be replaced.
        as_json: Whether standard output is taken by JSON.
        painted_from: The file that they are painted from, where ``source`` is another; it is never written over.

    Raises:
        OutputError: a place is taken, missing, closed or the source, or no format has that ending.
    """
    if output == STANDARD or (output is None and source == STANDARD):
        _check_standard_output(count, as_json=as_json)
        return [None]
    stem = "picture" if source == STANDARD else Path(source).stem
    name = f"{stem}-{seed}.png"
    if output is None:
        place = Path(name)
    elif output.endswith((os.sep, "/")) or os.path.isdir(output):  # noqa: PTH112  Path's can raise
        place = Path(output) / name
    else:
        place = Path(output)
    pixels.suffix_of(place)
    places = [place] if count == 1 else [_numbered(place, i) for i in range(1, count + 1)]
    for one in places:
        pixels.check_destination(one, overwrite=overwrite)
        if source != STANDARD:
            pixels.check_source_stays(one, painted_from or source)
    return list(places)


def write(
    result: Result, place: Destination, *, overwrite: bool, metadata: bool = True
) -> tuple[Notice, ...]:
    """Writes the picture, and returns every notice about it.

    Args:
        result: What is written.
        place: One of ``destinations``.
        overwrite: Whether an existing file may be replaced.
        metadata: Whether its recipe goes with it.

    Raises:
        OutputError: the place cannot be written to.
    """
    suffix = ".png" if place is None else pixels.suffix_of(place)
    data = result.encode(suffix, metadata=metadata)
    if place is None:
        write_to_standard_output(data)
    else:
        pixels.write_atomically(place, data, overwrite=overwrite)
    return (*result.notices, *result.lost_in(suffix, metadata=metadata))


def _numbered(place: Path, number: int) -> Path:
    return place.with_name(f"{place.stem}-{number}{place.suffix}")


def _check_standard_output(count: int, *, as_json: bool) -> None:
    if as_json:
        raise OutputError("--json needs standard output for itself; name a file with --output")
    if count > 1:
        raise OutputError(
            f"standard output takes one picture, got --count {count}; name a file with --output"
        )
    if sys.stdout is None:
        raise OutputError("standard output is closed; name a file with --output")
    if is_terminal(sys.stdout):
        raise OutputError(
            "standard output is a terminal, which cannot show a picture; name a file with --output"
        )
