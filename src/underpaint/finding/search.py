"""Where to look next for the strength that keeps a given share of structure; no torch.

The search is a conversation, as samplers are: it yields what it wants rendered and is sent how much
structure that kept. Few-step renders tell where to look; a full one tells how far they were off.
"""

from bisect import bisect_right
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

TOLERANCE = 0.02  # of structure kept; half of what a person notices between two pictures
_QUICK_AT_MOST = 8  # bisections: the strength is known to a few thousandths after them
_FULL_AT_MOST = 4
_CLOSE = 0.004  # in strength; a closer look than this changes less than TOLERANCE
_WEAKEST = 0.01  # below it a run only brings the source through the autoencoder and back
_MARGIN = 0.1  # of a bracket: interpolation may not creep along one of its ends


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
    quick = [Kept(0.0, 1.0), Kept(1.0, (yield Probe(1.0, quick=True)))]
    for _ in range(_QUICK_AT_MOST):
        low, high = _bracket(quick, keep)
        closest = min(quick[1:], key=lambda one: abs(one.kept - keep))
        if high.strength - low.strength < _CLOSE or abs(closest.kept - keep) < TOLERANCE / 2:
            break
        strength = _between(low, high, keep)
        quick = sorted([*quick, Kept(strength, (yield Probe(strength, quick=True)))])
    full: list[Kept] = []
    strength = max(_WEAKEST, _crossing(quick, keep))
    while len(full) < _FULL_AT_MOST:
        full = sorted([*full, Kept(strength, (yield Probe(strength, quick=False)))])
        best = min(full, key=lambda one: abs(one.kept - keep))
        if abs(best.kept - keep) <= TOLERANCE:
            break
        strength = _corrected(quick, full, keep)
        if any(abs(strength - one.strength) < _CLOSE / 4 for one in full):
            break
    best = min(full, key=lambda one: abs(one.kept - keep))
    runs = [*full, *quick[1:]]
    most, least = max(one.kept for one in runs), min(one.kept for one in runs)
    return Answer(best, most, least, least - TOLERANCE <= keep <= most + TOLERANCE)


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

    Between two of them by interpolation; else where the quick ones cross it, shifted by as much as
    the nearest full one differs from them.
    """
    low, high = _bracket(full, keep)
    if low is not high:
        return _between(low, high, keep)
    nearest = min(full, key=lambda one: abs(one.kept - keep))
    off = nearest.kept - _height(quick, nearest.strength)
    return min(1.0, max(_WEAKEST, _crossing(quick, keep - off)))


def _height(known: Sequence[Kept], strength: float) -> float:
    """What the line through what is known says at ``strength``."""
    place = min(max(1, bisect_right([one.strength for one in known], strength)), len(known) - 1)
    low, high = known[place - 1], known[place]
    share = (strength - low.strength) / (high.strength - low.strength)
    return low.kept + share * (high.kept - low.kept)
