"""Classifier-free guidance: both halves of every row in one network call."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from underpaint.denoiser import Denoiser, Row, from_x0, to_x0
from underpaint.levels import Prediction


@dataclass(frozen=True, slots=True)
class _Guided:
    """A denoiser that steers rows away from their negative prompt.

    Ho & Salimans 2022, equation 6, written as ``negative + scale * (prompt - negative)``; on x0 this
    is the same as on the network's own output, because at one level each is affine in the other.
    A row costs its second half only where its scale is not 1 and its level lies in its interval.
    """

    inner: Denoiser

    @property
    def prediction(self) -> Prediction:
        """What the network underneath predicts."""
        return self.inner.prediction

    def __call__(self, rows: Sequence[Row]) -> list[Tensor]:
        """The guided estimates, in the rows' order."""
        guided = [
            row for row in rows if row.negative is not None and row.guidance.acts_at(row.level)
        ]
        halves = [Row(row.x, row.level, row.negative) for row in guided if row.negative is not None]
        estimates = self.inner([Row(row.x, row.level, row.prompt) for row in rows] + halves)
        negatives = dict(zip(map(id, guided), estimates[len(rows) :], strict=True))
        return [
            self._steer(row, positive, negatives[id(row)]) if id(row) in negatives else positive
            for row, positive in zip(rows, estimates[: len(rows)], strict=True)
        ]

    def _steer(self, row: Row, positive: Tensor, negative: Tensor) -> Tensor:
        x0 = negative + row.guidance.scale * (positive - negative)
        return _rescaled(self.prediction, row, x0, positive) if row.guidance.rescale else x0


def guided(denoiser: Denoiser) -> Denoiser:
    """The denoiser that obeys each row's guidance."""
    return _Guided(denoiser)


def _rescaled(prediction: Prediction, row: Row, x0: Tensor, positive: Tensor) -> Tensor:
    # Lin et al. 2023, equations 15 and 16, on what the network predicts; statistics of one picture.
    output = from_x0(prediction, row.x, row.level, x0)
    wanted = from_x0(prediction, row.x, row.level, positive)
    restored = output * (wanted.std() / output.std())
    phi = row.guidance.rescale
    return to_x0(prediction, row.x, row.level, phi * restored + (1 - phi) * output)
