"""What Underpaint says to a person: refusals and notices.

The exception tree::

    UnderpaintError
    ├── InputError            what was given cannot be used (exit code 2; also a ValueError)
    │   ├── RequestError      a parameter
    │   ├── PictureError      a source that cannot be read
    │   ├── OutputError       a place or format to write to
    │   ├── ModelError        a checkpoint
    │   └── RecipeError       metadata that is missing or not ours
    └── Cancelled             the run was asked to stop (exit code 130)

Every message is one sentence: what was given, what is allowed, what to do.
"""

from dataclasses import dataclass


class UnderpaintError(Exception):
    """Base of everything that Underpaint raises on purpose."""

    code: str = "error"


class InputError(UnderpaintError, ValueError):
    """What was given cannot be used; the message says what can."""

    code = "bad-input"


class RequestError(InputError):
    """A parameter lies outside what is allowed."""

    code = "bad-request"


class PictureError(InputError):
    """A source picture is missing, damaged, too large or of a kind that is not read."""

    code = "bad-picture"


class OutputError(InputError):
    """The result cannot be written there, or not in that format."""

    code = "bad-output"


class ModelError(InputError):
    """A checkpoint is missing, unsafe, incomplete or of an unknown family."""

    code = "bad-model"


class RecipeError(InputError):
    """A file carries no recipe, or one that cannot be read."""

    code = "no-recipe"


class Cancelled(UnderpaintError):
    """The run was cancelled between two network calls; pictures finished before are whole."""

    code = "cancelled"


@dataclass(frozen=True, slots=True)
class Notice:
    """Something a person should know about what was decided for them.

    Attributes:
        code: A stable name for programs, such as ``source-lost``; docs/notices.md lists them.
        message: One sentence for people.
    """

    code: str
    message: str


# What torch's allocators say, on the CPU and on GPUs.
_SHORT_MEMORY = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "os error 1455",  # Windows' paging file, in whatever language
)


def is_short_memory(error: BaseException) -> bool:
    """Whether that is what an error says, whichever library raised it."""
    return isinstance(error, MemoryError) or any(words in str(error) for words in _SHORT_MEMORY)
