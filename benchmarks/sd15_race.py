"""The processes of ``benchmarks.compare_sd15``: which stay between rounds, what they are asked, what they tell."""

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageChops

from benchmarks.random_sd15 import PAIR
from benchmarks.sd15_painter import Measured, Opening, Task
from benchmarks.sd15_ways import Way
from underpaint.models.memory import free_memory

SKETCH = Path(__file__).parent.parent / "examples" / "sketch.png"
WARMING = 3  # evaluations of the picture that warms a process which was started anew
REFERENCE = "diffusers"  # whose pictures the others are compared with

# What a process holds beside its weights: the libraries, and a decoder at work on a pixel in float32.
LIBRARIES_BYTES = 10**9
DECODER_BYTES_A_PIXEL = 1500
MEMORY_SHARE = 0.85  # of what is free; the rest is for the system


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


class Race:
    """The ways' processes and what was measured of them; round 0 is the cold start.

    Attributes:
        records: By name, of the ways that ran.
        failures: By name, what became of the others.
        staying: The ways whose processes stay between rounds.
        spread: A round: the standard deviation of the reference picture's levels. Flat pictures are alike
            whatever computed them.
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
        self.spread: list[float] = []
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
        of_diffusers = self._folder / REFERENCE / picture
        self.spread.append(float(np.asarray(Image.open(of_diffusers)).std()))
        for name, record in self.records.items():
            record.psnr_db.append(psnr_db(of_diffusers, self._folder / name / picture))


def staying(
    ways: Sequence[Way], needs: Mapping[str, int], free_bytes: int | None
) -> frozenset[str]:
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
