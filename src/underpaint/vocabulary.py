"""The words that a small model was taught, and what to say where a prompt uses others."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from types import MappingProxyType

from underpaint.errors import Notice

LITTLE_WORDS = frozenset(
    [
        "a",
        "an",
        "and",
        "as",
        "at",
        "by",
        "for",
        "from",
        "in",
        "into",
        "is",
        "it",
        "its",
        "of",
        "on",
        "or",
        "the",
        "to",
        "with",
        "without",
        "very",
        "style",
    ]
)
MOST_NAMED = 4  # unknown words in one notice; a pasted prompt of a large model holds dozens
MOST_STRANGERS = 8  # beside known ones; captions name a handful of things
LIKENESS = 0.75  # of two spellings, difflib's ratio; below it the nearest word is a stranger
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")


@dataclass(frozen=True)
class Vocabulary:
    """What a model of few words knows; large models have none.

    Attributes:
        phrases: What may be said, the most useful first, such as ``"oil painting"``.
        near: Words that were not taught, and the phrase that comes nearest in meaning.
    """

    phrases: tuple[str, ...]
    near: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @cached_property
    def words(self) -> frozenset[str]:
        """Every single word of the phrases."""
        return frozenset(_WORD.findall(" ".join(self.phrases).lower()))

    def notices(self, prompt: str) -> tuple[Notice, ...]:
        """One notice about the words of ``prompt`` that were not taught, or none."""
        unknown = self._unknown(prompt)
        if not unknown:
            return ()
        named = "; ".join(self._about(word) for word in unknown[:MOST_NAMED])
        more = len(unknown) - MOST_NAMED
        rest = f"; and {more} more" if more > 0 else ""
        message = (
            f"this model was not taught some words of the prompt, which will change little: "
            f"{named}{rest}"
        )
        return (Notice("unknown-word", message),)

    def drowns_in(self, prompt: str) -> bool:
        """Whether words that were not taught are so many that those that were would hardly be heard."""
        return len(self._unknown(prompt)) > MOST_STRANGERS

    def heard(self, text: str) -> str:
        """What ``text`` says in known phrases, where some of its words were not taught: those would drown the others."""
        if not self._unknown(text):
            return text
        parts = (" ".join(self._in_phrases(_WORD.findall(part))) for part in text.split(","))
        return ", ".join(part for part in parts if part)

    def _in_phrases(self, words: Sequence[str]) -> Iterator[str]:
        """The words that belong to a phrase, the longest that begins with each."""
        said, begin = [word.lower() for word in words], 0
        longest = max(map(len, self._phrases), default=0)
        while begin < len(said):
            ends = range(min(begin + longest, len(said)), begin, -1)
            end = next((end for end in ends if tuple(said[begin:end]) in self._phrases), begin)
            yield from words[begin:end]
            begin = max(end, begin + 1)

    @cached_property
    def _phrases(self) -> frozenset[tuple[str, ...]]:
        return frozenset(tuple(_WORD.findall(phrase.lower())) for phrase in self.phrases)

    def _unknown(self, prompt: str) -> list[str]:
        """The words that were not taught, each once, in small letters."""
        said = dict.fromkeys(_WORD.findall(prompt.lower()))
        return [word for word in said if word not in self.words | LITTLE_WORDS]

    def _about(self, word: str) -> str:
        near = self.near.get(word)
        known = sorted(self.words - LITTLE_WORDS)
        close = [near] if near else get_close_matches(word, known, 2, LIKENESS)
        advice = f"nearest known: {', '.join(close)}" if close else "nothing near it is known"
        return f"{word!r} ({advice})"
