"""``underpaint render``."""

import time
from dataclasses import asdict
from typing import Any

from underpaint.cli.destinations import Destination, destinations, write
from underpaint.cli.options import STANDARD, Wish, command_of, read_source
from underpaint.cli.painting import painted
from underpaint.cli.reporting import (
    facts_of,
    progress,
    show_json,
    show_line,
    show_notices,
)
from underpaint.errors import Notice
from underpaint.planning import needs_spectrum, resolve, seeded
from underpaint.results import Finished


def render(wish: Wish) -> None:
    """Re-render SOURCE after PROMPT.

    The composition stays, style and materials change: --strength says how far.
    """
    asked = seeded(wish.request())
    checkpoint = wish.checkpoint()
    picture = read_source(wish.source)
    foreseen: tuple[Notice, ...] = ()  # a calibrated strength is planned once the source is encoded
    if not needs_spectrum(asked):
        resolved = resolve(asked, checkpoint, picture.size, notices=picture.notices)
        foreseen = resolved.plan.notices
    places = destinations(
        wish.output,
        source=wish.source,
        seed=asked.seed or 0,
        count=asked.count,
        overwrite=wish.overwrite,
        as_json=wish.json,
    )
    speaks = not (wish.json or wish.quiet)
    if speaks:
        show_notices(foreseen)
    said = set(foreseen)
    request = asked.model_copy(update={"source": picture})
    begun = time.perf_counter()
    with progress(quiet=wish.quiet) as meter:
        meter.begin("loading the model", 0)
        engine = wish.engine(checkpoint)
        for place, event in zip(places, painted(engine, request, meter), strict=True):
            notices = write(
                event.result, place, overwrite=wish.overwrite, metadata=not wish.no_metadata
            )
            new, said = [one for one in notices if one not in said], said | set(notices)
            if speaks:
                show_notices(new)
            seconds, begun = time.perf_counter() - begun, time.perf_counter()
            facts = _facts(wish.source, event, place, notices, seconds)
            if wish.json:
                show_json(facts)
            elif place is not None and not wish.quiet:
                show_line(_sentence(facts))


command = command_of(render)


def _facts(
    source: str,
    event: Finished,
    place: Destination,
    notices: tuple[Notice, ...],
    seconds: float,
) -> dict[str, Any]:
    return {
        "output": STANDARD if place is None else str(place),
        "source": source,
        **facts_of(event.result.recipe),
        "fidelity": asdict(event.result.fidelity) if event.result.fidelity else None,
        "evaluations": event.evaluations,
        "notices": [asdict(notice) for notice in notices],
        "seconds": round(seconds, 3),
    }


def _sentence(facts: dict[str, Any]) -> str:
    return (
        "{output}: {width}x{height}, strength {strength:g}, {evaluations} steps, seed {seed}, "
        "{model}, {seconds:.1f} s"
    ).format(**facts)
