"""The engine's events on a terminal: a request in, finished pictures out."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from underpaint.cli import interrupted
from underpaint.cli.reporting import Meter
from underpaint.request import Request
from underpaint.results import Finished, Planned, Step
from underpaint.startup import heap_settled

if TYPE_CHECKING:
    from underpaint.engine import Engine


def painted(engine: "Engine", request: Request, meter: Meter) -> Iterator[Finished]:
    """Each picture that ``request`` asks for, once it is finished; the meter shows the way there.

    Raises:
        Cancelled: the process was asked to stop.
    """
    settled = False
    for event in engine.stream([request], cancelled=lambda: bool(interrupted)):
        if not (settled or isinstance(event, Planned)):
            heap_settled()  # the model is loaded; once, or each picture's garbage would stay
            settled = True
        match event:
            case Planned():
                of = f" {event.index + 1} of {request.count}" if request.count > 1 else ""
                meter.begin(f"painting{of}", event.plan.evaluations)
            case Step():
                meter.advance(event.evaluation)
            case Finished():
                yield event
