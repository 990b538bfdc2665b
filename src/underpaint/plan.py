"""Strength and steps become levels: decided once, before anything heavy is imported.

See docs/adr/0001-strength-and-steps.md for why. In one sentence: ``strength`` is the exact time at
which the run starts, and ``steps`` is the number of network evaluations that run.
"""

from dataclasses import dataclass

from underpaint.errors import Notice
from underpaint.levels import PICTURE, FlowSchedule, Level, Schedule, Spacing, ladder
from underpaint.survival import Spectrum, noise_ratio_at

UNHEARD_SIGMA = 2.0**-24  # half a step of float32 at 1: noise below it does not change a latent
SOURCE_LOST_SHARE = 0.02  # less signal than this at the start and the source hardly shows
PROMPT_WEAK_STRENGTH = 0.3  # below it structure stays and a prompt can only tint
STEPS_OVER_ALL = 20  # DPM++ 2M has converged by then on the models that we know
LONG_PROMPT_WORDS = 12  # a prompt of more words than this asks for more than a tint


@dataclass(frozen=True, slots=True)
class Plan:
    """What will run.

    Attributes:
        start: The level to which the source is noised.
        levels: What the network is told, falling, ending in (1, 0); empty at strength 0.
        evaluations: Network evaluations; a guided pair counts once.
        notices: What a person should know about these decisions.
    """

    start: Level
    levels: tuple[Level, ...]
    evaluations: int
    notices: tuple[Notice, ...] = ()


def default_steps(start_t: float, *, over_all: int = STEPS_OVER_ALL) -> int:
    """Steps where none are asked for: ``over_all`` of them over the whole of t, at least 4."""
    return max(4, round(over_all * start_t))


def starting_point(
    schedule: Schedule, strength: float, spectrum: Spectrum | None = None
) -> tuple[Level, float]:
    """The level to which the source is noised, and the time t at which the network begins.

    Args:
        schedule: The model's levels.
        strength: In [0, 1]: the time itself, or with a ``spectrum`` the calibrated strength.
        spectrum: The source's, not flat.

    At 1 the level is pure noise, although most tables end with a little picture. A calibrated
    strength just below 1 may also lie beyond such a table; its level is exact all the same, and the
    network is told the last one.
    """
    if spectrum is None or strength in {0, 1}:
        level = schedule.level(strength)
        return (Level(0.0, level.sigma) if strength == 1 else level), strength
    wanted = schedule.at_noise_ratio(noise_ratio_at(spectrum, strength))
    start_t = schedule.t(wanted)
    beyond = wanted.noise_ratio > schedule.level(1.0).noise_ratio
    return (wanted if beyond else schedule.level(start_t)), start_t


def intervals(sampler: str, evaluations: int) -> int:
    """How many level-to-level intervals ``evaluations`` pay for.

    Heun spends two on each interval but the last, which is Euler's; an even number buys one Euler
    interval more. Every other sampler spends one.
    """
    return evaluations // 2 + 1 if sampler == "heun" else evaluations


def make_plan(
    schedule: Schedule,
    *,
    strength: float,
    steps: int,
    sampler: str = "dpmpp_2m",
    spacing: Spacing = "model",
    prompt: str = "",
    spectrum: Spectrum | None = None,
) -> Plan:
    """The plan of a run that starts exactly at ``t = strength``, or at a calibrated strength.

    Args:
        schedule: The model's levels.
        strength: In [0, 1]. At 0, and where noise is too faint for float32, nothing runs; at 1 the
            start is pure noise, although the network is told the schedule's last level, which for
            most tables still holds .5 % of picture.
        steps: Evaluations to run.
        sampler: Its name; Heun's intervals cost two evaluations.
        spacing: How levels lie between start and end.
        prompt: Only read for notices.
        spectrum: The source's, not flat, where the strength is on the calibrated scale.
    """
    notices: list[Notice] = []
    start, start_t = starting_point(schedule, strength, spectrum)
    if start.sigma < UNHEARD_SIGMA:
        return Plan(PICTURE, (), 0, _nothing_runs(strength))
    last_usable_t = _last_usable_t(schedule)
    if start_t > last_usable_t:
        start_t = last_usable_t
        start = (
            Level(0.0, schedule.level(start_t).sigma) if strength == 1 else schedule.level(start_t)
        )
        notices.append(
            Notice(
                "start-clamped",
                "this model predicts noise, which says nothing at a level without any picture; "
                f"the run starts at its last usable level, t = {start_t:.4f}",
            )
        )
    levels = (*ladder(schedule, start_t, intervals(sampler, steps), spacing), PICTURE)
    notices += _warnings(schedule, strength, start, levels, prompt)
    return Plan(start, levels, steps, tuple(notices))


def _nothing_runs(strength: float) -> tuple[Notice, ...]:
    if strength == 0:
        return ()
    message = (
        f"at strength {strength:g} the noise is fainter than the numbers can hold, so nothing runs "
        "and the source comes back; raise the strength"
    )
    return (Notice("nothing-runs", message),)


def _last_usable_t(schedule: Schedule) -> float:
    """The last time at which the network's output determines the picture."""
    blind = schedule.prediction == "eps" and schedule.level(1.0).alpha == 0
    return 1.0 - 1.0 / schedule.entries if blind else 1.0


def _warnings(
    schedule: Schedule, strength: float, start: Level, levels: tuple[Level, ...], prompt: str
) -> list[Notice]:
    notices: list[Notice] = []
    if start.signal_share < SOURCE_LOST_SHARE:
        notices.append(
            Notice(
                "source-lost",
                f"at strength {strength:g} the start holds {start.signal_share:.1%} of the source's "
                "signal, so composition will not be kept; lower the strength to follow the source",
            )
        )
    if strength < PROMPT_WEAK_STRENGTH and len(prompt.split()) > LONG_PROMPT_WORDS:
        notices.append(
            Notice(
                "prompt-weak",
                f"at strength {strength:g} the source's structure is kept and a long prompt can do "
                f"little; raise the strength above {PROMPT_WEAK_STRENGTH:g} to give it room",
            )
        )
    lowest = 1.0 / schedule.entries
    below = sum(schedule.t(level) < lowest * (1 - 1e-9) for level in levels[:-1])
    if below and not isinstance(schedule, FlowSchedule):
        notices.append(
            Notice(
                "time-clamped",
                f"{below} of {len(levels) - 1} levels lie below the first that this model was "
                "trained on; there the network is told its first one",
            )
        )
    return notices
