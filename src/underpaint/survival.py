"""What of a source survives at a noise level, and the strength scale that is made of it; no torch.

A source's latents hold some energy in every octave of size. At ``Level(alpha, sigma)`` an octave
with energy S, in which unit white noise has energy N, stands above the noise by
``alpha² S / (sigma² N)``. The share of it that a model can still make out is ``q / (1 + q)`` with
``q = (beta · alpha² S / (sigma² N))^p``: Wiener's gain where beta and p are 1; a learned denoiser
knows pictures and restores more. The mean over the octaves is the share of the picture's sizes
that survives: 1 without noise, 0 in pure noise, and the same on every schedule, because it asks
for the level alone. ``strength = 1 − mean share`` is the calibrated scale.
"""

import math
from dataclasses import dataclass

from underpaint.levels import Level

LEAST_ENERGY = 1e-6  # of unit noise: below it there is nothing but rounding
_HALVINGS = 80  # of an interval of 120 in the logarithm: to the last digit of a float


@dataclass(frozen=True, slots=True)
class Recovery:
    """How well a model makes out what noise covers; fitted by ``benchmarks.strength_scale``.

    Attributes:
        beta: Its advantage over a linear estimate, as a factor of the signal's energy.
        p: How sharply recovery sets in with the signal.
    """

    beta: float = 8.0
    p: float = 0.7

    def share(self, energy: float, noise_ratio: float) -> float:
        """The share, 0 to 1, recovered of a signal of ``energy`` against unit noise.

        Args:
            energy: Of the signal per unit of white noise, at least 0.
            noise_ratio: ``sigma / alpha``; 0 is no noise, infinity is nothing but noise.
        """
        if energy <= 0 or math.isinf(noise_ratio):
            return 0.0
        if noise_ratio == 0:
            return 1.0
        # q / (1 + q) by its logarithm, which never overflows
        log_q = self.p * (math.log(self.beta * energy) - 2 * math.log(noise_ratio))
        return 1 / (1 + math.exp(-log_q)) if log_q > -700 else 0.0


LEARNED = Recovery()  # where a model says nothing of its own


@dataclass(frozen=True, slots=True)
class Octave:
    """One octave of a source's latents.

    Attributes:
        shape_px: The size of shapes in its middle, half a wavelength, in pixels of the picture.
        signal: The energy of the latents in it.
        noise: The energy of unit white noise in it.
    """

    shape_px: float
    signal: float
    noise: float

    @property
    def energy(self) -> float:
        """The signal's energy per unit of white noise."""
        return self.signal / self.noise

    @property
    def counts(self) -> bool:
        """Whether there is anything in it that could survive."""
        return self.energy >= LEAST_ENERGY


@dataclass(frozen=True, slots=True)
class Spectrum:
    """A source's latents by octave.

    Attributes:
        octaves: The largest shapes first; empty for a source of one flat colour.
        cell_px: How many pixels of the picture one cell of the latents stands for.
        recovery: How well its model recovers them.
    """

    octaves: tuple[Octave, ...]
    cell_px: float = 1.0
    recovery: Recovery = LEARNED

    @property
    def is_flat(self) -> bool:
        """Whether the source has no structure: one colour and nothing else."""
        return not any(octave.counts for octave in self.octaves)


@dataclass(frozen=True, slots=True)
class Survival:
    """What of a source can still be made out at a level.

    Attributes:
        shares: Of each octave, 0 to 1, the largest shapes first; None where there is nothing in it.
        mean: Over the octaves that hold something; 1 where none does.
        smallest_px: Shapes larger than this survive by half and more, in pixels of the picture; 0
            where all do, infinite where none does.
    """

    shares: tuple[float | None, ...]
    mean: float
    smallest_px: float


def survival(spectrum: Spectrum, level: Level) -> Survival:
    """What survives of a source with that spectrum at ``level``."""
    shares = _shares(spectrum, level.noise_ratio)
    counted = [share for share in shares if share is not None]
    mean = sum(counted) / len(counted) if counted else 1.0
    return Survival(shares, mean, _smallest_px(spectrum, shares))


def calibrated_strength(spectrum: Spectrum, level: Level) -> float:
    """``1 − mean share``: 0 at no noise, 1 at pure noise, strictly rising with the noise between.

    Depends on the level alone, so it is the same on every schedule; not to be confused with a
    request's ``strength`` on the schedule's scale.
    """
    return 1 - survival(spectrum, level).mean


def noise_ratio_at(spectrum: Spectrum, strength: float) -> float:
    """The ``sigma / alpha`` at which the calibrated strength is ``strength``, by bisection.

    Args:
        spectrum: One that is not flat.
        strength: In [0, 1]; 0 gives 0 and 1 gives infinity, exactly.
    """
    if strength <= 0:
        return 0.0
    if strength >= 1:
        return math.inf
    low, high = -60.0, 60.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        shares = [one for one in _shares(spectrum, math.exp(middle)) if one is not None]
        # compared as sums of what is lost: 1 − share loses its digits near 1
        if sum(shares) > (1 - strength) * len(shares):
            low = middle
        else:
            high = middle
    return math.exp((low + high) / 2)


def _shares(spectrum: Spectrum, noise_ratio: float) -> tuple[float | None, ...]:
    recovery = spectrum.recovery
    return tuple(
        recovery.share(octave.energy, noise_ratio) if octave.counts else None
        for octave in spectrum.octaves
    )


def _smallest_px(spectrum: Spectrum, shares: tuple[float | None, ...]) -> float:
    """Where the share falls through one half, between the middles of octaves, in log size."""
    known = [
        (octave.shape_px, share)
        for octave, share in zip(spectrum.octaves, shares, strict=True)
        if share is not None
    ]
    if all(share >= 0.5 for _, share in known):
        return 0.0
    kept = [i for i, (_, share) in enumerate(known) if share >= 0.5]
    if not kept:
        return math.inf
    (large, above), (small, below) = known[kept[-1]], known[min(kept[-1] + 1, len(known) - 1)]
    if above == below:
        return large
    return large * (small / large) ** ((above - 0.5) / (above - below))
