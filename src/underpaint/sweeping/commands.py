"""The command line that renders a request again; no torch."""

import os
import shlex
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from underpaint.geometry import Size
from underpaint.request import Request

_NOT_OPTIONS = frozenset({"source", "prompt", "count", "model", "parts"})

ON_WINDOWS = os.name == "nt"
Option = str | bool | Sequence[str] | None


def render_command(
    request: Request, *, source: str, output: str, more: Mapping[str, Option]
) -> str:
    """``underpaint render …`` for one picture, quoted for a POSIX shell, on Windows for its own two.

    What differs from the request's defaults is named, so a resolved request names everything that
    its model decided.

    Args:
        request: Of one picture.
        source: Its path, as the person who runs the command would type it.
        output: The file to write.
        more: Other options, by their flags: text, several of it, True for a flag alone, None or
            False for nothing.
    """
    words = [source, request.prompt]
    if any(word.startswith("-") for word in words):
        words = ["--", *words]
    options = [*_options(request)]
    for flag, value in more.items():
        if value is True:
            options.append(flag)
        elif value:
            several = [value] if isinstance(value, str) else value
            options += [_option(flag, one) for one in several]
    options.append(_option("-o", output))
    quoted = _joined(words)
    line = ["underpaint render", quoted, *options] if words[0] != "--" else [
        "underpaint render", *options, quoted
    ]  # fmt: skip
    return " ".join(line)


def _options(request: Request) -> Iterator[str]:
    for name, field in Request.model_fields.items():
        value = getattr(request, name)
        if name in _NOT_OPTIONS or value is None or value == field.default:
            continue
        yield _option("--" + name.replace("_", "-"), _typed(value))


def _typed(value: object) -> str:
    match value:
        case Size():
            return str(value)
        case tuple():
            return ":".join(repr(end) for end in cast("tuple[float, ...]", value))
        case float():
            return repr(value)
        case _:
            return str(value)


def _option(flag: str, value: str) -> str:
    """The flag and its value; one that starts with a dash would be taken for another flag."""
    if value.startswith("-"):
        return _joined([f"{flag}={value}"]) if flag.startswith("--") else f"{flag} ./{value}"
    return f"{flag} {_joined([value])}"


def _joined(words: Sequence[str]) -> str:
    """The words so that a shell takes each for one; cmd.exe knows no quotes but double ones."""
    return subprocess.list2cmdline(words) if ON_WINDOWS else shlex.join(words)
