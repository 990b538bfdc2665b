"""Prints the measures of a Gesso.

python -m training.evaluate                          # everything at 512², about half an hour on two slow cores
python -m training.evaluate --size 256               # a sample, a few minutes
python -m training.evaluate --measure 2 5 --model DIR --json FILE
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging

from training.evaluate import (
    media,
    round_trip,
    side_light,
    sketches,
    speed,
    stock,
    structure,
    words,
)
from training.evaluate.setting import FULL_SIZE_PX, Data, Setting

ROOT = Path(__file__).parent.parent.parent
RELEASED = ROOT / "src" / "underpaint" / "models" / "gesso"
TITLES = {
    1: "Autoencoder round trip of photographs at 512²",
    2: "The medium that a classifier names",
    3: "Structure against strength",
    4: "Side light",
    5: "Words",
    6: "Speed and memory",
    7: "Stock diffusers",
    8: "Sketches rendered as photographs",
}
MEASURES = {
    1: round_trip,
    2: media,
    3: structure,
    4: side_light,
    5: words,
    6: speed,
    7: stock,
    8: sketches,
}


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--measure", type=int, nargs="+", choices=list(MEASURES), default=list(MEASURES)
    )
    parser.add_argument(
        "--size",
        type=int,
        default=FULL_SIZE_PX,
        help="pixels a side; below 512 only a sample of words is tried",
    )
    parser.add_argument("--model", type=Path, default=RELEASED)
    parser.add_argument(
        "--json", type=Path, help="where to write all that was found; measures that are there stay"
    )
    given = parser.parse_args()
    for library in (diffusers_logging, transformers_logging):
        library.set_verbosity_error()
        library.disable_progress_bar()
    setting = Setting(given.model.resolve(), given.size)
    print(f"# {given.model} at {given.size}²\n", flush=True)
    for number in given.measure:
        started_s = time.monotonic()
        found = MEASURES[number].measure(setting)
        if given.json:
            keep(given.json, number, found)
        print(f"## {number}. {TITLES[number]}\n")
        print("\n".join(MEASURES[number].lines(found)))
        print(f"\n({time.monotonic() - started_s:.0f} s)\n", flush=True)


def keep(path: Path, number: int, found: Data) -> None:
    """Writes one measure into the file beside what is there."""
    everything = json.loads(path.read_text()) if path.exists() else {}
    everything[str(number)] = found
    path.write_text(json.dumps(dict(sorted(everything.items())), indent=1) + "\n")


if __name__ == "__main__":
    main()
