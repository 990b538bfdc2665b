"""Makes Gesso from nothing: pictures, autoencoder, text encoder, denoiser, decoder, release. Every part resumes.

python -m training --run DIR --minutes 120 [--to DIR] [--gpu]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

AUTOENCODER_SHARE, COLOURS_SHARE, TEXTURES_SHARE, DECODER_SHARE = 0.03, 0.56, 0.19, 0.22
RELEASED = Path("src/underpaint/models/gesso")


def parts(
    run: Path, minutes: float, scenes: int, to: Path, *, gpu: bool = False
) -> list[list[str]]:
    """The commands in order, as arguments of `python -m`; one needs a GPU if `gpu`."""
    denoiser = "training.gpu" if gpu else "training.denoiser"
    colours = COLOURS_SHARE * minutes
    both = colours + TEXTURES_SHARE * minutes  # its time is counted in all
    pictures = ["--pictures", str(run / "pictures"), "--run", str(run)]
    return [
        [
            "training.pictures",
            "--out",
            str(run / "pictures"),
            "--count",
            str(scenes),
            "--processes",
            str(os.cpu_count() or 2),
        ],
        ["training.autoencoder", *pictures, "--minutes", str(AUTOENCODER_SHARE * minutes)],
        ["training.text", *pictures],
        [denoiser, *pictures, "--minutes", str(colours), "--practice", "colours"],
        [denoiser, *pictures, "--minutes", str(both), "--practice", "textures"],
        ["training.decoder", *pictures, "--minutes", str(DECODER_SHARE * minutes)],
        ["training.export", "--run", str(run), "--to", str(to)],
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--run", type=Path, required=True, help="folder for pictures, checkpoints and logs"
    )
    parser.add_argument(
        "--minutes",
        type=float,
        default=120,
        help="training time in all, without drawing the pictures",
    )
    parser.add_argument("--scenes", type=int, default=1000)
    parser.add_argument("--to", type=Path, default=RELEASED, help="where the release goes")
    parser.add_argument("--gpu", action="store_true", help="train the denoiser on a GPU")
    options = parser.parse_args()
    for part in parts(options.run, options.minutes, options.scenes, options.to, gpu=options.gpu):
        print("python -m", " ".join(part), flush=True)
        subprocess.run([sys.executable, "-m", *part], check=True)
