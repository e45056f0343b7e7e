"""`scripts/trace_run.py` counts what it says that it counts, and functions stay short."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "scripts" / "trace_run.py"
TOY = ["--task", "toy-markov", "--model", "bernoulli", "--limit", "20", "--epochs", "1"]
LONGEST = 60  # lines of a function
# Functions, files and changes of file of `arbench run --task mnist --model nade`: what a stranger
# walks through. They were 531, 124 and 323 once, 349, 76 and 206 before there were kernels,
# and 361, 77 and 220 before a network was built without numbers first, to count them; the class of
# the entry of a logger added one function, and what keeps torch's threads from spinning while
# compiled code samples one; so did the question whether compiled code is wanted, since two ask it.
# Who has to raise one looks first what can go.
AT_MOST = "369,78,226"

CHECKOUT = {
    "arbench/traced_one.py": """
import threading
import traced_two

class Thing:
    def make(self):
        return traced_two.first([1]), traced_two.second()

def inner():
    return traced_two.third()

def beside():
    return inner()

def start():
    Thing().make()
    thread = threading.Thread(target=beside)
    thread.start()
    thread.join()
    inner()
    return len([Thing().make() for _ in range(3)])
""",
    "plugins/part/traced_two.py": """
import traced_three

def first(items):
    return [item for item in map(lambda item: item, items)]

def second():
    return sum(item for item in first([2]))

def third():
    return traced_three.outside()

def never():
    raise AssertionError
""",
    "docs/traced_three.py": """
def outside():
    return 3
""",
}
FIRST_CALLS = [
    ("arbench/traced_one.py", "Thing"),
    ("arbench/traced_one.py", "start"),
    ("arbench/traced_one.py", "Thing.make"),
    ("plugins/part/traced_two.py", "first"),
    ("plugins/part/traced_two.py", "second"),
    ("arbench/traced_one.py", "beside"),
    ("arbench/traced_one.py", "inner"),
    ("plugins/part/traced_two.py", "third"),
]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("trace_run", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["trace_run"] = module  # where its dataclass looks its annotations up
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three small files that call each other, two of them where the project's code would be."""
    for name, text in CHECKOUT.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True)
        file.write_text(text)
        monkeypatch.syspath_prepend(file.parent)
        monkeypatch.delitem(sys.modules, file.stem, raising=False)
    return tmp_path


def test_functions_count_once_in_the_order_of_their_first_calls(
    script: ModuleType, checkout: Path
) -> None:
    trace = script.Trace(checkout)
    assert trace.of(lambda: importlib.import_module("traced_one").start()) == 3
    assert sys.getprofile() is None
    assert trace.functions == FIRST_CALLS
    assert trace.counts == (8, 2, 3)


def test_equal_functions_of_two_files_are_two(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("plugins", "tasks"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"traced_{folder}.py").write_text("def same():\n    return 0\n")
        monkeypatch.syspath_prepend(tmp_path / folder)
    one, other = (importlib.import_module(f"traced_{folder}") for folder in ("plugins", "tasks"))
    assert one.same.__code__ == other.same.__code__
    trace = script.Trace(tmp_path)
    trace.of(lambda: one.same() + other.same())
    assert trace.counts == (2, 2, 1)


def test_a_functions_length_is_from_def_to_end(script: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "some.py").write_text(
        "@staticmethod\ndef some():\n    '''Two\n    lines.'''\n    def in_it(): ...\n\n    pass\n"
    )
    assert script.lengths(tmp_path) == [
        (6, "tasks/some.py:2", "some"),
        (1, "tasks/some.py:5", "in_it"),
    ]


def traced(*options: str) -> subprocess.CompletedProcess[str]:
    """The script's end, for a short run on a toy task."""
    return subprocess.run(
        [sys.executable, str(SCRIPT), *options, "--", *TOY],
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_run_is_counted_and_held_to_limits() -> None:
    done = traced("--verbose", "--at-most", "2000,1000,2000", "--longest", "10000")
    assert done.returncode == 0, done.stderr
    files = re.findall(r"^ +(\d+) (\S+\.py)$", done.stdout, re.MULTILINE)
    functions = re.findall(r"^ +(\S+:\S+)$", done.stdout, re.MULTILINE)
    (counts,) = re.findall(
        r"^functions: (\d+)\nfiles: (\d+)\nchanges of file: (\d+)$", done.stdout, re.MULTILINE
    )
    num_functions, num_files, num_changes = map(int, counts)
    assert num_functions == len(functions) == sum(int(number) for number, _ in files) > 100
    assert num_files == len(files)
    assert num_files - 1 <= num_changes < num_functions
    assert functions[0] == "arbench.cli:main"
    modules = {name.split(":")[0] for name in functions}
    assert {"arbench_bernoulli.network", "arbench_toys.tasks"} <= modules

    limit = f"{num_functions},{num_files - 1},{num_changes}"
    again = traced("--at-most", limit, "--longest", "5")
    assert again.returncode == 1
    assert again.stderr.splitlines()[0] == f"too many files: {num_files}, at most {num_files - 1}"
    assert "functions have over 5 lines" in again.stderr.splitlines()[1]


def test_a_run_stays_short_to_walk_through(data_dir: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--at-most", AT_MOST],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "ARBENCH_DATA": str(data_dir)},
    )
    assert done.returncode == 0, done.stderr + done.stdout


def test_a_run_that_fails_is_not_counted() -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--", "--task", "none-such", "--model", "bernoulli"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2
    assert "none-such" in done.stderr
    assert done.stdout == ""


def test_functions_stay_short(script: ModuleType) -> None:
    found = [entry for entry in script.lengths(ROOT) if entry[0] > 60]
    assert max([lines for lines, _, _ in found], default=0) <= LONGEST, found
