"""Underpaint: re-render a picture, from your own image instead of from noise.

    >>> import underpaint
    >>> result = underpaint.render("sketch.png", "oil painting", strength=0.6, seed=7)  # doctest: +SKIP
    >>> result.save("painting.png")  # doctest: +SKIP

The names below are imported when they are first used: ``import underpaint`` alone loads no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from underpaint.startup import collector_paused

if TYPE_CHECKING:
    from underpaint.engine import Engine
    from underpaint.errors import (
        Cancelled,
        InputError,
        ModelError,
        Notice,
        OutputError,
        PictureError,
        RecipeError,
        RequestError,
        UnderpaintError,
    )
    from underpaint.fidelity import Comparison, compare
    from underpaint.finding.calling import find
    from underpaint.finding.running import Found
    from underpaint.levels import Level
    from underpaint.plan import Plan
    from underpaint.recipe import Recipe
    from underpaint.refining.calling import Refined, refine
    from underpaint.rendering import render
    from underpaint.request import Request
    from underpaint.results import Finished, Planned, Result, Step
    from underpaint.sweeping.calling import sweep

_HOMES = {
    "errors": (
        "Cancelled",
        "InputError",
        "ModelError",
        "Notice",
        "OutputError",
        "PictureError",
        "RecipeError",
        "RequestError",
        "UnderpaintError",
    ),
    "engine": ("Engine",),
    "fidelity": ("Comparison", "compare"),
    "finding.calling": ("find",),
    "finding.running": ("Found",),
    "refining.calling": ("Refined", "refine"),
    "sweeping.calling": ("sweep",),
    "rendering": ("render",),
    "levels": ("Level",),
    "plan": ("Plan",),
    "recipe": ("Recipe",),
    "request": ("Request",),
    "results": ("Finished", "Planned", "Result", "Step"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Cancelled",
    "Comparison",
    "Engine",
    "Finished",
    "Found",
    "InputError",
    "Level",
    "ModelError",
    "Notice",
    "OutputError",
    "PictureError",
    "Plan",
    "Planned",
    "Recipe",
    "RecipeError",
    "Refined",
    "Request",
    "RequestError",
    "Result",
    "Step",
    "UnderpaintError",
    "compare",
    "find",
    "refine",
    "render",
    "sweep",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'underpaint' has no attribute {name!r}")
    with collector_paused():
        return getattr(import_module(f"underpaint.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return __all__
