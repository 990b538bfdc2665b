"""Underpaint, diffusers and OpenVINO make the same pictures with one random SD 1.5, in turn, in one run.

    python -m benchmarks.compare_sd15 [--side 512] [--evaluations 12] [--runs 3] [--device auto]
        [--size full|tiny|xl] [--ways underpaint,diffusers,…] [--checkpoint DIR] [--json FILE]

Strength 0.6, guidance 7.5, DDIM on the levels that both have, the same source, words and noise, the same
threads. Evaluations are counted at the network and must be equal. Each way has a process of its own, so
that its cold start (from the start of the process to its first picture) and its peak memory are its own.
A round asks each way for one picture; ratios are taken within a round, as is the share of the machine's
GEMM rate in the way's own numbers. No two rounds share a source, words or a seed, so Underpaint's caches
serve nothing. Where memory is too short for all processes at once, those that do not stay are started anew
in each round, warm up with a short picture, and are measured on the next.

Seconds of an evaluation are those inside the network; a picture's go from file to file. ``compiled`` ways
compile the UNet alone, whole, with ``freezing`` on CPUs; for Underpaint it is this benchmark that does it.
What this machine cannot run is listed with the reason; ``pip install openvino`` brings OpenVINO's ways.
``--size xl`` compares with SDXL instead, in which OpenVINO has no way.
Weights are random: speed can be judged by them, quality cannot; pictures are compared (PSNR) only to know
that all compute the same.
"""

import argparse
import json
import math
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from benchmarks.random_sd15 import PAIR, SIZES, evaluation_flops, kept_checkpoint
from benchmarks.sd15_painter import STRENGTH, Opening, asked_steps
from benchmarks.sd15_race import REFERENCE, Race, Record
from benchmarks.sd15_ways import WAYS, Way, why_not_here
from underpaint.devices import describe, find_device, find_dtype
from underpaint.errors import UnderpaintError

KEPT = Path.home() / ".cache" / "underpaint-benchmarks"
SIDES = {"full": 512, "tiny": 64, "xl": 512}
GEMM_SIDES = {"full": 4096, "tiny": 512, "xl": 4096}
# Two float32 pictures differ by rounding alone; one that is computed otherwise lies far below.
AGREEING_DB = 40
TABLE_ENTRIES = 1000  # of the schedule


def main() -> None:
    options = options_of(sys.argv[1:])
    device = find_device(options.device)
    reasons = {way.name: why_not_here(way, device) for way in options.ways}
    ways = [way for way in options.ways if reasons[way.name] is None]
    missing = {name: f"not here: {why}" for name, why in reasons.items() if why}
    checkpoint = kept_checkpoint(options.checkpoint, options.size)
    flops = evaluation_flops(checkpoint, options.side)
    gemm_side = GEMM_SIDES[options.size]
    setting = Opening("", "", False, False, str(checkpoint), str(device), gemm_side)  # noqa: FBT003
    facts = _facts(options, device, flops)
    with tempfile.TemporaryDirectory() as folder:
        race = Race(setting, ways, options.side, Path(folder))
        _introduce(facts, [way.name for way in ways if way.name not in race.staying])
        try:
            race.cold(options.evaluations)
            for number in range(1, options.runs + 1):
                race.round(number)
        finally:
            race.stop()
    missing |= {name: f"failed: {why}" for name, why in race.failures.items()}
    report(race.records, missing, flops)
    if race.spread:
        print(
            f"PSNR is against {REFERENCE}, whose pictures' levels have a standard deviation of "
            f"{min(race.spread):.0f} or more"
        )
    if options.json:
        content = {
            **facts,
            "staying": sorted(race.staying),
            "not_run": missing,
            "spread": race.spread,
        }
        content["ways"] = {name: _as_json(record) for name, record in race.records.items()}
        options.json.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
    _check(race)


# --- options --------------------------------------------------------------------------------------


def options_of(arguments: Sequence[str]) -> argparse.Namespace:
    """What was asked for, with its defaults; ends in a sentence where that cannot be compared."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, help="pixels; 512, tiny 64")
    parser.add_argument("--evaluations", type=_evaluations, default=12)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--size", choices=SIZES, default="full", help="of the network")
    parser.add_argument("--ways", type=_ways, default=WAYS, help="names with commas; all")
    parser.add_argument("--checkpoint", type=Path, default=KEPT, help="where it is kept")
    parser.add_argument("--json", type=Path, metavar="FILE", help="every figure of every round")
    options = parser.parse_args(arguments)
    options.side = options.side or SIDES[options.size]
    if options.side < 64 or options.side % 64:
        parser.error(
            f"--side must be a multiple of 64, got {options.side}; the UNet's multiple is 64"
        )
    if options.runs < 1:
        parser.error(f"--runs must be at least 1, got {options.runs}; medians need 3")
    return options


def _ways(text: str) -> tuple[Way, ...]:
    known = {way.name: way for way in WAYS}
    if unknown := [name for name in text.split(",") if name not in known]:
        raise argparse.ArgumentTypeError(
            f"{unknown[0]!r} is no way; the ways are {', '.join(known)}"
        )
    return tuple(known[name] for name in dict.fromkeys(text.split(",")))


def _evaluations(text: str) -> int:
    """A count for which both libraries walk the same levels: whole steps of a table of 1000."""
    fitting = [n for n in range(1, 101) if _levels_are_shared(n)]
    if not text.isdecimal() or int(text) not in fitting:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no count for which diffusers starts at strength {STRENGTH} exactly; use one "
            f"of {', '.join(map(str, fitting))}"
        )
    return int(text)


def _levels_are_shared(evaluations: int) -> bool:
    steps = asked_steps(evaluations)
    return TABLE_ENTRIES % steps == 0 and math.isclose(steps * STRENGTH, evaluations)


# --- what is told ---------------------------------------------------------------------------------


def _facts(options: argparse.Namespace, device: torch.device, flops: int) -> dict[str, Any]:
    """What is the same for all ways."""
    build = asdict(describe(device, find_dtype("auto", device), rows_per_call=1))
    for of_each_way in ("precision", "compiled", "rows_per_call"):
        del build[of_each_way]
    asked = {name: getattr(options, name) for name in ("size", "side", "evaluations", "runs")}
    return {"build": build, **asked, "strength": STRENGTH, "evaluation_flops": flops}


def _introduce(facts: dict[str, Any], anew: Sequence[str]) -> None:
    print(f"built on: {json.dumps(facts['build'], sort_keys=True)}")
    print(
        f"{'full SDXL' if facts['size'] == 'xl' else facts['size'] + ' SD 1.5'}, {facts['side']}x{facts['side']}, strength {STRENGTH}, "
        f"{facts['evaluations']} guided evaluations of {facts['evaluation_flops'] / 1e12:.4g} TFLOP each, "
        f"counted at the network and equal for all; medians (and ranges) of {facts['runs']} rounds in turn"
    )
    if anew:
        print(f"started anew in each round, because memory is short: {', '.join(anew)}")
    sys.stdout.flush()


COLUMNS: Mapping[str, int] = {
    "way": 24, "numbers": 9, "s/evaluation": 24, "ratio": 22, "s/picture": 24, "ratio ": 22, "cold s": 7,
    "peak GB": 10, "of GEMM": 8, "PSNR dB": 8,
}  # fmt: skip


def report(records: Mapping[str, Record], missing: Mapping[str, str], flops: int) -> None:
    """One line a way: what it took, and how many times what the first that ran took; or why it is not here."""
    _print_line(list(COLUMNS))
    own = next(iter(records.values()), None)
    for name, record in records.items():
        assert own is not None  # noqa: S101  there is a record
        _print_line([
            name, record.numbers,
            _spread(record.evaluation_s), _ratios(record.evaluation_s, own.evaluation_s),
            _spread(record.picture_s), _ratios(record.picture_s, own.picture_s),
            f"{record.cold_s:.1f}", _peak(record), f"{statistics.median(_shares(record, flops)):.0%}",
            _least(record.psnr_db),
        ])  # fmt: skip
    for name, why in missing.items():
        print(f"{name:24s} {why}")
    for name, record in records.items():
        print(f"  {name}: {record.way.about}, {record.numbers}")


def _print_line(cells: Sequence[str]) -> None:
    name, *figures = (
        f"{cell.strip():>{width}s}" for cell, width in zip(cells, COLUMNS.values(), strict=True)
    )
    print(f"{name.strip():{COLUMNS['way']}s}" + " ".join(figures))


def _shares(record: Record, flops: int) -> list[float]:
    """What part of the round's GEMM rate each round's evaluations reached."""
    return [
        flops / took / rate for took, rate in zip(record.evaluation_s, record.gemm, strict=True)
    ]


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.3g} ({min(values):.3g} to {max(values):.3g})"


def _ratios(theirs: Sequence[float], ours: Sequence[float]) -> str:
    return _spread([one / other for one, other in zip(theirs, ours, strict=True)])


def _peak(record: Record) -> str:
    last = max(record.rounds, key=lambda one: one.peak_bytes)
    on_gpu = f"+{last.gpu_peak_bytes / 1e9:.2f}" if last.gpu_peak_bytes else ""
    return f"{last.peak_bytes / 1e9:.2f}{on_gpu}"


def _least(psnr: Sequence[float]) -> str:
    if not psnr:
        return "-"
    return "equal" if math.isinf(min(psnr)) else f"{min(psnr):.1f}"


def _as_json(record: Record) -> dict[str, Any]:
    """Every figure; a PSNR of null is that of equal pictures."""
    return {
        "about": record.way.about,
        "numbers": record.numbers,
        "cold_s": record.cold_s,
        "evaluations": [sum(one.rows) // PAIR for one in record.rounds],
        "evaluation_s": record.evaluation_s,
        "picture_s": record.picture_s,
        "peak_bytes": max(one.peak_bytes for one in record.rounds),
        "gpu_peak_bytes": max(one.gpu_peak_bytes for one in record.rounds),
        "gemm_flops": record.gemm,
        "psnr_db": [one if math.isfinite(one) else None for one in record.psnr_db],
    }


def _check(race: Race) -> None:
    """Ends the run as failed where a way broke down or float32 pictures are not the same."""
    if race.failures:
        raise SystemExit(f"failed: {', '.join(race.failures)}; the table tells why")
    for name, record in race.records.items():
        if record.numbers == "float32" and record.psnr_db and min(record.psnr_db) < AGREEING_DB:
            raise SystemExit(
                f"in float32 {name} and {REFERENCE} agree to {min(record.psnr_db):.1f} dB, and at least "
                f"{AGREEING_DB} are wanted; they do not compute the same picture"
            )


if __name__ == "__main__":
    try:
        main()
    except UnderpaintError as problem:
        raise SystemExit(str(problem)) from None
