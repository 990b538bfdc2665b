"""Ways to run the command: in this process, where a start costs nothing, and as a real one."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from underpaint.cli import application


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one object on standard output."""
        (line,) = self.out.splitlines()
        return json.loads(line)


Run = Callable[..., Outcome]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line in this process."""

    def call(*arguments: object) -> Outcome:
        capsys.readouterr()
        code = application.run([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return Outcome(code, said.out, said.err)

    return call


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def process(*arguments: object, cwd: Path, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """Runs a command line as a process of its own."""
    return subprocess.run(
        command_line(*arguments), cwd=cwd, capture_output=True, check=False, timeout=300, **options
    )


def command_line(*arguments: object) -> list[str]:
    """The command line of a new process."""
    return [sys.executable, "-m", "underpaint", *map(os.fspath, map(str, arguments))]
