"""``underpaint find``."""

import time
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from underpaint.cli import interrupted
from underpaint.cli.destinations import destinations, write
from underpaint.cli.options import STANDARD, Wish, command_with, read_source
from underpaint.cli.reporting import (
    Meter,
    facts_of,
    progress,
    show_json,
    show_line,
    show_notices,
)
from underpaint.finding.wanted import wanted_share
from underpaint.models.catalog import Checkpoint
from underpaint.planning import seeded
from underpaint.request import Request
from underpaint.results import Planned, Step
from underpaint.startup import heap_settled

if TYPE_CHECKING:
    from underpaint.finding.running import Found
    from underpaint.results import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The options of ``find`` that say how far to stray."""

    keep: Annotated[
        float | None,
        typer.Option("--keep", help="Structure to keep, 0 to 1, as compare measures it."),
    ] = None
    like: Annotated[
        str | None,
        typer.Option(
            "--like", help="Stray as far as this result did from its source.", metavar="EXAMPLE"
        ),
    ] = None
    like_source: Annotated[
        str | None,
        typer.Option(
            "--like-source",
            help="What EXAMPLE was made from. Default: what its recipe says.",
            metavar="PATH",
        ),
    ] = None

    def share(self) -> float:
        """How much structure is to be kept.

        Raises:
            InputError: neither way or both ways were chosen, or one cannot be used.
        """
        return wanted_share(self.keep, self.like, self.like_source, dashes="--")


def find(wish: Wish, wanted: Wanted) -> None:
    """Re-render SOURCE at the strength that keeps as much of its structure as is wanted.

    Quick renders of a few steps on the same noise tell where to look; each is named on the way.
    """
    begun = time.perf_counter()
    asked, keep = seeded(wish.request()), wanted.share()
    checkpoint = wish.checkpoint()  # before anything heavy is imported
    request = asked.model_copy(update={"source": read_source(wish.source)})
    (place,) = destinations(
        wish.output,
        source=wish.source,
        seed=asked.seed or 0,
        count=1,
        overwrite=wish.overwrite,
        as_json=wish.json,
    )
    found = _searched(
        wish, checkpoint, request, keep, speaks=not (wish.json or wish.quiet or place is None)
    )
    of_file = write(found.result, place, overwrite=wish.overwrite, metadata=not wish.no_metadata)
    notices = (*found.notices, *of_file)
    if wish.json:
        show_json(
            {
                "output": STANDARD if place is None else str(place),
                "source": wish.source,
                **facts_of(found.result.recipe),
                "keep": keep,
                "kept": found.kept,
                "tried": [asdict(one) for one in found.tried],
                "notices": [asdict(notice) for notice in notices],
                "seconds": round(time.perf_counter() - begun, 3),
            }
        )
    elif not wish.quiet:
        show_notices(notices)
        if place is not None:
            show_line(f"{place}: strength {found.strength:.4g} keeps {found.kept:.3f} of {keep:g}")


command = command_with(Wanted, find, without=frozenset({"strength", "count", "mask"}))


def _searched(
    wish: Wish, checkpoint: Checkpoint, request: Request, keep: float, *, speaks: bool
) -> "Found":
    with progress(quiet=wish.quiet) as meter:
        meter.begin("loading the model", 0)
        from underpaint.finding.running import Found, Tried  # noqa: PLC0415
        from underpaint.finding.running import find as search  # noqa: PLC0415

        engine = wish.engine(checkpoint)
        first = True
        for told in search(request, keep, engine, cancelled=partial(bool, interrupted)):
            match told:
                case Found():
                    return told
                case Tried():
                    if first:
                        heap_settled()  # the model is loaded
                    first = False
                    if speaks:
                        show_line(
                            f"tried strength {told.strength:.4g} in {told.steps} steps: "
                            f"keeps {told.kept:.3f}"
                        )
                case _:
                    _show(told, meter)
    raise AssertionError  # a search ends in Found or raises


def _show(event: "Event", meter: Meter) -> None:
    match event:
        case Planned():
            meter.begin(f"trying strength {event.request.strength:.3g}", event.plan.evaluations)
        case Step():
            meter.advance(event.evaluation)
        case _:
            pass
