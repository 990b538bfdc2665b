"""Kills renders at random moments and looks at what is left: whole pictures or nothing.

    python -m tests.surfaces.kill_check [--moments 20] [--signal KILL] [--seed 0]

A run of many small pictures is killed, so that moments fall into importing, painting and writing
alike; what is in its folder afterwards is opened and decoded to the last byte.
"""

import argparse
import random
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from PIL import Image

from tests.surfaces.conftest import command_line
from tests.tiny_checkpoint import make_tiny_checkpoint

PICTURES = 400


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--moments", type=int, default=20)
    parser.add_argument("--signal", choices=["KILL", "INT", "TERM"], default="KILL")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        model = make_tiny_checkpoint(Path(name) / "tiny")
        source = Path(name) / "source.png"
        Image.effect_noise((64, 48), 90).convert("RGB").save(source)
        chance = random.Random(options.seed)
        whole = 0
        for i in range(options.moments):
            folder = Path(name) / f"run-{i}"
            # Every other moment is counted from the first picture on: that is where writing is.
            after_first = i % 2 == 1
            delay_s = chance.uniform(0, 0.5 if after_first else 5)
            whole += killed(
                model,
                source,
                folder,
                delay_s=delay_s,
                after_first=after_first,
                number=signal.Signals[f"SIG{options.signal}"],
            )
    print(f"{options.moments} moments, {whole} whole pictures, nothing else left")  # noqa: T201


def killed(
    model: Path,
    source: Path,
    folder: Path,
    *,
    delay_s: float,
    after_first: bool,
    number: signal.Signals,
) -> int:
    """Runs and kills once; the number of whole pictures that are left.

    Raises:
        AssertionError: something else is left.
    """
    folder.mkdir()
    words = ["-m", model, "-n", "1", "--seed", "0", "--count", PICTURES, "-o", "out.png", "-q"]
    child = subprocess.Popen(
        command_line("render", source, "oil", *words), cwd=folder, stderr=subprocess.PIPE
    )
    while after_first and not any(folder.iterdir()) and child.poll() is None:
        time.sleep(0.002)
    time.sleep(delay_s)
    child.send_signal(number)
    _, said = child.communicate(timeout=60)
    assert b"Traceback" not in said, said.decode()
    if number is not signal.SIGKILL and child.returncode != 0:
        assert child.returncode in {130, -number}, (child.returncode, said.decode())
    for path in folder.iterdir():
        assert path.suffix == ".png", f"{path.name} was left"
        assert not path.name.startswith("."), f"{path.name} was left"
        with Image.open(path) as image:
            image.load()
        assert path.read_bytes().endswith(b"IEND\xaeB`\x82")
    return len(list(folder.iterdir()))


if __name__ == "__main__":
    main()
