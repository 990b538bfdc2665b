"""Two networks on one way: a second one takes over below a level, as SDXL's refiner does.

Podell et al. 2023 (SDXL), section 2.5: the refiner was trained on the last fifth of the levels alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import cast

from torch import Tensor

from underpaint.denoiser import Denoiser, Prompt, Row
from underpaint.levels import Level, Prediction


@dataclass(frozen=True, slots=True, eq=False)
class Relay:
    """A prompt that two networks read, each in its own words.

    Attributes:
        first: What the engine's own network reads, above the level.
        second: What the other one reads, at the level and below.
        denoiser: Gives the other network, not yet guided, when its turn comes: it may leave memory in
            between. It shares the first one's latents.
        below: Where it takes over.
    """

    first: Prompt
    second: Prompt
    denoiser: Callable[[], Denoiser]
    below: Level


@dataclass(frozen=True, slots=True)
class _Relayed:
    inner: Denoiser
    guide: Callable[[Denoiser], Denoiser]

    @property
    def prediction(self) -> Prediction:
        """What the first network predicts."""
        return self.inner.prediction

    def __call__(self, rows: Sequence[Row]) -> list[Tensor]:
        """One call of each network that a row needs; the estimates in the rows' order."""
        asked: dict[int, tuple[Denoiser, list[int], list[Row]]] = {}
        for place, row in enumerate(rows):
            denoiser, own = self._turn(row)
            _, places, theirs = asked.setdefault(id(denoiser), (denoiser, [], []))
            places.append(place)
            theirs.append(own)
        estimates: dict[int, Tensor] = {}
        for denoiser, places, theirs in asked.values():
            estimates.update(zip(places, self.guide(denoiser)(theirs), strict=True))
        return [estimates[place] for place in range(len(rows))]

    def _turn(self, row: Row) -> tuple[Denoiser, Row]:
        """Whose turn it is, and the row in that network's words."""
        relay = cast("object", row.prompt)
        if not isinstance(relay, Relay):
            return self.inner, row
        over = row.level.at_or_below(relay.below)
        negative = cast("object", row.negative)  # a pair too, or nothing
        if isinstance(negative, Relay):
            row = replace(row, negative=negative.second if over else negative.first)
        if over:
            return relay.denoiser(), replace(row, prompt=relay.second)
        return self.inner, replace(row, prompt=relay.first)


def as_it_is(denoiser: Denoiser) -> Denoiser:
    """The denoiser, unguided."""
    return denoiser


def relayed(denoiser: Denoiser, guide: Callable[[Denoiser], Denoiser] = as_it_is) -> Denoiser:
    """The denoiser that hands rows with a ``Relay`` for a prompt on to their second network.

    Args:
        denoiser: The first network.
        guide: What makes each network obey a row's guidance: by what that network predicts.
    """
    return _Relayed(denoiser, guide)
