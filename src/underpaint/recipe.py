"""Everything that made a picture, as data: it travels in the result's own metadata.

A recipe holds no time of day, no duration and no absolute path, so the same run writes the same
bytes, and the bytes can be made again from the recipe alone.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any, cast

from underpaint.errors import Notice, RecipeError
from underpaint.levels import Level
from underpaint.plan import Plan
from underpaint.request import Request


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """Which picture it was: its file name without folders (None for pixels), hash and size."""

    name: str | None
    sha256: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """Which model it was: name, family and one hash over all of its files."""

    name: str
    family: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Build:
    """What else decides the bytes: versions, instruction set, threads, precision, batching."""

    underpaint: str
    torch: str
    diffusers: str
    transformers: str
    numpy: str
    pillow: str
    instruction_set: str
    device: str
    precision: str
    threads: int
    rows_per_call: int
    compiled: bool = False


@dataclass(frozen=True, slots=True)
class Recipe:
    """One finished picture's making.

    Attributes:
        request: What was asked for, with every None resolved and count 1.
        plan: The start and the levels that ran, and every notice.
        source: Which picture it started from.
        model: Which model ran.
        build: On what it ran.
        working_size: The size it was rendered at, (width, height).
        size: The result's size, (width, height).
    """

    request: Request
    plan: Plan
    source: SourceFacts
    model: ModelFacts
    build: Build
    working_size: tuple[int, int]
    size: tuple[int, int]

    def to_json(self) -> str:
        """The recipe as one line of JSON with sorted keys: equal recipes give equal text."""
        content = {
            "recipe": 1,
            "request": self.request.model_dump(mode="json"),
            "plan": asdict(self.plan),
            "source": asdict(self.source),
            "model": asdict(self.model),
            "build": asdict(self.build),
            "working_size": self.working_size,
            "size": self.size,
        }
        return json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str, *, source: object = None) -> "Recipe":
        """The recipe that ``to_json`` wrote, its request pointing at ``source``.

        Raises:
            RecipeError: the text is no recipe, or one of a later version.
        """
        try:
            content = cast(dict[str, Any], json.loads(text))
            if content["recipe"] != 1:
                raise RecipeError(
                    f"the recipe is of version {content['recipe']}, and this build reads version 1"
                )
            plan = content["plan"]
            return cls(
                request=Request(source=source, **content["request"]),
                plan=Plan(
                    start=Level(**plan["start"]),
                    levels=tuple(Level(**level) for level in plan["levels"]),
                    evaluations=int(plan["evaluations"]),
                    notices=tuple(Notice(**notice) for notice in plan["notices"]),
                ),
                source=SourceFacts(**content["source"]),
                model=ModelFacts(**content["model"]),
                build=Build(**content["build"]),
                working_size=_pair(content["working_size"]),
                size=_pair(content["size"]),
            )
        except (ValueError, KeyError, TypeError, RecursionError) as problem:
            if isinstance(problem, RecipeError):
                raise
            raise RecipeError("the file's underpaint recipe is damaged and cannot be read") from None


def _pair(value: object) -> tuple[int, int]:
    width, height = cast(list[int], value)
    return int(width), int(height)
