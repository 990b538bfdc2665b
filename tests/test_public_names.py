"""What ``import underpaint`` offers: a name that goes or comes is a decision, and changes this list."""

import subprocess
import sys

import underpaint

NAMES = [
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


def test_the_public_names_are_these() -> None:
    assert underpaint.__all__ == NAMES
    assert dir(underpaint) == NAMES


def test_every_public_name_leads_somewhere() -> None:
    for name in NAMES:
        assert getattr(underpaint, name).__name__ == name


def test_importing_underpaint_loads_nothing_heavy() -> None:
    script = "import sys, underpaint; print({'torch', 'numpy', 'pydantic'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
