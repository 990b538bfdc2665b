"""Every fenced example of README and docs runs; what stands under a command is found in its output."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[tuple[str, list[str]]]:
    """(page, its blocks of that language) for every page that has any; they run in one folder, in order."""
    found = [
        (
            page.relative_to(ROOT).as_posix(),
            [b for kind, b in FENCE.findall(page.read_text()) if kind == language],
        )
        for page in PAGES
    ]
    return [(page, texts) for page, texts in found if texts]


def commands(text: str) -> list[tuple[str, list[str]]]:
    """(command, the lines under it) of a console block."""
    steps: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            steps.append((line[2:], []))
        elif line.strip():
            steps[-1][1].append(line.strip())
    return steps


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "examples" / "sketch.png", tmp_path / "sketch.png")
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "texts"), blocks("console"), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_command_of_the_page_runs_and_prints_what_stands_under_it(
    page: str, texts: list[str], folder: Path
) -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    for text in texts:
        for command, expected in commands(text):
            run = subprocess.run(
                shlex.split(command), cwd=folder, env={**os.environ, "PATH": path},
                capture_output=True, text=True, timeout=300, check=False,
            )  # fmt: skip
            refused = "--mask" in command
            assert run.returncode == (2 if refused else 0), (page, command, run.stderr)
            for line in expected:
                assert line in run.stdout + run.stderr, (page, command)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "texts"), blocks("python"), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_python_example_of_the_page_runs(page: str, texts: list[str], folder: Path) -> None:
    for text in texts:
        run = subprocess.run(
            [sys.executable, "-c", text],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert run.returncode == 0, (page, text, run.stderr)


LINK = re.compile(r"\]\((?!https?:)([^)#]+)\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_local_link_leads_somewhere(page: Path) -> None:
    missing = [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()]
    assert not missing
