"""Measure 6: seconds and memory, in a process of its own.

python -m training.evaluate.speed MODEL      # prints JSON
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch

from training.evaluate.setting import Data, Setting, at_most, table

PROMPT, STRENGTH, TIMES = "oil painting", 0.6, 3


def measure(setting: Setting) -> Data:
    """Seconds of warm renders and the peak memory of a process that does nothing else."""
    command = [sys.executable, "-m", "training.evaluate.speed", str(setting.folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def clock(folder: Path) -> Data:
    """The same, in this process: `512`, `1024` (at the model's own working size) and `1024 native`, in seconds."""
    small, large = Setting(folder), Setting(folder, 1024)
    found: Data = {"threads": torch.get_num_threads()}
    source = small.sources["astronaut"]
    small.paint(source, PROMPT, strength=STRENGTH)
    found["512"] = statistics.median(timed(small, source) for _ in range(TIMES))
    found["peak_512_bytes"] = peak_bytes()
    found["1024 native"] = timed(large, large.sources["astronaut"])
    found["peak_bytes"] = peak_bytes()
    return found


def timed(setting: Setting, source: object) -> float:
    """Seconds for one render."""
    started_s = time.perf_counter()
    setting.paint(source, PROMPT, strength=STRENGTH)
    return time.perf_counter() - started_s


def peak_bytes() -> int:
    """The most memory that this process ever held."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def lines(found: Data) -> list[str]:
    """The figures, to read."""
    gigabytes = {key: found[key] / 1e9 for key in ("peak_512_bytes", "peak_bytes")}
    rows = [
        ["512 × 512", f"{found['512']:.2f}", f"{gigabytes['peak_512_bytes']:.2f}"],
        [
            "1024 × 1024, rendered at that size",
            f"{found['1024 native']:.2f}",
            f"{gigabytes['peak_bytes']:.2f}",
        ],
    ]
    return [
        f"Warm, default steps at strength {STRENGTH}, {found['threads']} threads; other work on the machine counts in.",
        "",
        *table(["picture", "seconds", "peak memory so far, GB"], rows),
        at_most("512², seconds", found["512"], 2.5),
        at_most("1024², seconds", found["1024 native"], 12.0),
        at_most("peak memory at 512², GB", gigabytes["peak_512_bytes"], 2.0),
        at_most("peak memory, GB", gigabytes["peak_bytes"], 2.0),
    ]


if __name__ == "__main__":
    print(json.dumps(clock(Path(sys.argv[1]))))
