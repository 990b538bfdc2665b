"""Distillations: networks taught to arrive in a few steps, at few times and with little guidance.

They run at any strength here, exactly from where they are asked to start; what they were not taught
is said.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from underpaint.errors import Notice
from underpaint.levels import Level, Schedule, Spacing
from underpaint.plan import make_plan
from underpaint.request import Distilled, SamplerName

MOST_STEPS = 16  # of a distillation; a larger number in a name tells something else
ON_GRID = 1e-3  # in t: a thousand-entry table rounds by half of it


@dataclass(frozen=True, slots=True)
class Distillation:
    """What suits models that were distilled in one way.

    Attributes:
        steps_over_all: Steps of a run at strength 1.
        guidance_scale: What suits it; 1 costs half.
        sampler: What suits it.
        times: How many times it was taught, evenly spaced in t and ending at 1.
    """

    steps_over_all: int
    guidance_scale: float
    sampler: SamplerName
    times: int


DISTILLATIONS: Mapping[Distilled, Distillation] = MappingProxyType(
    {
        # Sauer et al. 2023 (ADD), section 3.1: four student times. FLUX.1 schnell is of this kind.
        "turbo": Distillation(4, 1.0, "euler", 4),
        # Luo et al. 2023 (LCM), section 4.3 and its code: every twentieth of a thousand times.
        "lcm": Distillation(8, 1.0, "lcm", 50),
        # Lin et al. 2024 (SDXL-Lightning): 2, 4 or 8 steps, trailing.
        "lightning": Distillation(8, 1.0, "euler", 8),
        # Ren et al. 2024 (Hyper-SD), section 3: segments of 8, 4, 2 and 1.
        "hyper": Distillation(8, 1.0, "euler", 8),
        # Yin et al. 2024 (DMD2), section 4.4: 999, 749, 499, 249; each estimate is noised anew.
        "dmd": Distillation(4, 1.0, "lcm", 4),
    }
)

_IN_NAMES: Mapping[str, Distilled] = MappingProxyType(
    {"turbo": "turbo", "lightning": "lightning", "lcm": "lcm", "dmd2?": "dmd", "hyper": "hyper"}
)
# Where one word ends and the next begins without a space: v50Lightning, XILightning.
_SEAM = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])(?![A-Z]v\d)|(?<=[A-Z])(?=v\d)")


def named(name: str) -> Distilled:
    """The way of distillation that a file's name tells of, ``none`` where it tells of none."""
    for word, way in _IN_NAMES.items():
        # HyperRealism is a style
        text = (name if way == "hyper" else _SEAM.sub(" ", name)).lower()
        if re.search(rf"(?<![a-z])(?<!\bnon )(?<!\bno )(?<!\bnot ){word}(?![a-z])", text):
            return way
    return "none"


def named_steps(name: str, way: Distilled) -> int | None:
    """The steps that a name such as ``sdxl_lightning_4step`` tells; None where it tells none.

    LCMs are taught many more times than they run, whatever their names tell.
    """
    found = re.search(r"(?<![\d.])(\d{1,2})[ _-]?steps?(?![a-z])", _SEAM.sub(" ", name).lower())
    if found is None or way in {"none", "lcm"}:
        return None
    steps = int(found[1])
    return steps if 1 <= steps <= MOST_STEPS else None


def assumed(name: str, way: Distilled) -> Notice:
    """What to say where only the name tells."""
    return Notice(
        "distilled-assumed",
        f"{name!r} is taken for a {way} distillation because of its name, so it runs in few steps "
        "with little guidance; say distilled=none if it is not one",
    )


def off_trained_times(
    way: Distilled,
    schedule: Schedule,
    levels: Sequence[Level],
    *,
    taught: int | None = None,
    sampler: str = "euler",
    spacing: Spacing = "model",
    calibrated: bool = False,
) -> tuple[Notice, ...]:
    """What to say where the network is asked at times that it was not taught; none if all were.

    Args:
        way: How it was distilled.
        schedule: Its noise levels.
        levels: Those of the run, with the picture at their end.
        taught: How many times a family's distillations were taught, where they are not the usual.
        sampler: Which one runs; Heun's evaluates most levels twice.
        spacing: How they are spaced; only the model's own meets its times.
        calibrated: Whether strength was counted on another scale than the schedule's.
    """
    if way == "none" or not levels:
        return ()
    count = taught or DISTILLATIONS[way].times
    times = [schedule.t(level) for level in levels[:-1]]

    def is_off(t: float) -> bool:
        return abs(t * count - round(t * count)) > ON_GRID * count

    off = [t for t in times if is_off(t)]
    if not off:
        return ()
    first = max(1, round(times[0] * count))
    steps = min(
        (n for n in range(1, first + 1) if first % n == 0), key=lambda n: abs(n - len(times))
    )
    evaluations = 2 * steps - 1 if sampler == "heun" else steps
    better = make_plan(
        schedule, strength=first / count, steps=evaluations, sampler=sampler, spacing="model"
    ).levels[:-1]
    message = (
        f"this {way} distillation was taught {count} times, and {len(off)} of {len(times)} levels "
        "lie between them; the start is exact all the same"
    )
    if not any(is_off(schedule.t(level)) for level in better):
        advice = f"strength {first / count:g} with {evaluations} step{'s' * (evaluations > 1)}"
        advice += "" if spacing == "model" else " and the model's own spacing"
        advice += ", on the schedule's scale," * calibrated
        message += f", and {advice} would meet only times that it knows"
    return (Notice("off-trained-times", message),)
