r"""What a person wrote for a CLIP text encoder: words, their weights, and where a new chunk begins.

The grammar is AUTOMATIC1111's (``modules/prompt_parser.py``, ``parse_prompt_attention``), which is
what people paste::

    (word)        weight x 1.1              [word]        weight / 1.1
    (word:1.3)    weight x 1.3              ((a) b:1.3)   nested weights multiply
    \( \) \[ \] \\    the character itself  BREAK         what follows starts a new chunk

Departures: a bracket without its partner is text, and said to be (there, an open one reaches to the
end); a single backslash before anything else is text (there it vanishes); BREAK works inside
brackets too; a weight outside 0...10 is refused. Prompts that change during a run, ``[cat:dog:0.5]``
and ``[cat|dog]``, are read as words, and said to be.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby

from underpaint.errors import Notice, RequestError

STEP = 1.1  # what one pair of brackets does; AUTOMATIC1111's
LARGEST_WEIGHT = (
    10.0  # pictures fall apart beyond 2; what lies above 10 is a ratio or a time of day
)

_NUMBER = r"(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)"
_MARK = re.compile(
    rf"""
    \\[\\()\[\]]                                 # an escaped character
    | :\s*+(?P<weight>[+-]?{_NUMBER})\s*+\)      # the end of (word:1.3)
    | [()\[\]]
    | \bBREAK\b
    """,
    re.VERBOSE,
)
_ENDS_IN_NUMBER = re.compile(rf":\s*+{_NUMBER}\s*+\]$")
_LONGEST_NUMBER = 40  # characters from the colon on; how far back one is looked for
_PARTNER = {")": "(", "]": "["}


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of words of one weight, spaces included.

    Attributes:
        text: The words, free of syntax; never empty.
        weight: 0...10; 1 leaves them as they are.
    """

    text: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class WeightedPrompt:
    """A prompt as it was meant.

    Attributes:
        sections: What stands between BREAKs; only a prompt without any words has an empty one.
        notices: What was taken for text although it looks like syntax.
    """

    sections: tuple[tuple[Piece, ...], ...]
    notices: tuple[Notice, ...] = ()

    @property
    def plain(self) -> str:
        """The words alone: no brackets, no weights, a space for each BREAK."""
        return " ".join("".join(piece.text for piece in section) for section in self.sections)


def parse(text: str) -> WeightedPrompt:
    """What ``text`` means in the grammar above; the time it takes grows with its length alone.

    Raises:
        RequestError: a weight, brackets multiplied, lies outside 0...10.
    """
    marks = list(_MARK.finditer(text))
    brackets = _paired(marks)
    sections = (tuple(_merged(section)) for section in _sections(text, marks, brackets))
    spoken = (section for section in sections if any(not piece.text.isspace() for piece in section))
    return WeightedPrompt(
        tuple(spoken) or ((),),
        (*_about_strays(text, brackets.strays), *_about_changes(text, brackets.squares)),
    )


@dataclass(frozen=True, slots=True)
class _Brackets:
    """Where brackets stand: what each pair multiplies by, from its opening; its ends; the rest."""

    factors: dict[int, float] = field(default_factory=dict[int, float])
    ends: set[int] = field(default_factory=set[int])
    squares: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    strays: list[int] = field(default_factory=list[int])


def _paired(marks: list[re.Match[str]]) -> _Brackets:
    found = _Brackets()
    opened: list[re.Match[str]] = []
    waiting = {"(": 0, "[": 0}
    for mark in marks:
        kind = mark[0][-1]
        if mark[0][0] == "\\" or kind not in "()[]":
            continue
        if kind in "([":
            opened.append(mark)
            waiting[kind] += 1
        elif not waiting[_PARTNER[kind]]:
            found.strays.append(mark.end() - 1)
        else:
            start = opened.pop()
            while start[0] != _PARTNER[kind]:
                waiting[start[0]] -= 1
                found.strays.append(start.start())
                start = opened.pop()
            waiting[start[0]] -= 1
            found.factors[start.start()] = _factor(mark)
            found.ends.add(mark.start())
            if kind == "]":
                found.squares.append((start.start(), mark.end()))
    found.strays.extend(one.start() for one in opened)
    return found


def _factor(end: re.Match[str]) -> float:
    if end["weight"] is not None:
        return float(end["weight"])
    return STEP if end[0] == ")" else 1 / STEP


def _sections(text: str, marks: list[re.Match[str]], brackets: _Brackets) -> Iterator[list[Piece]]:
    """The pieces of each section, in the order in which they stand."""
    section: list[Piece] = []
    weights = [1.0]
    end = 0
    for mark in marks:
        section += _said(text[end : mark.start()], weights[-1])
        end = mark.end()
        if mark[0] == "BREAK":
            yield section
            section = []
        elif mark.start() in brackets.factors:
            weights.append(weights[-1] * brackets.factors[mark.start()])
        elif mark.start() in brackets.ends:
            weights.pop()
        else:
            section += _said(mark[0].removeprefix("\\"), weights[-1])
    section += _said(text[end:], weights[-1])
    yield section


def _said(text: str, weight: float) -> Iterator[Piece]:
    if not 0 <= weight <= LARGEST_WEIGHT and text.strip():
        raise RequestError(
            f"the weight of {text.strip()[:60]!r} in the prompt comes to {weight:g}, and weights lie "
            rf"in [0, {LARGEST_WEIGHT:g}]; change it, or write \( and \) for brackets that are text"
        )
    if text:
        yield Piece(text, weight)


def _merged(pieces: list[Piece]) -> Iterator[Piece]:
    """Neighbours of one weight become one piece, so that their words are read together."""
    for weight, run in groupby(pieces, key=lambda piece: piece.weight):
        yield Piece("".join(piece.text for piece in run), weight)


def _about_strays(text: str, strays: list[int]) -> Iterator[Notice]:
    if strays:
        at = min(strays)
        message = (
            f"the bracket in {text[max(at - 20, 0) : at + 20]!r} has no partner and is read as text; "
            rf"close it, or write \{text[at]} to mean it"
        )
        yield Notice("bracket-alone", message)


def _about_changes(text: str, squares: list[tuple[int, int]]) -> Iterator[Notice]:
    for start, end in squares:
        tail = text[max(start, end - _LONGEST_NUMBER) : end]
        if "|" in text[start:end] or _ENDS_IN_NUMBER.search(tail):
            message = (
                f"{text[start:end][:60]!r} is read as words of less weight: a prompt does not change "
                "during a run, and only round brackets carry a number, as in (word:1.3)"
            )
            yield Notice("prompt-editing", message)
            return
