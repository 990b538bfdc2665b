"""The command ``underpaint``: builds a request, reads events, speaks to a terminal or a program.

Each command is a module here with a function ``command``. This one is what a process meets first,
and imports nothing that takes time: Ctrl-C is heard before the first long import.
"""

import os
import signal
import sys
import warnings
from io import TextIOWrapper
from types import FrameType
from typing import NoReturn

from underpaint.startup import collector_spared

DONE, OUR_FAULT, BAD_INPUT, CANCELLED = 0, 1, 2, 130


def main() -> NoReturn:
    """Runs the command of this process and ends it with its exit code."""
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    arguments = sys.argv[1:]
    try:
        with collector_spared():
            from underpaint.cli.application import run  # noqa: PLC0415  typer takes its time

            _make_room_for_our_own_words()
            code = run(arguments)
    except KeyboardInterrupt:
        from underpaint.cli.reporting import show_error, wants_json  # noqa: PLC0415  as above

        sentence = "cancelled; nothing half-written was left"
        show_error("cancelled", sentence, as_json=wants_json(arguments))
        code = CANCELLED
    sys.exit(code)


def _make_room_for_our_own_words() -> None:
    """Any text can be printed, and no library's warnings stand beside it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if not os.environ.get("UNDERPAINT_DEBUG"):
        warnings.simplefilter("ignore")


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    interrupted.append(True)
    raise KeyboardInterrupt


interrupted: list[bool] = []
"""Not empty once the process was asked to stop, should a library swallow the exception."""
