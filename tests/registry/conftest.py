"""Small distributions, one module each, in a folder that a child process finds first."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Install = Callable[..., None]
RunPython = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def install(tmp_path: Path) -> Install:
    """Installs a distribution with one module and an entry point of the same name."""

    def install(
        name: str, module: str, source: str, *, entry_points: str | None = None, metadata: str = ""
    ) -> None:
        (tmp_path / f"{module}.py").write_text(source)
        info = tmp_path / f"{name.replace('-', '_')}-1.2.dist-info"
        info.mkdir()
        metadata = metadata or f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n"
        (info / "METADATA").write_text(metadata)
        text = f"[arbench]\n{module} = {module}\n" if entry_points is None else entry_points
        (info / "entry_points.txt").write_text(text)

    return install


@pytest.fixture
def python(tmp_path: Path) -> RunPython:
    """Runs Python with the temporary distributions first on its path."""

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("ARBENCH_")}
        path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
        return subprocess.run(
            [sys.executable, *arguments],
            env={**inherited, "PYTHONPATH": path, **variables},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run
