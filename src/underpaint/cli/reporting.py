"""What the commands say: results on standard output, everything else on standard error."""

import json
import os
import sys
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from underpaint.errors import Notice, OutputError

if TYPE_CHECKING:
    from underpaint.planning import Resolved
    from underpaint.recipe import Recipe


def wants_json(arguments: Sequence[str]) -> bool:
    """Whether ``--json`` is among the options, which end at ``--``."""
    return "--json" in arguments[: (*arguments, "--").index("--")]


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a person looks at it; a stream that was closed before the start is None."""
    return stream is not None and stream.isatty()


def show_error(code: str, message: str, *, as_json: bool) -> None:
    """One sentence on standard error, or one object on standard output."""
    if as_json:
        show_json({"error": {"code": code, "message": message}})
    else:
        print(f"error: {printable(message)}", file=sys.stderr, flush=True)  # noqa: T201


def show_json(content: Mapping[str, Any]) -> None:
    """One object on one line of standard output."""
    _print(json.dumps(content))


def facts_of(made: "Recipe | Resolved") -> dict[str, Any]:
    """What programs are told about one picture, before it is made as after."""
    request, plan = made.request, made.plan
    return {
        "width": made.size.width,
        "height": made.size.height,
        "working_size": str(made.working_size),
        "seed": request.seed,
        "strength": request.strength,
        "strength_scale": request.strength_scale,
        "steps": plan.evaluations,
        "evaluations": plan.evaluations,
        "start": asdict(plan.start),
        "model": request.model,
        "sampler": request.sampler,
        "spacing": request.spacing,
        "guidance_scale": request.guidance_scale,
        "notices": [asdict(notice) for notice in plan.notices],
    }


def show_line(text: str) -> None:
    """One line of standard output, whatever is in the names that it tells.

    Raises:
        OutputError: nobody reads it any more, or the disk is full.
    """
    _print(printable(text).replace("\n", "\\n"))


def _print(text: str) -> None:
    with _writing():
        print(text, flush=True)  # noqa: T201


def write_to_standard_output(data: bytes) -> None:
    """All of a picture's bytes.

    Raises:
        OutputError: nobody reads them any more.
    """
    with _writing():
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


def show_notices(notices: Iterable[Notice]) -> None:
    """One line each on standard error."""
    for notice in notices:
        line = f"note: {printable(notice.message)} [{notice.code}]"
        print(line, file=sys.stderr, flush=True)  # noqa: T201


def show_pairs(pairs: Mapping[str, object]) -> None:
    """A table of two columns: folded to a terminal's width, or plain lines on a pipe."""
    shown = {name: printable(str(value)) for name, value in pairs.items()}
    if not is_terminal(sys.stdout):
        width = max(map(len, shown))
        for name, value in shown.items():
            _print(f"{name:<{width}}  " + value.replace("\n", f"\n{'':<{width}}  "))
        return
    from rich.console import Console  # noqa: PLC0415  wanted by few commands
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in shown.items():
        table.add_row(name, Text(value))
    Console().print(table)


def printable(text: str) -> str:
    """The text without what could steer a terminal: other people's prompts end up in files."""
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


class Meter(Protocol):
    """Shows how far a run is."""

    def begin(self, what: str, steps: int) -> None:
        """A picture of that many steps is next."""
        ...

    def advance(self, done: int) -> None:
        """So many of its steps are done."""
        ...


@dataclass(slots=True)
class _Silent:
    def begin(self, what: str, steps: int) -> None:
        del what, steps

    def advance(self, done: int) -> None:
        del done


@dataclass(slots=True)
class _Bar:
    progress: Any
    task: Any = field(default=None)

    def begin(self, what: str, steps: int) -> None:
        if self.task is not None:
            self.progress.remove_task(self.task)
        self.task = self.progress.add_task(what, total=steps or None)

    def advance(self, done: int) -> None:
        self.progress.update(self.task, completed=done)


@contextmanager
def progress(*, quiet: bool) -> Generator[Meter]:
    """A bar with the time that is left, where standard error is a terminal; else nothing."""
    if quiet or not is_terminal(sys.stderr):
        yield _Silent()
        return
    from rich.console import Console  # noqa: PLC0415  not needed on a pipe
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns,
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=is_terminal(sys.stdout),  # above the bar; a pipe or file gets its own
    ) as shown:
        yield _Bar(shown)


@contextmanager
def _writing() -> Generator[None]:
    """Whoever reads standard output may leave, and the disk that it goes to may be full."""
    try:
        yield
    except OSError as error:
        # What is left, and what Python would flush at its end, goes nowhere and says nothing about it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            message = "standard output was closed before everything was written"
        else:
            message = f"standard output cannot be written to: {error.strerror}; name another place"
        raise OutputError(message) from None
