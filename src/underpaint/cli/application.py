"""The commands as one application: which there are, and what becomes of a failure.

A command's module is imported only when it is the one asked for, so ``underpaint --help`` answers
at once.
"""

import os
import traceback
from collections.abc import Sequence
from importlib import import_module

import typer

from underpaint.cli import BAD_INPUT, CANCELLED, DONE, OUR_FAULT, interrupted
from underpaint.cli.reporting import show_error, wants_json
from underpaint.errors import Cancelled, InputError, UnderpaintError, is_short_memory

COMMANDS = {
    "render": "Re-render a picture after a prompt.",
    "sweep": "Render a grid of strengths, prompts, seeds, … and compare them.",
    "find": "Find the strength that keeps so much of a source.",
    "refine": "Render pictures close to a result that nearly works.",
    "plan": "Show what render would do, and do nothing.",
    "compare": "Say how far a result strayed from its source.",
    "inspect": "Show how a picture was made.",
    "replay": "Render a picture again from its own recipe and compare.",
    "models": "List the models that are shipped, or inspect one on disk.",
    "version": "Show the versions that decide what a picture looks like.",
}


def run(arguments: Sequence[str]) -> int:
    """Runs one command and returns its exit code; every failure becomes one sentence.

    Raises:
        KeyboardInterrupt: the run was asked to stop.
    """
    arguments = ["version"] if arguments == ["--version"] else list(arguments) or ["--help"]
    as_json = wants_json(arguments)
    try:
        wanted = next((one for one in arguments if not one.startswith("-")), "")
        command = typer.main.get_command(_application(wanted))
        code = command.main(args=arguments, prog_name="underpaint", standalone_mode=False)
    except typer.TyperException as error:
        sentence = _one_line(error.format_message()).replace("Value error, ", "")
        if "unexpected extra argument" in sentence:
            sentence += (
                "; texts with spaces stand in quotes, and only one picture is taken at a time"
            )
        show_error("usage", sentence, as_json=as_json)
        return BAD_INPUT
    except (typer.Abort, Cancelled):
        raise KeyboardInterrupt from None
    except UnderpaintError as error:
        show_error(error.code, str(error), as_json=as_json)
        return BAD_INPUT if isinstance(error, InputError) else OUR_FAULT
    except Exception as error:  # noqa: BLE001  a person is shown a sentence, never a traceback
        if interrupted:  # a library turned the interrupt into an error of its own
            raise KeyboardInterrupt from None
        return _unforeseen(error, as_json=as_json)
    if code == CANCELLED:  # what typer makes of an interrupt
        raise KeyboardInterrupt
    return int(code or DONE)


def _application(wanted: str) -> typer.Typer:
    """The commands; only the wanted one has its options, the others their line in the help."""
    app = typer.Typer(
        name="underpaint",
        help="Re-render a picture: a diffusion that starts from your own image.",
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
    )
    for name, line in COMMANDS.items():
        if name == wanted:
            module = import_module(f"underpaint.cli.{name}")
            if hasattr(module, "group"):
                app.add_typer(module.group, name=name)
            else:
                app.command(name)(module.command)
        else:
            app.command(name, help=line)(_unasked)
    return app


def _unasked() -> None:
    """Stands in the help for a command that was not asked for."""


def _unforeseen(error: Exception, *, as_json: bool) -> int:
    if os.environ.get("UNDERPAINT_DEBUG"):
        traceback.print_exc()
    if is_short_memory(error):
        sentence = "there is not enough memory for this picture; choose a smaller --work-size"
        show_error("out-of-memory", sentence, as_json=as_json)
        return OUR_FAULT
    what = _one_line(f"{type(error).__name__}: {error}")[:300]
    sentence = (
        f"something went wrong inside Underpaint ({what}); please report it, and set "
        "UNDERPAINT_DEBUG=1 to see where"
    )
    show_error("internal", sentence, as_json=as_json)
    return OUR_FAULT


def _one_line(text: str) -> str:
    return " ".join(text.split())
