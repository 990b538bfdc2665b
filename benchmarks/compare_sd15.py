"""Underpaint, diffusers and OpenVINO make the same pictures with one random SD 1.5, in turn, in one run.

    python -m benchmarks.compare_sd15 [--side 512] [--evaluations 12] [--runs 3] [--device auto]
        [--size full|tiny] [--ways underpaint,diffusers,…] [--checkpoint DIR] [--json FILE]

Strength 0.6, guidance 7.5, DDIM on the levels that both have, the same source, words and noise, the same
threads. Evaluations are counted at the network and must be equal. Each way has a process of its own, so
that its cold start (from the start of the process to its first picture) and its peak memory are its own.
A round asks each way for one picture; ratios are taken within a round, as is the share of the machine's
GEMM rate in the way's own numbers. No two rounds share a source, words or a seed, so Underpaint's caches
serve nothing. Where memory is too short for all processes at once, those that do not stay are started anew
in each round, warm up with a short picture, and are measured on the next.

Seconds of an evaluation are those inside the network; a picture's go from file to file. ``compiled`` ways
compile the UNet alone, whole, with ``freezing`` on CPUs; for Underpaint it is this benchmark that does it.
What this machine cannot run is listed with the reason;
``pip install openvino`` brings OpenVINO's way. Weights are random: speed can be judged by them,
quality cannot; the pictures are compared (PSNR) only to know that all compute the same.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageChops

from benchmarks.random_sd15 import PAIR, SIZES, evaluation_flops, kept_checkpoint
from benchmarks.sd15_painter import STRENGTH, Measured, Opening, Task, asked_steps
from benchmarks.sd15_ways import WAYS, Way, why_not_here
from underpaint.devices import describe, find_device, find_dtype
from underpaint.errors import UnderpaintError
from underpaint.models.memory import free_memory

SKETCH = Path(__file__).parent.parent / "examples" / "sketch.png"
KEPT = Path.home() / ".cache" / "underpaint-benchmarks"
SIDES = {"full": 512, "tiny": 64}
GEMM_SIDES = {"full": 4096, "tiny": 512}
WARMING = 3  # evaluations of the picture that warms a process which was started anew
REFERENCE = "diffusers"  # whose pictures the others are compared with
AGREEING_DB = (
    40  # of two float32 pictures, whose roundings differ; what is computed otherwise lies far below
)
TABLE_ENTRIES = 1000

# What a process holds beside its weights: the libraries, and a decoder at work on a pixel in float32.
LIBRARIES_BYTES = 10**9
DECODER_BYTES_A_PIXEL = 1500
MEMORY_SHARE = 0.85  # of what is free; the rest is for the system


@dataclass
class Record:
    """What was measured of one way; lists hold one value a round.

    Attributes:
        way: Which one.
        numbers: The numbers that it computed in.
        cold_s: From the start of its process to its first picture.
        rounds: What each picture took.
        gemm: Floating-point operations a second of the round's matrix product in its numbers.
        psnr_db: How alike its pictures and those of diffusers as it comes are.
    """

    way: Way
    numbers: str
    cold_s: float
    rounds: list[Measured] = field(default_factory=list)
    gemm: list[float] = field(default_factory=list)
    psnr_db: list[float] = field(default_factory=list)

    @property
    def evaluation_s(self) -> list[float]:
        """Seconds inside the network, a guided evaluation."""
        return [one.network_s / (sum(one.rows) / PAIR) for one in self.rounds]

    @property
    def picture_s(self) -> list[float]:
        """Seconds from file to file."""
        return [one.picture_s for one in self.rounds]


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
    if options.json:
        content = {**facts, "staying": sorted(race.staying), "not_run": missing}
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
    return tuple(known[name] for name in text.split(","))


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


# --- processes ------------------------------------------------------------------------------------


class WayFailedError(Exception):
    """What a way's process said instead of an answer, in a line."""


class Child:
    """A process of ``benchmarks.sd15_painter``; it lives until ``stop``, and does one thing at a time.

    Attributes:
        begun: When it was started, on ``time.perf_counter``.
    """

    def __init__(self, opening: Opening, folder: Path) -> None:
        """Starts it; what its libraries print and compile goes into ``folder``."""
        folder.mkdir(exist_ok=True)
        self._said = folder / "said.txt"
        environment = os.environ | {"TORCHINDUCTOR_CACHE_DIR": str(folder / "inductor")}
        command = [sys.executable, "-m", "benchmarks.sd15_painter", json.dumps(asdict(opening))]
        self.begun = time.perf_counter()
        with self._said.open("w") as said:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True,
                env=environment,
            )  # fmt: skip

    def ask(self, task: Task | None) -> Any:
        """What it answers to a task, or for None the GEMM rate.

        Raises:
            WayFailedError: it could not do it, or ended.
        """
        assert self._process.stdin is not None  # noqa: S101  both are pipes
        assert self._process.stdout is not None  # noqa: S101
        try:
            print(json.dumps(task and asdict(task)), file=self._process.stdin, flush=True)
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            last = (self._said.read_text("utf-8").splitlines() or ["it said nothing"])[-1]
            raise WayFailedError(f"its process ended with {self._process.wait()}: {last}")
        reply = json.loads(line)
        if "error" in reply:
            raise WayFailedError(reply["error"])
        return reply["answer"]

    def stop(self) -> None:
        """Ends the process, so that its memory is free."""
        self._process.communicate()


# --- rounds ---------------------------------------------------------------------------------------


class Race:
    """The ways' processes and what was measured of them; round 0 is the cold start.

    Attributes:
        records: By name, of the ways that ran.
        failures: By name, what became of the others.
        staying: The ways whose processes stay between rounds.
    """

    def __init__(self, setting: Opening, ways: Sequence[Way], side: int, folder: Path) -> None:
        """Decides which processes stay; none is started yet."""
        self._setting, self._side, self._folder = setting, side, folder
        self._evaluations, self._ways = 0, list(ways)
        device = torch.device(setting.device)
        self._numbers = {way.name: way.numbers(device) for way in ways}
        needs = {way.name: _needed_bytes(self._opening(way), side) for way in ways}
        self.staying = staying(ways, needs, free_memory())
        self.records: dict[str, Record] = {}
        self.failures: dict[str, str] = {}
        self._children: dict[str, Child] = {}

    def cold(self, evaluations: int) -> None:
        """Starts every way, one after the other, and has each paint its first picture."""
        self._evaluations = evaluations
        self._save_source(0)
        for way in self._ways:
            try:
                child = self._start(way)
                self._answer(way, self._task(way, 0, evaluations))
                took = time.perf_counter() - child.begun
                self.records[way.name] = Record(way, self._numbers[way.name], took)
            except WayFailedError as problem:
                self.failures[way.name] = str(problem)
            self._leave(way)

    def round(self, number: int) -> None:
        """One picture of each way, and the GEMM rate in each one's numbers."""
        self._save_source(number)
        rates = {one: self._gemm_rate(one) for one in sorted(set(self._numbers.values()))}
        for way in self._ways:
            if way.name in self.failures:
                continue
            try:
                if way.name not in self._children:
                    self._start(way)  # with words, seed and source that are not measured
                    self._answer(way, self._task(way, 0, WARMING))
                measured = self._answer(way, self._task(way, number, self._evaluations))
            except WayFailedError as problem:
                self.failures[way.name] = str(problem)
                del self.records[way.name]
            else:
                record = self.records[way.name]
                record.rounds.append(measured)
                record.gemm.append(rates[record.numbers])
            self._leave(way)
        self._compare(number)

    def stop(self) -> None:
        """Ends every process."""
        for child in self._children.values():
            child.stop()

    def _opening(self, way: Way) -> Opening:
        return replace(
            self._setting, library=way.library, precision=self._numbers[way.name],
            channels_last=way.channels_last, compiled=way.compiled,
        )  # fmt: skip

    def _start(self, way: Way) -> Child:
        child = Child(self._opening(way), self._folder / way.name)
        self._children[way.name] = child
        return child

    def _leave(self, way: Way) -> None:
        if way.name not in self.staying:
            self._children.pop(way.name).stop()

    def _answer(self, way: Way, task: Task) -> Measured:
        measured = Measured(**self._children[way.name].ask(task))
        if sum(measured.rows) != PAIR * task.evaluations:
            raise SystemExit(
                f"{way.name}: {sum(measured.rows)} rows, and {PAIR * task.evaluations} were planned"
            )
        return measured

    def _gemm_rate(self, numbers: str) -> float:
        name = f"gemm in {numbers}"
        if name not in self._children:
            opening = replace(self._setting, library="gemm", precision=numbers)
            self._children[name] = Child(opening, self._folder / name)
        try:
            return self._children[name].ask(None)
        except WayFailedError as problem:
            raise SystemExit(f"{name}: {problem}") from None

    def _task(self, way: Way, number: int, evaluations: int) -> Task:
        output = self._folder / way.name / f"{number}-{evaluations}.png"
        output.unlink(missing_ok=True)
        return Task(
            str(self._source(number)), str(output), f"oil painting {number}", number, evaluations
        )

    def _source(self, number: int) -> Path:
        return self._folder / f"source-{number}.png"

    def _save_source(self, number: int) -> None:
        """The sketch, moved on with each round, so that no picture has been seen before."""
        sides = (self._side, self._side)
        whole = Image.open(SKETCH).convert("RGB").resize(sides)
        ImageChops.offset(whole, 8 * number).save(self._source(number))

    def _compare(self, number: int) -> None:
        """Puts down how alike the round's pictures are to the one of diffusers as it comes."""
        if REFERENCE not in self.records:
            return
        picture = f"{number}-{self._evaluations}.png"
        for name, record in self.records.items():
            of_diffusers = self._folder / REFERENCE / picture
            record.psnr_db.append(psnr_db(of_diffusers, self._folder / name / picture))


def staying(ways: Sequence[Way], needs: dict[str, int], free_bytes: int | None) -> frozenset[str]:
    """The ways whose processes stay between rounds: all, where memory has room for them.

    Else those that take longest to start, compiled ones first, as long as the largest of the others
    still fits beside them.

    Args:
        ways: All that run.
        needs: Bytes that each takes, by its name.
        free_bytes: Bytes that are free; None where that is unknown, and then none stays.
    """
    if free_bytes is None:
        return frozenset()
    room = MEMORY_SHARE * free_bytes
    order = sorted(ways, key=lambda way: (way.library != "openvino", not way.compiled))
    kept: list[str] = []
    for way in order:
        together = [*kept, way.name]
        others = [needs[one.name] for one in ways if one.name not in together]
        if sum(needs[name] for name in together) + max(others, default=0) <= room:
            kept = together
    return frozenset(kept)


def _needed_bytes(opening: Opening, side: int) -> int:
    """About what a process takes."""
    weights = sum(file.stat().st_size for file in Path(opening.checkpoint).rglob("*.safetensors"))
    # Compiled code holds the weights once more, and OpenVINO converts them from float32.
    copies = 2 if opening.compiled or opening.library == "openvino" else 1
    share = 1 if opening.library == "openvino" else opening.dtype.itemsize / 4
    return int(LIBRARIES_BYTES + share * (copies * weights + DECODER_BYTES_A_PIXEL * side * side))


def psnr_db(one: Path, other: Path) -> float:
    """How alike two pictures are, in dB of 255; infinite where they are equal."""
    first, second = (np.asarray(Image.open(path), dtype=np.float64) for path in (one, other))
    error = float(np.mean((first - second) ** 2))
    return 10 * math.log10(255**2 / error) if error else math.inf


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
        f"{facts['size']} SD 1.5, {facts['side']}x{facts['side']}, strength {STRENGTH}, "
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
