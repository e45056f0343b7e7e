"""What `make` says of a Python that does not fit, and which versions the distribution allows."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.mark.parametrize(
    ("script", "said"),
    [("echo 3.10; exit 1", "is Python 3.10."), ("exit 127", "is no Python here.")],
)
@pytest.mark.parametrize("target", ["run", "dist", "gpu"])
def test_a_python_that_does_not_fit_is_named_in_one_line(
    tmp_path: Path, target: str, script: str, said: str
) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    command = ["make", "--silent", f"PYTHON={python}", f"VENV={tmp_path / 'venv'}", target]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    lines = [line for line in done.stderr.splitlines() if not re.match(r"make(\[\d+])?: ", line)]
    assert done.returncode == 2
    assert lines == [
        f"{python} {said} arbench needs Python 3.11 or later; name one, as in "
        "`make PYTHON=python3.12 run`"
    ]
    assert not (tmp_path / "venv").exists()


def test_the_pinned_versions_are_allowed_and_every_bound_is_a_lowest_version() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if "==" in line)
    pinned = {re.sub("[-_.]+", "-", name).lower(): version for name, version in pins.items()}
    for requirement in map(Requirement, PROJECT["dependencies"]):
        name = re.sub("[-_.]+", "-", requirement.name).lower()
        assert requirement.specifier.contains(pinned[name]), requirement
        # torchvision's releases each name their torch.
        has_lowest = any(each.operator == ">=" for each in requirement.specifier)
        assert has_lowest != (name == "torchvision"), requirement
