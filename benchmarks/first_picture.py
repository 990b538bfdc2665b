"""How long a person waits: first picture, warm picture, --help; and the peak memory.

    python -m benchmarks.first_picture [--runs 3]

Everything that is compared runs in turn in one go, and medians with their range are printed, because
machines are noisy.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image

PROMPT = "oil painting, dramatic side light"
SIDE_PX = 512
SKETCH = Path(__file__).parent.parent / "examples" / "sketch.png"
IMPORTS = "import typer, rich, pydantic"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source.png"
        Image.open(SKETCH).convert("RGB").resize((SIDE_PX, SIDE_PX)).save(source)
        first_picture(source, runs)
        warm_picture(source, runs)
    help_against_its_imports(runs)


def first_picture(source: Path, runs: int) -> None:
    output = source.with_name("result.png")
    command = [sys.executable, "-m", "underpaint", "render", str(source), PROMPT, "--seed", "7"]
    command += ["--overwrite", "--quiet", "-o", str(output)]
    peaks: list[float] = []
    seconds = [_spawn(command, peaks) for _ in range(runs)]
    report("process start to written picture", seconds, "s")
    report("  its peak memory", peaks, "MB")


def warm_picture(source: Path, runs: int) -> None:
    from underpaint import Engine, Request

    engine = Engine()
    request = Request(source=source, prompt=PROMPT, seed=7)
    result = engine.render(request)
    seconds = [_timed(lambda: engine.render(request)) for _ in range(runs)]
    report(f"warm picture, {result.recipe.plan.evaluations} guided evaluations", seconds, "s")
    other = request.model_copy(update={"guidance_scale": 1.0})
    report(
        "  the same without guidance",
        [_timed(lambda: engine.render(other)) for _ in range(runs)],
        "s",
    )
    print(f"  built on: {json.dumps(result.recipe.to_dict()['build'], sort_keys=True)}")


def help_against_its_imports(runs: int) -> None:
    helped = [sys.executable, "-m", "underpaint", "--help"]
    bare = [sys.executable, "-c", IMPORTS]
    pairs = [(_spawn(helped), _spawn(bare)) for _ in range(2 * runs + 1)]
    report("underpaint --help", [a for a, _ in pairs], "s")
    report(f"  {IMPORTS}", [b for _, b in pairs], "s")
    report("  the difference", [a - b for a, b in pairs], "s")


def report(what: str, values: Sequence[float], unit: str) -> None:
    middle = statistics.median(values)
    print(f"{what:44s} {middle:8.2f} {unit}   ({min(values):.2f} to {max(values):.2f})", flush=True)


def _timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _spawn(command: list[str], peaks_mb: list[float] | None = None) -> float:
    begun = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {child.returncode}")
    if peaks_mb is not None:
        peaks_mb.append(_as_mb(usage))
    return time.perf_counter() - begun


def _as_mb(usage: resource.struct_rusage) -> float:
    return usage.ru_maxrss / 1024  # Linux counts kilobytes


if __name__ == "__main__":
    main()
