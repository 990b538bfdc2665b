"""Being stopped: within one step, with nothing half-written, and with a word about it."""

import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import soft_picture
from tests.surfaces.conftest import command_line
from tests.surfaces.kill_check import killed

# A run of the command in which the network itself sends the signal in its third evaluation, and
# which tells how often it ran: what a hand on Ctrl-C does, at a known moment.
SCRIPT = """
import os, signal, sys
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from underpaint import cli
calls = []
plain = UNet2DConditionModel.forward
def forward(self, *inputs, **options):
    calls.append(1)
    if len(calls) == 3:
        os.kill(os.getpid(), signal.SIGINT)
    return plain(self, *inputs, **options)
UNet2DConditionModel.forward = forward
try:
    cli.main()
finally:
    print(len(calls), "calls", file=sys.stderr)
"""


# The same while a module is being looked for, so while others are being imported.
WHILE_IMPORTING = """
import os, signal, sys
module, moments = sys.argv.pop(1), [signal.SIGINT]
class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == module and moments:
            os.kill(os.getpid(), moments.pop())
sys.meta_path.insert(0, Finder)
from underpaint.cli import main
main()
"""


@pytest.mark.parametrize("module", ["underpaint.cli.application", "typer", "pydantic", "torch"])
@pytest.mark.parametrize("as_json", [False, True])
def test_ctrl_c_is_heard_from_the_first_import_on(
    folder: Path, scene: Path, tiny: Path, module: str, as_json: bool
) -> None:
    words = [module, "render", str(scene), "oil", "-m", str(tiny), "-n", "1"]
    done = subprocess.run(
        [sys.executable, "-c", WHILE_IMPORTING, *words, *["--json"] * as_json],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 130, done.stderr
    assert "cancelled" in (done.stdout if as_json else done.stderr)
    assert "Traceback" not in done.stderr
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("delay_s", [0.05, 0.3])
def test_ctrl_c_right_after_the_start_leaves_no_traceback(
    folder: Path, scene: Path, tiny: Path, delay_s: float
) -> None:
    # The clock runs from when Python itself has started, which takes long on a busy machine.
    script = "import underpaint\nprint()\nfrom underpaint.cli import main\nmain()"
    words = ["render", str(scene), "oil", "-m", str(tiny), "-n", "50", "--work-size", "900x900"]
    child = subprocess.Popen(
        [sys.executable, "-u", "-c", script, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert child.stdout is not None
    child.stdout.readline()
    time.sleep(delay_s)
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=60)
    assert (child.returncode, b"Traceback" in said) == (130, False), said.decode()
    assert list(folder.iterdir()) == []


@pytest.mark.slow
def test_ctrl_c_stops_within_one_step_and_leaves_nothing(
    folder: Path, scene: Path, tiny: Path
) -> None:
    words = ["render", str(scene), "oil", "-m", str(tiny), "-n", "50", "-o", "a.png"]
    for extra, said in [([], "error: cancelled"), (["--json"], "")]:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, *words, *extra],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 130, done.stderr
        assert "3 calls" in done.stderr
        assert said in done.stderr
        assert "Traceback" not in done.stderr
        assert ('"code": "cancelled"' in done.stdout) == bool(extra)
        assert list(folder.iterdir()) == []


@pytest.mark.slow
def test_on_a_terminal_progress_shows_the_steps_and_ctrl_c_ends_it(
    folder: Path, tiny: Path
) -> None:
    soft_picture(256, 256).save("large.png")
    words = ("render", "large.png", "oil", "-m", tiny, "-n", "1000", "--work-size", "native")
    terminal, other_end = pty.openpty()
    child = subprocess.Popen(
        command_line(*words, "-o", "a.png"),
        stdout=subprocess.PIPE,
        stderr=other_end,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    )
    os.close(other_end)
    seen = b""
    while not re.search(rb"\d/1000.*\d:\d\d:\d\d", seen):  # m of n, and the time that is left
        seen += os.read(terminal, 4096)
        assert child.poll() is None, seen.decode()
    assert b"loading the model" in seen
    assert b"painting" in seen
    begun = time.monotonic()
    child.send_signal(signal.SIGINT)
    assert child.wait(timeout=30) == 130
    assert time.monotonic() - begun < 5  # a step takes some 50 ms here
    os.close(terminal)
    assert child.stdout is not None
    assert child.stdout.read() == b""
    assert [path.name for path in folder.iterdir()] == ["large.png"]


@pytest.mark.slow
@pytest.mark.parametrize(("delay_s", "after_first"), [(1.0, False), (0.0, True), (0.21, True)])
def test_a_killed_run_leaves_whole_pictures_or_nothing(
    tmp_path: Path, scene: Path, tiny: Path, delay_s: float, after_first: bool
) -> None:
    killed(
        tiny,
        scene,
        tmp_path / "run",
        delay_s=delay_s,
        after_first=after_first,
        number=signal.SIGKILL,
    )
