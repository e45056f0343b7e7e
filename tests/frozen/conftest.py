"""What older versions of arbench left, and the command line to look at it with."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent

Frozen = Callable[[str], Path]
Shown = Callable[..., str]


@pytest.fixture
def frozen(tmp_path: Path) -> Frozen:
    """Copies a frozen folder, such as "v1/markov", since what reads it may write there too."""

    def copy(name: str) -> Path:
        target = tmp_path / name
        return target if target.exists() else Path(shutil.copytree(HERE / name, target))

    return copy


@pytest.fixture
def arbench_prints(capsys: pytest.CaptureFixture[str]) -> Shown:
    """Runs a command of `arbench` that must succeed, and returns its standard output."""
    (entry,) = entry_points(group="console_scripts", name="arbench")
    main = entry.load()

    def run(*arguments: str | Path) -> str:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert code == 0, err
        return str(out)

    return run


@pytest.fixture
def arbench_json(arbench_prints: Shown) -> Callable[..., Any]:
    """Runs a command of `arbench` that prints JSON, and returns what it says."""
    return lambda *arguments: json.loads(arbench_prints(*arguments))
