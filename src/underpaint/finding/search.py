"""Where to look next for the strength that keeps a given share of structure; no torch.

The search is a conversation, as samplers are: it yields what it wants rendered and is sent how much
structure that kept. Few-step renders tell where to look; a full one tells how far they were off.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

TOLERANCE = 0.02  # of structure kept; half of what a person notices between two pictures
_QUICK_AT_MOST = 8  # bisections: the strength is known to a few thousandths after them
_HALVINGS = 3
_FULL_AT_MOST = 5
_CLOSE = 0.004  # in strength; a closer look than this changes less than TOLERANCE
_WEAKEST = 0.01  # below it a run only brings the source through the autoencoder and back
_MARGIN = 0.15  # of a bracket: interpolation may not creep along one of its ends


class Kept(NamedTuple):
    """At this strength, so much structure was kept."""

    strength: float
    kept: float


@dataclass(frozen=True, slots=True)
class Probe:
    """What the search wants to know: how much a render at ``strength`` keeps."""

    strength: float
    quick: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """Where the search ended.

    Attributes:
        best: The full render closest to what was wanted.
        most: What the weakest run keeps, as far as was looked.
        least: What strength 1 keeps.
        reachable: Whether what was wanted lies between them, give or take the tolerance.
    """

    best: Kept
    most: float
    least: float
    reachable: bool


def seek(keep: float) -> Generator[Probe, float, Answer]:
    """Looks for the strength that keeps ``keep`` of the structure, 0 to 1.

    Strength 0 is no answer: it is the source itself.
    """
    quick = yield from _looked_quickly(keep)
    full = yield from _looked_closely(keep, quick)
    best = min(full, key=lambda one: abs(one.kept - keep))
    runs = [*full, *quick[1:]]
    if not _spans(runs, keep) and all(one.strength > _WEAKEST for one in runs):
        runs.append(Kept(_WEAKEST, (yield Probe(_WEAKEST, quick=True))))
    most, least = max(one.kept for one in runs), min(one.kept for one in runs)
    return Answer(best, most, least, _spans(runs, keep))


def _looked_quickly(keep: float) -> Generator[Probe, float, list[Kept]]:
    """What quick renders keep, by strength, closing in on ``keep``."""
    quick = [Kept(0.0, 1.0), Kept(1.0, (yield Probe(1.0, quick=True)))]
    for i in range(_QUICK_AT_MOST):
        low, high = _bracket(quick, keep)
        closest = min(quick[1:], key=lambda one: abs(one.kept - keep))
        if high.strength - low.strength < _CLOSE or abs(closest.kept - keep) < TOLERANCE / 2:
            break
        # A line across a wide bracket is no picture of the curve: halve it first.
        halfway = (low.strength + high.strength) / 2
        strength = halfway if i < _HALVINGS else _between(low, high, keep)
        quick = sorted([*quick, Kept(strength, (yield Probe(strength, quick=True)))])
    return quick


def _looked_closely(keep: float, quick: Sequence[Kept]) -> Generator[Probe, float, list[Kept]]:
    """What full renders keep, by strength, the closest to ``keep`` among them."""
    full: list[Kept] = []
    strength = max(_WEAKEST, _crossing(quick, keep))
    while len(full) < _FULL_AT_MOST:
        full = sorted([*full, Kept(strength, (yield Probe(strength, quick=False)))])
        if min(abs(one.kept - keep) for one in full) <= TOLERANCE:
            break
        strength = _corrected(quick, full, keep)
        if any(abs(strength - one.strength) < _CLOSE / 4 for one in full):
            break
    return full


def _spans(runs: Sequence[Kept], keep: float) -> bool:
    """Whether ``keep`` lies within what the runs keep, give or take the tolerance."""
    kept = [one.kept for one in runs]
    return min(kept) - TOLERANCE <= keep <= max(kept) + TOLERANCE


def _bracket(known: Sequence[Kept], keep: float) -> tuple[Kept, Kept]:
    """The first two neighbours with ``keep`` between them; the last one twice where it is below all."""
    for low, high in pairwise(known):
        if low.kept >= keep >= high.kept:
            return low, high
    return known[-1], known[-1]


def _between(low: Kept, high: Kept, keep: float) -> float:
    """Where a straight line crosses ``keep``, but not close to the ends: a guarded bisection."""
    drop = low.kept - high.kept
    share = 0.5 if drop <= 0 else (low.kept - keep) / drop
    share = min(1 - _MARGIN, max(_MARGIN, share))
    return low.strength + share * (high.strength - low.strength)


def _crossing(known: Sequence[Kept], keep: float) -> float:
    """Where the line through what is known crosses ``keep``; strength 1 where it never does."""
    low, high = _bracket(known, keep)
    drop = low.kept - high.kept
    if drop <= 0:
        return low.strength
    return low.strength + (low.kept - keep) / drop * (high.strength - low.strength)


def _corrected(quick: Sequence[Kept], full: Sequence[Kept], keep: float) -> float:
    """Where full renders should cross ``keep``, given those that are known.

    Between two of them by interpolation; else where the quick ones cross it, moved along the
    strengths by as much as the nearest full one lies beside them: the curves have one shape and steep
    parts, where a move across would lead far away.
    """
    low, high = _bracket(full, keep)
    if low is not high:
        return _between(low, high, keep)
    nearest = min(full, key=lambda one: abs(one.kept - keep))
    if nearest.kept < quick[-1].kept:  # lower than any quick one: nothing lies beside it
        below = _height(quick, nearest.strength) - nearest.kept
        return max(_WEAKEST, _crossing(quick, keep + below))
    beside = nearest.strength - _crossing(quick, nearest.kept)
    return min(1.0, max(_WEAKEST, _crossing(quick, keep) + beside))


def _height(known: Sequence[Kept], strength: float) -> float:
    """What the line through what is known says at ``strength``."""
    low, high = next(
        (low, high) for low, high in pairwise(known) if low.strength <= strength <= high.strength
    )
    share = (strength - low.strength) / (high.strength - low.strength)
    return low.kept + share * (high.kept - low.kept)
