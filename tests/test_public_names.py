"""The names of `arbench`: all there, explained, told to type checkers, and in the reference."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import arbench

ROOT = Path(__file__).parent.parent
NAMES = [name for name in arbench.__all__ if name != "__version__"]


def test_type_checkers_are_told_of_every_name_and_its_home() -> None:
    tree = ast.parse(Path(arbench.__file__).read_text())
    told = {
        alias.name: node.module
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert told == arbench._HOMES


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_what_its_home_has(name: str) -> None:
    found = getattr(arbench, name)
    home = arbench._HOMES[name]
    assert found is getattr(importlib.import_module(home), name)
    if inspect.isclass(found) or inspect.isfunction(found):
        assert f"{found.__module__}.".startswith(f"{home}."), "it is made elsewhere"
        assert found.__name__ == name
    assert name in dir(arbench)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_explained(name: str) -> None:
    """By its docstring, or by the one under the line that gives it its value."""
    found = getattr(arbench, name)
    if inspect.isclass(found) or inspect.isfunction(found) or isinstance(found, ModuleType):
        assert found.__doc__
        assert not found.__doc__.startswith(f"{name}("), "a dataclass explains itself so"
        return
    home = importlib.import_module(arbench._HOMES[name])
    assert home.__file__
    lines = ast.parse(Path(home.__file__).read_text()).body
    (below,) = (
        lines[place + 1]
        for place, line in enumerate(lines)
        if isinstance(line, ast.Assign | ast.AnnAssign)
        and re.match(rf"{name}\b", ast.unparse(line))
    )
    assert isinstance(below, ast.Expr)
    assert isinstance(below.value, ast.Constant)


def test_everything_can_be_imported_at_once() -> None:
    code = "from arbench import *\nimport arbench\nprint({*arbench.__all__} - {*globals()})"
    command = [sys.executable, "-W", "error::DeprecationWarning:arbench", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "set()", done.stderr


def test_a_name_that_is_not_there_is_missed_as_anywhere() -> None:
    with pytest.raises(AttributeError, match="module 'arbench' has no attribute 'Tsak'"):
        _ = arbench.Tsak


def test_the_reference_has_every_name_once_and_nothing_private() -> None:
    page = (ROOT / "docs" / "reference.md").read_text()
    shown = re.findall(r"^::: (\S+)$", page, re.MULTILINE)
    others = [name for name in shown if name.removeprefix("arbench.") not in NAMES]
    assert sorted(shown) == sorted([*(f"arbench.{name}" for name in NAMES), *others])
    assert {name.split(".")[1] for name in others} == {"testing", "networks", "art", "lm_eval"}


def test_every_name_that_a_text_imports_is_there() -> None:
    texts = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "tasks").rglob("*.md")]
    texts += [*(ROOT / "plugins").rglob("*.md"), *(ROOT / "arbench" / "scaffold").rglob("*.txt")]
    imports = [
        names
        for text in texts
        for names in re.findall(r"\bfrom arbench import (\w+(?:, \w+)*)", text.read_text())
    ]
    assert len(imports) > 10
    assert {name for names in imports for name in names.split(", ")} <= {*NAMES}


# What an author writes with the names, and on some lines what a type checker has to object to: were
# a name unknown to it, it would take the line for right.
WRITTEN = """
import arbench
import torch
from arbench import SPLITS, CommandEntry, Discrete, EventSpec, Head, HeadEntry, Layout, ModelEntry
from arbench import Real, SourceFile, Split, SplitName, Task, TaskEntry, fetch, hookimpl, uniforms
from torch import Tensor, nn


class Coins(Task):
    name = "coins"
    version = "1"
    spec = EventSpec((3,), Discrete(2))
    unit = "dim"
    source = "synthetic"

    def load(self, split: SplitName) -> Split:
        numbers = torch.from_numpy(uniforms(30, SPLITS.index(split))).view(10, 3)
        return Split((numbers < 0.5).to(torch.uint8))


class Wrong(Coins):
    def load(self, split: SplitName) -> Tensor:  # [override]
        return torch.zeros(1)


class Flat(Head):
    name = "flat"
    kind = "density"
    num_params = 0
    num_uniforms = 1

    def log_prob(self, params: Tensor, value: Tensor) -> Tensor:
        return torch.zeros(value.shape[:-1])

    def draw(self, params: Tensor, prepared: Tensor) -> Tensor:
        return prepared


class Network(nn.Module):
    def __init__(self, layout: Layout, num_params: int, *, hidden: int = 5) -> None:
        super().__init__()
        self.sites: str = layout.num_sites  # [assignment]


@hookimpl
def arbench_register_models() -> list[ModelEntry]:
    return [ModelEntry(name="a", network="a:Network", summary=3)]  # [arg-type]


def registered() -> tuple[TaskEntry, HeadEntry, CommandEntry]:
    task = TaskEntry(name="coins", task="a:Coins")
    return task, HeadEntry(name="flat", head="a:Flat"), CommandEntry(name="a", command="a:b")


def misused() -> None:
    fetch(SourceFile(path="a", urls=("b",), sha256=0))  # [arg-type]
    EventSpec((1,), Real()).tsak  # [attr-defined]
    run = arbench.run(task="mnist-mini", model="nade", epochs="one")  # [arg-type]
    run.record.tsak  # [attr-defined]
"""


def test_a_strict_type_checker_knows_what_an_author_writes(tmp_path: Path) -> None:
    pytest.importorskip("mypy", reason="install the extra `dev`")
    (tmp_path / "written.py").write_text(WRITTEN)
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(ROOT / ".mypy_cache")]
    done = subprocess.run(
        [*command, str(tmp_path / "written.py")], cwd=ROOT, capture_output=True, text=True
    )
    objected = re.findall(r"written\.py:(\d+): error: .*(\[[\w-]+\])$", done.stdout, re.MULTILINE)
    lines = enumerate(WRITTEN.splitlines(), start=1)
    meant = {(str(n), line.partition("# ")[2]) for n, line in lines if "  # [" in line}
    assert {*objected} == meant, done.stdout
