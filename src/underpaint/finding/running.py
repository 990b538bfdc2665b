"""The renders of a search: quick ones on the same noise, then the picture itself."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from underpaint import pixels
from underpaint.engine import Engine
from underpaint.errors import Notice, RequestError
from underpaint.finding.search import TOLERANCE, Answer, seek
from underpaint.finding.wanted import check_keep
from underpaint.planning import draw_seed, seeded
from underpaint.request import Request
from underpaint.results import Event, Finished, Result

QUICK_STEPS = 4  # enough for structure; detail comes later


@dataclass(frozen=True, slots=True)
class Tried:
    """A render on the way, and how much structure it kept, 0 to 1."""

    strength: float
    steps: int
    kept: float


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """The picture that keeps what was wanted, or came closest.

    Attributes:
        result: The picture.
        strength: What was found.
        kept: How much structure it keeps.
        keep: How much it should keep.
        tried: Every render on the way, in order.
        notices: That it was missed, if it was.
    """

    result: Result
    strength: float
    kept: float
    keep: float
    tried: tuple[Tried, ...]
    notices: tuple[Notice, ...] = field(default=())


def find(
    request: Request,
    keep: float,
    engine: Engine,
    *,
    cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[Event | Tried | Found]:
    """Renders ``request`` at the strength that keeps ``keep`` of its source's structure.

    Events of every render come as the engine tells them, a ``Tried`` after each, ``Found`` at the end.

    Args:
        request: Its strength is not read; its steps are those of the picture itself.
        keep: Structure kept, 0 to 1, as ``compare`` measures it.
        engine: With the request's model.
        cancelled: Asked before every network call.

    Raises:
        RequestError: no strength keeps that much or that little, with what is reachable; or the source
            is one flat colour.
    """
    check_keep(keep)
    picture = pixels.read(request.source)
    if picture.is_flat:
        raise RequestError(
            "the source is one flat colour and has no structure that a strength could keep; give a "
            "picture with shapes, or render it at a strength of your choice"
        )
    shared = seeded(request).model_copy(update={"source": picture, "count": 1})
    if shared.variation and shared.variation_seed is None:  # one noise on the whole way
        shared = shared.model_copy(update={"variation_seed": draw_seed()})
    tried: list[Tried] = []
    results: dict[float, Result] = {}
    search = seek(keep)
    probe = next(search)
    while True:
        steps = min(QUICK_STEPS, request.steps or QUICK_STEPS)
        few = {"steps": steps, "steps_like": None} if probe.quick else {}
        wish = shared.model_copy(update={"strength": probe.strength, **few})
        for event in engine.stream([wish], cancelled=cancelled):
            yield event
            if isinstance(event, Finished):
                tried.append(_measured(event.result))
                if not probe.quick:
                    results[probe.strength] = event.result
        yield tried[-1]
        try:
            probe = search.send(tried[-1].kept)
        except StopIteration as end:
            answer: Answer = end.value
            break
    yield _found(answer, keep, results, tried)


def _measured(result: Result) -> Tried:
    fidelity = result.fidelity
    assert fidelity is not None  # noqa: S101  every engine measures it
    asked = result.recipe.request
    return Tried(asked.strength, result.recipe.plan.evaluations, fidelity.structure)


def _found(answer: Answer, keep: float, results: dict[float, Result], tried: list[Tried]) -> Found:
    best = answer.best
    if not answer.reachable:
        raise RequestError(
            f"no strength keeps {keep:g} of this source's structure with this prompt and seed: runs "
            f"keep {answer.least:.2f} to {answer.most:.2f}, and strength 0 keeps all; choose within"
        )
    notices: tuple[Notice, ...] = ()
    if abs(best.kept - keep) > TOLERANCE:
        sentence = (
            f"{keep:g} of the structure was to be kept, and {best.kept:.3f} is as close as the search "
            f"came, at strength {best.strength:.4g}; another seed or more steps may come closer"
        )
        notices = (Notice("keep-missed", sentence),)
    return Found(results[best.strength], best.strength, best.kept, keep, tuple(tried), notices)
