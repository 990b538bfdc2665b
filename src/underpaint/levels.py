"""Noise levels, and the schedules that say which level stands at which time.

A noise level is a pair: ``x = alpha * x0 + sigma * eps``. Variance-preserving models (SD, SDXL),
variance-exploding ones and rectified flows (SD3, FLUX) are all written with it, so nothing
downstream asks which family it serves.

Time ``t`` runs from 0 (the picture) to 1 (noise) *before* any shift of the model's; the strength of
a request is such a ``t``. A schedule is read from the JSON of a checkpoint's scheduler.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from underpaint.errors import ModelError

Prediction = Literal["eps", "v", "x0", "flow"]
Spacing = Literal["model", "karras", "log_snr"]

KARRAS_RHO = 7.0  # Karras et al. 2022 (EDM), table 1: "rho = 7"
MOST_ENTRIES = 100_000  # a hundred times what anybody trains on
ROUNDING = 1e-9  # of an angle; a step of a table of 1000 is 1e-4 and more
NOISE_RATIO_CAP = 80.0  # EDM's sigma_max; a ladder in sigma/alpha cannot begin at infinity


@dataclass(frozen=True, slots=True)
class Level:
    """How much picture and how much noise is in ``x = alpha * x0 + sigma * eps``.

    Plain floats: comparing or combining levels never waits for a device.

    Attributes:
        alpha: The share of the picture, 1 at the end of a run, 0 in pure noise.
        sigma: The standard deviation of the noise, 0 at the end of a run.
    """

    alpha: float
    sigma: float

    @property
    def angle(self) -> float:
        """``atan2(sigma, alpha)``: 0 for the picture, pi/2 for pure noise; free of scaling."""
        return math.atan2(self.sigma, self.alpha)

    def at_or_below(self, other: "Level") -> bool:
        """Whether it has at most the noise of ``other``, whatever was rounded on the way to either."""
        return self.angle <= other.angle + ROUNDING

    @property
    def noise_ratio(self) -> float:
        """``sigma / alpha``, the sigma of variance-exploding papers; infinite at alpha = 0."""
        return self.sigma / self.alpha if self.alpha > 0 else math.inf

    @property
    def log_noise_ratio(self) -> float:
        """``log(sigma / alpha)``, half the negative log-SNR; -inf at sigma = 0, inf at alpha = 0."""
        if self.sigma == 0:
            return -math.inf
        return math.log(self.sigma / self.alpha) if self.alpha > 0 else math.inf

    @property
    def signal_share(self) -> float:
        """``alpha² / (alpha² + sigma²)``: the share of the picture in x's energy, 0 to 1."""
        return self.alpha**2 / (self.alpha**2 + self.sigma**2)


PICTURE = Level(1.0, 0.0)  # where every run ends
PURE_NOISE = Level(0.0, 1.0)


@dataclass(frozen=True, slots=True)
class FlowSchedule:
    """Rectified flow: ``alpha = 1 - sigma``, ``sigma = shift * t / (1 + (shift - 1) * t)``.

    Source: Esser et al. 2024 (SD3), section 5.3.2, equation 23. The network is fed
    ``entries * sigma``.

    Attributes:
        shift: 1 leaves t as it is; larger values spend more of t at high noise.
        entries: The factor between sigma and what the network is fed as its time.
        terminal: The sigma that the last step of a run leaves from; 0 for wherever it falls.
    """

    shift: float = 1.0
    entries: int = 1000
    terminal: float = 0.0
    prediction: Prediction = "flow"

    def level(self, t: float) -> Level:
        """The level at time ``t`` in [0, 1]."""
        sigma = self.shift * t / (1.0 + (self.shift - 1.0) * t)
        return Level(1.0 - sigma, sigma)

    def t(self, level: Level) -> float:
        """The time at which this schedule stands at ``level`` (any scaling), in [0, 1]."""
        sigma = level.sigma / (level.alpha + level.sigma)
        return sigma / (self.shift - (self.shift - 1.0) * sigma)

    def time(self, level: Level) -> float:
        """What the network is fed as its time at ``level``: 0 to ``entries``."""
        return self.entries * level.sigma / (level.alpha + level.sigma)

    def at_noise_ratio(self, ratio: float) -> Level:
        """The level of this schedule whose ``sigma / alpha`` is ``ratio`` (finite, >= 0)."""
        sigma = ratio / (1.0 + ratio)
        return Level(1.0 - sigma, sigma)


@dataclass(frozen=True, slots=True, eq=False)
class TableSchedule:
    """Variance-preserving models with a table of T entries (DDPM and its kin).

    Entry i stands at ``t = (i + 1) / T``. Between entries the angle ``atan2(sigma, alpha)`` is
    interpolated linearly, and it is 0 at t = 0. The network is fed the fractional index
    ``t * T - 1``, never below 0.

    Attributes:
        angles: [T + 1] float64, strictly increasing from 0 (t = 0) to at most pi/2 (t = 1).
    """

    angles: NDArray[np.float64]
    prediction: Prediction = "eps"
    times: NDArray[np.float64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Puts the times beside their angles."""
        object.__setattr__(self, "times", np.linspace(0.0, 1.0, len(self.angles)))

    @property
    def entries(self) -> int:
        """T, the number of entries that the model was trained on."""
        return len(self.angles) - 1

    def level(self, t: float) -> Level:
        """The level at time ``t`` in [0, 1]."""
        return _on_circle(float(np.interp(t, self.times, self.angles)))

    def t(self, level: Level) -> float:
        """The time at which this schedule stands at ``level`` (any scaling), in [0, 1]."""
        return float(np.interp(level.angle, self.angles, self.times))

    def time(self, level: Level) -> float:
        """What the network is fed as its time at ``level``: 0 to T - 1, fractional."""
        return max(self.t(level) * self.entries - 1.0, 0.0)

    def at_noise_ratio(self, ratio: float) -> Level:
        """The level of this schedule whose ``sigma / alpha`` is ``ratio`` (finite, >= 0)."""
        return _on_circle(math.atan(ratio))


Schedule = FlowSchedule | TableSchedule


def _on_circle(angle: float) -> Level:
    # cos(pi/2) is 6e-17 in floating point; a table that ends in pure noise means 0.
    alpha = math.cos(angle)
    return PURE_NOISE if alpha < 1e-12 else Level(alpha, math.sin(angle))


# --- reading a scheduler's JSON -------------------------------------------------------------------


def read_schedule(config: Mapping[str, Any], *, image_tokens: int | None = None) -> Schedule:
    """The schedule that a diffusers scheduler config describes.

    Args:
        config: The parsed ``scheduler_config.json``.
        image_tokens: How many tokens the picture has in the network; used only by flows whose shift
            depends on the size (FLUX), and needed by them.

    Raises:
        ModelError: a beta schedule, prediction type or shift that is not known.
    """
    name = str(config.get("_class_name", ""))
    kind = config.get("prediction_type")
    if name.startswith("EDM"):
        raise ModelError(f"the scheduler is {name}, whose levels are not read yet")
    if name.startswith("FlowMatch") or kind == "flow_prediction":
        entries = _entries(config)
        return FlowSchedule(_flow_shift(config, image_tokens), entries, _terminal(config))
    predictions: dict[Any, Prediction] = {
        None: "eps",
        "epsilon": "eps",
        "v_prediction": "v",
        "sample": "x0",
    }
    if not isinstance(kind, str | None) or kind not in predictions:
        raise ModelError(
            f"the scheduler's prediction_type is {kind!r}; "
            "known are epsilon, v_prediction, sample and flow_prediction"
        )
    return TableSchedule(_angles(_betas(config), config), prediction=predictions[kind])


def _entries(config: Mapping[str, Any]) -> int:
    entries = int(config.get("num_train_timesteps", 1000))
    if not 2 <= entries <= MOST_ENTRIES:
        raise ModelError(
            f"the scheduler's num_train_timesteps must lie in 2 to {MOST_ENTRIES}, got {entries}"
        )
    return entries


def _terminal(config: Mapping[str, Any]) -> float:
    terminal = float(config.get("shift_terminal") or 0.0)
    if not 0 <= terminal < 1:
        raise ModelError(f"the scheduler's shift_terminal must lie in 0 to 1, got {terminal:g}")
    return terminal


def _flow_shift(config: Mapping[str, Any], image_tokens: int | None) -> float:
    if not config.get("use_dynamic_shifting"):
        return float(config.get("flow_shift", config.get("shift", 1.0)) or 1.0)
    if image_tokens is None:
        raise ModelError("this scheduler's shift depends on the picture's size; pass image_tokens")
    # FLUX.1 (Black Forest Labs, sampling.py: get_lin_function): mu is linear in the token count.
    # A config that leaves these out means FLUX's own, as diffusers' pipelines take it.
    low, high = config.get("base_image_seq_len", 256), config.get("max_image_seq_len", 4096)
    first, last = float(config.get("base_shift", 0.5)), float(config.get("max_shift", 1.15))
    mu = first + (last - first) / (int(high) - int(low)) * (image_tokens - int(low))
    return mu if config.get("time_shift_type") == "linear" else math.exp(mu)


def _betas(config: Mapping[str, Any]) -> NDArray[np.float64]:
    if config.get("trained_betas") is not None:
        return np.asarray(cast("list[float]", config["trained_betas"]), dtype=np.float64)
    entries = _entries(config)
    first, last = float(config.get("beta_start", 1e-4)), float(config.get("beta_end", 0.02))
    match config.get("beta_schedule", "linear"):
        case "linear":  # Ho et al. 2020, section 4
            return np.linspace(first, last, entries)
        case "scaled_linear":  # Rombach et al. 2022, ldm/modules/diffusionmodules/util.py
            return np.linspace(math.sqrt(first), math.sqrt(last), entries) ** 2
        case "squaredcos_cap_v2":  # Nichol & Dhariwal 2021, equation 17; betas capped at .999
            steps = np.arange(entries + 1) / entries
            bar = np.cos((steps + 0.008) / 1.008 * math.pi / 2) ** 2
            return np.minimum(1.0 - bar[1:] / bar[:-1], 0.999)
        case other:
            raise ModelError(
                f"the scheduler's beta_schedule is {other!r}; "
                "known are linear, scaled_linear and squaredcos_cap_v2"
            )


def _angles(betas: NDArray[np.float64], config: Mapping[str, Any]) -> NDArray[np.float64]:
    if betas.ndim != 1 or len(betas) < 2 or not np.all((betas > 0) & (betas < 1)):
        raise ModelError("the scheduler's betas must be numbers between 0 and 1, at least two")
    alphas = np.sqrt(np.cumprod(1.0 - betas))
    if config.get("rescale_betas_zero_snr"):  # Lin et al. 2023, algorithm 1
        alphas = (alphas - alphas[-1]) * alphas[0] / (alphas[0] - alphas[-1])
    return np.concatenate([[0.0], np.arccos(alphas)])


# --- spacings: n levels from a start down, the end (1, 0) not among them --------------------------


def ladder(schedule: Schedule, start_t: float, count: int, spacing: Spacing) -> list[Level]:
    """``count`` strictly falling levels, the first exactly at ``start_t``; the end is left out.

    Args:
        schedule: Whose levels they are.
        start_t: The time of the first level, in (0, 1].
        count: How many, at least 1.
        spacing: ``model`` is uniform in t, then stretched to a flow's ``terminal``; ``karras``
            uniform in (sigma/alpha)^(1/7) (EDM, equation 5); ``log_snr`` uniform in log(sigma/alpha). The latter two end at the schedule's first
            trained level, or at a quarter of the start's noise where that lies lower.
    """
    first = schedule.level(start_t)
    if spacing == "model" or count == 1:
        levels = [schedule.level(start_t * (1 - i / count)) for i in range(1, count)]
        terminal = schedule.terminal if isinstance(schedule, FlowSchedule) else 0.0
        return [first, *_stretched(levels, first.sigma, terminal)]
    high = min(first.noise_ratio, NOISE_RATIO_CAP)
    low = min(schedule.level(1.0 / schedule.entries).noise_ratio, high / 4)
    steps = np.linspace(0.0, 1.0, count)[1:]
    if spacing == "karras":
        root = 1.0 / KARRAS_RHO
        ratios = (high**root + steps * (low**root - high**root)) ** KARRAS_RHO
    else:
        ratios = high * (low / high) ** steps
    return [first] + [schedule.at_noise_ratio(float(ratio)) for ratio in ratios]


def _stretched(levels: list[Level], start: float, terminal: float) -> list[Level]:
    """Levels of a flow below sigma ``start``, moved so that the last one stands at ``terminal``.

    Lightricks' LTX-Video, schedulers/rf.py, and diffusers' ``shift_terminal`` stretch the distances
    from sigma 1. That would move the start of a shorter run with its number of steps, so here they
    are those from the start; at strength 1 it is the same.
    """
    if not levels or not 0 < terminal < start:
        return levels
    factor = (start - terminal) / (start - levels[-1].sigma)
    sigmas = [start - factor * (start - level.sigma) for level in levels]
    return [Level(1.0 - sigma, sigma) for sigma in sigmas]
