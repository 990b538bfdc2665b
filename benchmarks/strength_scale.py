"""Does a strength mean the same for every source? Measured change against strength, on four scales.

    python -m benchmarks.strength_scale --out FOLDER [--model gesso] [--prompt TEXT] [--write]

Renders every source at 20 levels and with two step counts, fits the recovery's beta and p on half
of the sources, and tests on the others. Writes FOLDER/renders.json, from which a second call fits
anew without rendering, and FOLDER/strength-scale.png; ``--write`` puts beta and p into the model's
underpaint.json.

Change is 1 − multi-scale SSIM between the source and the result. Without a prompt, the default, it
is what the noise alone undoes; with one, the pull of its words comes on top. Two pictures that have
nothing to do with one another are not 0 alike but as much as empty skies and black space make them, so
the way of a source ends at its own change at strength 1, where it is ignored: a run's change as a share of that
is how far it strayed, from 0 to 1 for every source. Both are told; beta and p are fitted to the share.

A scale is good where one straight line tells them from the strength (R², pooled over sources and step
counts), where sources lie close together at one strength, where the step count does not matter, and where
all sources need the same strength for the same change. The spreads are standard deviations.
"""

import argparse
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.sources import Source, sources
from underpaint import Engine, Request
from underpaint.levels import FlowSchedule, Schedule
from underpaint.models import catalog
from underpaint.plan import starting_point
from underpaint.survival import Octave, Recovery, Spectrum, noise_ratio_at

Floats = NDArray[np.float64]

SIDE_PX = 192  # five scales of SSIM fit
STRENGTHS = [i / 20 for i in range(1, 21)]
STEP_COUNTS = (4, 12)
SEED = 7
EQUAL_CHANGES = [i / 20 for i in range(3, 18)]  # .15 to .85: every source passes through these
PURE_NOISE = 60.0  # a log noise ratio that stands for infinity
BETAS = np.geomspace(0.25, 256, 41)
POWERS = np.linspace(0.2, 1.6, 57)


@dataclass(frozen=True, slots=True)
class Curve:
    """What became of one source with one number of steps: the change at each level."""

    source: str
    kind: str
    held_out: bool
    steps: int
    spectrum: Spectrum
    times: tuple[float, ...]
    log_ratios: tuple[float, ...]
    changes: tuple[float, ...]

    @property
    def of_the_way(self) -> "Curve":
        """The same with each change as a share of that at strength 1, where the source is ignored."""
        return replace(self, changes=tuple(change / self.changes[-1] for change in self.changes))

    def change_at(self, time: float) -> float:
        """Between the levels that were rendered the change is interpolated in t."""
        return float(np.interp(time, self.times, self.changes))


Scale = Callable[[float, Curve], float]  # a strength and a curve to the time the run starts at


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default=None)
    parser.add_argument("--sources", type=int, default=None, help="only so many, for a trial")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--prompt", default="", help="none: no words and no guidance")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    checkpoint = catalog.find(asked.model)
    plain = curves_of(asked.model, asked.prompt, asked.out / "renders.json", asked.sources)
    curves = [curve.of_the_way for curve in plain]
    fitted = fit([curve for curve in curves if not curve.held_out])
    tested = [curve for curve in curves if curve.held_out]
    if not tested:
        print("so few sources that none is held out: what follows is measured on what was fitted")
        tested = curves
    print(f"measured on: {', '.join(dict.fromkeys(curve.source for curve in tested))}")
    print(f"fitted on the others: beta {fitted.beta:.3g}, p {fitted.p:.3g}")
    scales = all_scales(checkpoint.schedule, fitted)
    print("\nhow far it strayed, a share of the source's own change at strength 1")
    print_table({name: measured(scale, tested) for name, scale in scales.items()})
    names = {curve.source for curve in tested}
    print("\nthe change itself, on the same sources")
    unscaled = [curve for curve in plain if curve.source in names]
    print_table({name: measured(scale, unscaled) for name, scale in scales.items()})
    for kind in dict.fromkeys(curve.kind for curve in curves):
        alike = [curve for curve in curves if curve.kind == kind]
        count = len({c.source for c in alike})
        print(f"\nhow far it strayed, all {count} of the kind {kind}, fitted on or not")
        some = ("calibrated, fitted", "schedule")
        print_table({name: measured(scales[name], alike) for name in some})
    from benchmarks.scale_plot import draw_panels

    panels = {
        f"{name}: how far it strayed against strength": [
            (curve.source, STRENGTHS, [curve.change_at(scale(s, curve)) for s in STRENGTHS])
            for curve in tested
        ]
        for name, scale in scales.items()
    }
    draw_panels(panels).save(asked.out / "strength-scale.png")
    if asked.write:
        write_constants(checkpoint.folder / "underpaint.json", fitted)


# --- rendering ------------------------------------------------------------------------------------


def curves_of(model: str | None, prompt: str, cache: Path, most: int | None) -> list[Curve]:
    """The curves of all sources; those of this very model that were rendered before are read."""
    engine = Engine(model)
    known: dict[str, Any] = json.loads(cache.read_text()) if cache.exists() else {}
    made_of = {"model": engine.checkpoint.sha256, "prompt": prompt}
    if any(known.get(name) != value for name, value in made_of.items()):
        known = {**made_of, "curves": {}}
    curves: list[Curve] = []
    for source, held_out in _halved(sources()[:most]):
        if source.name not in known["curves"]:
            known["curves"][source.name] = _rendered(engine, source, prompt)
            cache.write_text(json.dumps(known))
            print(f"{source.name}: rendered", flush=True)
        curves += _read(source.name, held_out, known["curves"][source.name])
    return curves


def _halved(everything: Sequence[Source]) -> Iterator[tuple[Source, bool]]:
    seen: dict[str, int] = {}
    for source in everything:
        seen[source.kind] = seen.get(source.kind, 0) + 1
        yield source, seen[source.kind] % 2 == 0


def _rendered(engine: Engine, source: Source, prompt: str) -> dict[str, Any]:
    picture = source.square(SIDE_PX)
    common: dict[str, Any] = {"source": picture, "prompt": prompt, "seed": SEED}
    common["guidance_scale"] = None if prompt else 1.0
    spectrum = engine.spectrum(Request(**common))
    changes = {
        str(steps): [
            _change(engine, Request(**common, strength=s, strength_scale="calibrated", steps=steps))
            for s in STRENGTHS
        ]
        for steps in STEP_COUNTS
    }
    schedule = engine.checkpoint.schedule
    times = [starting_point(schedule, s, spectrum)[1] for s in STRENGTHS]
    return {
        "kind": source.kind,
        "octaves": [asdict(octave) for octave in spectrum.octaves],
        "times": times,
        "log_ratios": [math.log(noise_ratio_at(spectrum, s)) for s in STRENGTHS[:-1]]
        + [PURE_NOISE],
        "changes": changes,
    }


def _change(engine: Engine, request: Request) -> float:
    found = engine.render(request).fidelity
    return 1 - (found.structure if found else 0.0)


def _read(name: str, held_out: bool, said: dict[str, Any]) -> list[Curve]:  # noqa: FBT001
    spectrum = Spectrum(tuple(Octave(**octave) for octave in said["octaves"]))
    times = (0.0, *said["times"])
    return [
        Curve(
            name,
            said["kind"],
            held_out,
            int(steps),
            spectrum,
            times,
            tuple(said["log_ratios"]),
            (0.0, *changes),
        )
        for steps, changes in said["changes"].items()
    ]


# --- the scales -----------------------------------------------------------------------------------


def all_scales(schedule: Schedule, fitted: Recovery) -> dict[str, Scale]:
    return {
        "calibrated, fitted": partial(calibrated_time, schedule, fitted),
        "calibrated, 8 and 0.7": partial(calibrated_time, schedule, Recovery(8.0, 0.7)),
        "calibrated, Wiener": partial(calibrated_time, schedule, Recovery(1.0, 1.0)),
        "schedule": lambda strength, _curve: strength,
        "diffusers": lambda strength, curve: diffusers_time(schedule, strength, curve.steps),
        "A1111": lambda strength, curve: a1111_time(strength, curve.steps),
    }


def calibrated_time(schedule: Schedule, recovery: Recovery, strength: float, curve: Curve) -> float:
    spectrum = Spectrum(curve.spectrum.octaves, recovery=recovery)
    return starting_point(schedule, strength, spectrum)[1]


def diffusers_time(schedule: Schedule, strength: float, steps: int) -> float:
    """Where its img2img pipelines begin, as a time: a whole number of steps of the whole schedule."""
    if isinstance(schedule, FlowSchedule):
        return (steps - int(max(steps - min(steps * strength, steps), 0))) / steps
    return min(int(steps * strength), steps) / steps


def a1111_time(strength: float, steps: int) -> float:
    """Where it begins: entry t_enc, from the end, of as many times from 1 to 0 as there are steps."""
    return int(min(strength, 0.999) * steps) / (steps - 1)


# --- fitting and measuring ------------------------------------------------------------------------


def fit(curves: Sequence[Curve]) -> Recovery:
    """The beta and p whose strengths tell the change best, by one straight line for all curves.

    A grid, because it is quick, has no starting point and cannot stick. What is fitted is what is
    measured afterwards: the change at each of the strengths.
    """
    best = max(
        (_r_squared(np.tile(STRENGTHS, len(curves)), _changes(curves, beta, p)), beta, p)
        for beta in BETAS.tolist()
        for p in POWERS.tolist()
    )
    return Recovery(best[1], best[2])


def _changes(curves: Sequence[Curve], beta: float, p: float) -> Floats:
    """Each curve's change at each of ``STRENGTHS`` on the scale with that beta and p."""
    return np.concatenate(
        [
            np.interp(STRENGTHS, (0.0, *_strengths(curve, beta, p)), curve.changes)
            for curve in curves
        ]
    )


def _strengths(curve: Curve, beta: float, p: float) -> Floats:
    """The strength of each rendered level on that scale."""
    energies = np.log([o.energy for o in curve.spectrum.octaves if o.counts])
    log_q = p * (np.log(beta) + energies - 2 * np.array(curve.log_ratios)[:, None])
    return np.asarray(1 - (1 / (1 + np.exp(-np.clip(log_q, -700, 700)))).mean(axis=1))


def _r_squared(x: Floats, y: Floats) -> float:
    return float(np.corrcoef(x, y)[0, 1] ** 2)


def measured(scale: Scale, curves: Sequence[Curve]) -> dict[str, float]:
    names, counts = sorted({c.source for c in curves}), sorted({c.steps for c in curves})
    table = np.zeros((len(names), len(counts), len(STRENGTHS)))
    for curve in curves:
        row = table[names.index(curve.source), counts.index(curve.steps)]
        row[:] = [curve.change_at(scale(s, curve)) for s in STRENGTHS]
    strengths = np.broadcast_to(STRENGTHS, table.shape)
    pooled = _r_squared(strengths.ravel(), table.ravel())
    return {
        "R2": pooled,
        "rank": _rank_correlation(strengths.ravel(), table.ravel()),
        "sources": float(table.std(axis=0).mean()),
        "steps": float(table.std(axis=1).mean()),
        "strengths": float(np.std([_strengths_of(row) for row in table[:, -1]], axis=0).mean()),
    }


def _strengths_of(changes: Floats) -> Floats:
    """The strength at which each of the equal changes is reached."""
    rising = np.maximum.accumulate([0.0, *changes])
    return np.asarray(np.interp(EQUAL_CHANGES, rising, [0.0, *STRENGTHS]))


def _rank_correlation(x: Floats, y: Floats) -> float:
    from scipy.stats import spearmanr

    return float(spearmanr(x, y).statistic)


def print_table(rows: dict[str, dict[str, float]]) -> None:
    heads = {
        "R2": "pooled R2",
        "rank": "rank corr.",
        "sources": "sources ±",
        "steps": "steps ±",
        "strengths": "strengths ±",
    }
    print(f"{'scale':24s} " + " ".join(f"{head:>11s}" for head in heads.values()))
    for name, row in rows.items():
        print(f"{name:24s} " + " ".join(f"{row[key]:11.3f}" for key in heads))


def write_constants(place: Path, fitted: Recovery) -> None:
    said = json.loads(place.read_text())
    said["recovery"] = {"beta": round(fitted.beta, 3), "p": round(fitted.p, 3)}
    place.write_text(json.dumps(said, indent=2) + "\n")
    print(f"wrote beta and p into {place}")


if __name__ == "__main__":
    main()
