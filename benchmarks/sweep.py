"""A sweep of eight strengths against eight img2img calls of diffusers, on the same weights.

    python -m benchmarks.sweep [--runs 3] [--side 256] [--steps 8]

Three ways make the same eight pictures in turn, so that what a machine does beside them falls on all
alike: ``underpaint.sweep``, with its sheet, page and comparisons; one pipeline of diffusers that stays
loaded, in this same process; and a process of diffusers for each picture, as eight calls of a script.
All load the same files, run the same sampler in float32, and write eight PNGs. Evaluations are counted at
the network and must be equal; diffusers is asked for as many steps as leaves that number at each strength.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from PIL import Image

from benchmarks.quiet import quieten
from underpaint.models import catalog
from underpaint.sweeping.calling import sweep

SKETCH = Path(__file__).parent.parent / "examples" / "sketch.png"
PROMPT, SEED, GUIDANCE = "oil painting", 7, 3.0
STRENGTHS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--one", type=float, metavar="STRENGTH", help=argparse.SUPPRESS)
    parser.add_argument("--source", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    quieten()
    if options.one is not None:  # a process of diffusers' for one picture
        with counted() as rows:
            _called(_pipeline(), options.source, options.one, options.steps)
        print(sum(rows))
        return
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source.png"
        sides = (options.side, options.side)
        Image.open(SKETCH).convert("RGB").resize(sides).save(source)
        ways = {
            "underpaint sweep, all that it writes": lambda run: _swept(
                source, Path(folder) / f"sweep-{run}", options.steps
            ),
            "diffusers, one pipeline kept loaded": lambda _: _kept_loaded(source, options.steps),
            "diffusers, a process each": lambda _: _process_each(source, options.steps),
        }
        seconds = measured(ways, options.runs, evaluations=len(STRENGTHS) * options.steps)
    report(seconds)


def measured(
    ways: dict[str, Callable[[int], int]], runs: int, *, evaluations: int
) -> dict[str, list[float]]:
    """Seconds of each way, interleaved; the first round only warms caches of the disk and of torch.

    A way returns the rows that it counted itself, in other processes.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for run in range(runs + 1):
        for name, way in ways.items():
            with counted() as rows:
                begun = time.perf_counter()
                elsewhere = way(run)
                took = time.perf_counter() - begun
            # a guided evaluation is two rows, in one call or in two
            made = sum(rows) + elsewhere
            if made != 2 * evaluations:
                raise SystemExit(f"{name}: {made} rows, and {2 * evaluations} were planned")
            if run:
                seconds[name].append(took)
    print(f"{evaluations} guided evaluations each, counted at the network; {runs} runs in turn")
    return seconds


def report(seconds: dict[str, list[float]]) -> None:
    own, *others = seconds
    for name, took in seconds.items():
        spread = f"({min(took):.1f} to {max(took):.1f})"
        print(f"{name:40s} {statistics.median(took):8.1f} s   {spread}")
    for name in others:
        ratios = [theirs / ours for ours, theirs in zip(seconds[own], seconds[name], strict=True)]
        spread = f"({min(ratios):.2f} to {max(ratios):.2f})"
        print(f"  {name:38s} {statistics.median(ratios):8.2f} x   {spread}")


@contextmanager
def counted() -> Iterator[list[int]]:
    """Rows of every call of the network, whoever makes it."""
    rows: list[int] = []
    plain = UNet2DConditionModel.forward

    def forward(self: Any, sample: torch.Tensor, *given: Any, **named: Any) -> Any:
        rows.append(sample.shape[0])
        return plain(self, sample, *given, **named)

    UNet2DConditionModel.forward = forward
    try:
        yield rows
    finally:
        UNet2DConditionModel.forward = plain


def _swept(source: Path, folder: Path, steps: int) -> int:
    sweep(
        source, PROMPT, folder, strength=STRENGTHS, steps=steps, seed=SEED, guidance_scale=GUIDANCE,
        precision="float32",
    )  # fmt: skip
    return 0


def _kept_loaded(source: Path, steps: int) -> int:
    pipeline = _pipeline()
    for strength in STRENGTHS:
        _called(pipeline, source, strength, steps)
    return 0


def _process_each(source: Path, steps: int) -> int:
    """The rows that the processes counted."""
    command = [sys.executable, "-m", "benchmarks.sweep", "--source", source, "--steps", str(steps)]
    rows = 0
    for strength in STRENGTHS:
        done = subprocess.run(
            [*command, "--one", str(strength)], capture_output=True, text=True, check=True
        )
        rows += int(done.stdout.splitlines()[-1])
    return rows


def _pipeline() -> Any:
    from diffusers import StableDiffusionImg2ImgPipeline

    folder = catalog.find("gesso").folder
    pipeline = StableDiffusionImg2ImgPipeline.from_pretrained(
        folder,
        dtype=torch.float32,
        local_files_only=True,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _called(pipeline: Any, source: Path, strength: float, steps: int) -> None:
    asked = next(n for n in range(steps, 1000) if min(int(n * strength), n) == steps)
    image = pipeline(
        PROMPT,
        image=Image.open(source).convert("RGB"),
        strength=strength,
        num_inference_steps=asked,  # of which int(asked * strength) run
        guidance_scale=GUIDANCE,
        generator=torch.Generator("cpu").manual_seed(SEED),
    ).images[0]
    image.save(source.with_name(f"diffusers-{strength}.png"))


if __name__ == "__main__":
    main()
