"""The text that Stable Diffusion web UIs write into pictures, and read from them.

The format is AUTOMATIC1111's: the prompt; a line ``Negative prompt: …``; one last line of
``key: value`` pairs. It is taken as pairs only with three or more of them, and a value is a JSON
string if and only if it holds a comma, colon or newline.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

_NEGATIVE = "Negative prompt:"
_FEWEST_PAIRS = 3
_LONGEST_SETTINGS = 64_000  # characters; a line of fifty hashes has some 5,000
# modules/infotext_utils.py of the web UI: re_param_code. What is added there says that a key starts
# where its run of letters does, without which a long run is scanned anew from each of them.
_PAIR = re.compile(r'(?<![\w \-/])[ \-/]*+(\w[\w \-/]++):\s*("(?:\\.|[^\\"])++"|[^,]*)(?:,|$)')


@dataclass(frozen=True, slots=True)
class Infotext:
    """What such a text says.

    Attributes:
        prompt: What the picture should look like.
        negative_prompt: What it should not.
        settings: The last line's pairs, in their order, every value as text.
    """

    prompt: str
    negative_prompt: str = ""
    settings: Mapping[str, str] = field(default_factory=dict[str, str])


def write_infotext(text: Infotext) -> str:
    """The text; ``parse_infotext`` reads it back, but for spaces around a prompt's lines."""
    lines = [text.prompt]
    if text.negative_prompt:
        lines.append(f"{_NEGATIVE} {text.negative_prompt}")
    lines.append(", ".join(f"{key}: {_quoted(value)}" for key, value in text.settings.items()))
    return "\n".join(lines).strip()


def parse_infotext(text: str) -> Infotext:
    """What ``text`` says, read as the web UI reads it."""
    *lines, last = text.strip().split("\n")
    short = last if len(last) <= _LONGEST_SETTINGS else ""
    pairs = cast("list[tuple[str, str]]", _PAIR.findall(short))
    if len(pairs) < _FEWEST_PAIRS:
        lines, pairs = [*lines, last], []
    stripped = [line.strip() for line in lines]
    split = next((i for i, line in enumerate(stripped) if line.startswith(_NEGATIVE)), len(lines))
    negative = [line.removeprefix(_NEGATIVE).strip() for line in stripped[split:]]
    return Infotext(
        prompt="\n".join(stripped[:split]).strip(),
        negative_prompt="\n".join(negative).strip(),
        settings={key: _unquoted(value) for key, value in pairs},
    )


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False) if any(c in value for c in ",:\n") else value


def _unquoted(value: str) -> str:
    if not (len(value) > 1 and value[0] == value[-1] == '"'):
        return value.strip()
    try:
        return str(json.loads(value))
    except ValueError:
        return value
