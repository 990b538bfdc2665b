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
            estimates.update(zip(places, denoiser(theirs), strict=True))
        return [estimates[place] for place in range(len(rows))]

    def _turn(self, row: Row) -> tuple[Denoiser, Row]:
        """Whose turn it is, and the row in that network's words."""
        match cast("object", row.prompt):
            case Relay() as relay if row.level.angle <= relay.below.angle:
                return relay.denoiser(), replace(row, prompt=relay.second)
            case Relay() as relay:
                return self.inner, replace(row, prompt=relay.first)
            case _:
                return self.inner, row


def relayed(denoiser: Denoiser) -> Denoiser:
    """The denoiser that hands rows with a ``Relay`` for a prompt on to their second network."""
    return _Relayed(denoiser)
