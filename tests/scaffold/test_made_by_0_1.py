"""Projects that arbench 0.1.0 wrote install and pass their own tests, unchanged."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Shell = Callable[..., subprocess.CompletedProcess[str]]

PROJECTS = Path(__file__).parent / "made_by_0_1"
# kind -> the name of what the project offers
NAMES = {"model": "above", "task": "bars", "head": "logistic"}
# A module that has moved -> what the one warning of whoever imports it says to write instead. The
# others that the projects import stayed where they were.
MOVED = {"arbench.experiment.tasks": "`from arbench import SPLITS, Split, SplitName, Task"}
# Imports a file as a stranger does, and says what arbench's own code warned of while it did.
LOOK = """
import json, runpy, sys, warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for file in sys.argv[1:]:
        runpy.run_path(file)
found = [str(w.message) for w in caught if issubclass(w.category, DeprecationWarning)]
print(json.dumps([text for text in found if "arbench" in text]))
"""


@pytest.fixture(scope="module", params=NAMES)
def kind(request: pytest.FixtureRequest) -> str:
    """What the project holds."""
    return str(request.param)


@pytest.fixture(scope="module")
def project(kind: str, shell: Shell, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project, installed in a folder `site` beside it, where no other one is."""
    folder = tmp_path_factory.mktemp(kind)
    copy = Path(shutil.copytree(PROJECTS / kind, folder / kind))
    site = folder / "site"
    done = shell(f"pip install --quiet --no-deps --no-build-isolation --target '{site}' '{copy}'")
    assert done.returncode == 0, done.stderr
    shutil.rmtree(copy / f"arbench_{NAMES[kind]}")  # what is tested is what is installed
    return copy


def imported(files: list[Path]) -> set[str]:
    """The modules of arbench that files import names from."""
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text()))]
    names = {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    names |= {a.name for node in nodes if isinstance(node, ast.Import) for a in node.names}
    return {name for name in names if re.match(r"arbench(\.|$)", name)}


def test_it_passes_its_own_tests(kind: str, project: Path, shell: Shell) -> None:
    paths = {"PYTHONPATH": str(project.parent / "site")}
    tested = shell(f"pytest '{project}' -q -p no:cacheprovider", **paths)
    assert tested.returncode == 0, tested.stdout
    assert " passed" in tested.stdout
    listed = json.loads(shell(f"arbench list {kind}s --json", **paths).stdout)[f"{kind}s"]
    offered = {row[kind]: row["plugin"] for row in listed}
    assert offered[NAMES[kind]] == f"arbench-{NAMES[kind]}"


def test_each_module_that_moved_warns_once(kind: str, project: Path, shell: Shell) -> None:
    files = [*(project.parent / "site" / f"arbench_{NAMES[kind]}").glob("*.py")]
    files += project.glob("tests/*.py")
    assert len(files) == 3
    (project / "look.py").write_text(LOOK)
    command = " ".join(f"'{file}'" for file in ["python", project / "look.py", *files])
    done = shell(command, PYTHONPATH=str(project.parent / "site"))
    assert done.returncode == 0, done.stderr
    warned = json.loads(done.stdout.splitlines()[-1])
    expected = imported(files) & MOVED.keys()
    assert len(warned) == len(expected), warned
    for module in expected:
        whole = rf"(?<![\w.]){re.escape(module)}(?!\.?\w)"
        (text,) = [text for text in warned if re.search(whole, text)]
        assert MOVED[module] in text
