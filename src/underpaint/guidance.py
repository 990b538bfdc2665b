"""Classifier-free guidance: both halves of every row in one network call."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from underpaint.denoiser import Denoiser, Row, from_x0, to_x0
from underpaint.levels import Prediction

TINY = 1e-12  # an output of zeros has no direction


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
        if row.guidance.patch:
            x0 = _of_own_length(self.prediction, row, x0, positive)
        return _rescaled(self.prediction, row, x0, positive) if row.guidance.rescale else x0


def guided(denoiser: Denoiser) -> Denoiser:
    """The denoiser that obeys each row's guidance."""
    return _Guided(denoiser)


def _of_own_length(prediction: Prediction, row: Row, x0: Tensor, positive: Tensor) -> Tensor:
    """x0 whose network output is, patch by patch, as long as the prompt's own.

    Wu et al. 2025 (Qwen-Image), their pipeline: only the direction of a token's guided output counts.
    """
    output = from_x0(prediction, row.x, row.level, x0)
    wanted = from_x0(prediction, row.x, row.level, positive)
    grow = _lengths(wanted, row.guidance.patch) / _lengths(output, row.guidance.patch)
    return to_x0(prediction, row.x, row.level, output * grow)


def _lengths(output: Tensor, patch: int) -> Tensor:
    """[h, w]: the length, over channels and cells, of the patch in which each cell of [C, h, w] lies."""
    height, width = output.shape[-2:]
    squares = output.square().sum(dim=0).reshape(height // patch, patch, width // patch, patch)
    lengths = squares.sum(dim=(1, 3)).sqrt().clamp(min=TINY)
    return lengths.repeat_interleave(patch, 0).repeat_interleave(patch, 1)


def _rescaled(prediction: Prediction, row: Row, x0: Tensor, positive: Tensor) -> Tensor:
    # Lin et al. 2023, equations 15 and 16, on what the network predicts; statistics of one picture.
    output = from_x0(prediction, row.x, row.level, x0)
    wanted = from_x0(prediction, row.x, row.level, positive)
    restored = output * (wanted.std() / output.std())
    phi = row.guidance.rescale
    return to_x0(prediction, row.x, row.level, phi * restored + (1 - phi) * output)
