"""Count the functions and the files that one run passes, and how often it changes file.

    python scripts/trace_run.py                                      the counts
    python scripts/trace_run.py --verbose                            and the functions of each file
    python scripts/trace_run.py --at-most 311,76,192 --longest 60    exit code 1 if there is more
    python scripts/trace_run.py -- --task toy-ising --model bernoulli --limit 20 --epochs 1

The run is `arbench run --task mnist --model nade --limit 60 --epochs 1`; arguments after `--` take
the place of these. It runs in this process, in a temporary working folder that is removed, so paths
among the arguments have to be absolute. The checkout is the one whose `arbench` is installed: to
measure another commit, run this file with the Python of that commit's environment.

Only code of the checkout counts: the files under `arbench/`, `plugins/` and `tasks/`.

- A function is a `def`, also a method or a nested one, or the body of a class, which Python runs
  like a function when it imports a file. Lambdas, comprehensions, generator expressions and the
  bodies of modules do not count. A function counts once, when it is first called, in any thread.
  What runs before the command starts (the import of `arbench.cli`) or in another process does not.
- A file counts if one of these functions is in it.
- A change of file: list the functions in the order of their first calls; each one that is in
  another file than the one before it is a change.

The length of a function is the number of lines from its `def` to its end: the docstring and nested
functions count, decorators do not. All functions of the checkout are looked at, run or not.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import io
import itertools
import os
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

FOLDERS = ("arbench", "plugins", "tasks")
ARGUMENTS = ("--task", "mnist", "--model", "nade", "--limit", "60", "--epochs", "1")
PATHS = ("ARBENCH_DATA", "ARBENCH_CACHE")
MOST_SHOWN = 10


@dataclass
class Trace:
    """The functions of a checkout in the order of their first calls.

    Attributes:
        root: the folder that holds `arbench/`, `plugins/` and `tasks/`.
        calls: every code object that was called, by its identity, since functions of two files can
            be equal; and the file if it counts, relative to the root.
    """

    root: Path
    calls: dict[int, tuple[CodeType, str | None]] = field(default_factory=dict)

    def see(self, frame: FrameType, event: str, _argument: Any) -> None:
        """Take note of an event, as `sys.setprofile` hands it over."""
        code = frame.f_code
        if event == "call" and id(code) not in self.calls:
            path = Path(code.co_filename)
            inside = path.is_relative_to(self.root)
            file = path.relative_to(self.root).as_posix() if inside else ""
            counts = file.split("/")[0] in FOLDERS and not code.co_name.startswith("<")
            self.calls[id(code)] = (code, file if counts else None)

    def of(self, function: Callable[[], int]) -> int:
        """The result of a function, traced in this thread and in those that it starts."""
        threading.setprofile(self.see)
        sys.setprofile(self.see)
        try:
            return function()
        finally:
            sys.setprofile(None)
            threading.setprofile(None)  # type: ignore[arg-type]

    @property
    def functions(self) -> list[tuple[str, str]]:
        """File and qualified name of each function, in the order of their first calls."""
        calls = self.calls.values()
        return [(file, code.co_qualname) for code, file in calls if file is not None]

    @property
    def counts(self) -> tuple[int, int, int]:
        """How many functions, files and changes of file."""
        files = [file for file, _ in self.functions]
        changes = sum(one != other for one, other in itertools.pairwise(files))
        return len(files), len(set(files)), changes


def module_of(file: str) -> str:
    """The name of the module that a file of the checkout holds."""
    parts = file.removesuffix(".py").removesuffix("/__init__").split("/")
    return ".".join(parts if parts[0] == "arbench" else parts[1:])


def lengths(root: Path) -> list[tuple[int, str, str]]:
    """Lines, place and name of every function of a checkout, the longest first."""

    def found() -> Iterator[tuple[int, str, str]]:
        for path in (path for folder in FOLDERS for path in (root / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    assert node.end_lineno is not None
                    place = f"{path.relative_to(root).as_posix()}:{node.lineno}"
                    yield node.end_lineno - node.lineno + 1, place, node.name

    return sorted(found(), key=lambda entry: (-entry[0], entry[1]))


def traced_run(arguments: Sequence[str]) -> Trace:
    """The trace of `arbench run` with some arguments.

    Raises:
        SystemExit: with code 2, after what the run printed, if the run fails.
    """
    import arbench.cli  # not above: `Trace` serves other code, too

    trace = Trace(Path(arbench.cli.__file__).resolve().parents[2])
    for name in PATHS:
        if os.environ.get(name):
            os.environ[name] = os.path.abspath(os.environ[name])
    said = io.StringIO()  # no terminal, so that every run takes the same path
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.chdir(folder),
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(said),
    ):
        try:
            code = trace.of(lambda: arbench.cli.main(["run", *arguments]))
        except SystemExit as end:
            code = int(end.code or 0)
    if code != 0:
        print(f"{said.getvalue()}the run ended with exit code {code}", file=sys.stderr)
        raise SystemExit(2)
    return trace


def limits(text: str) -> tuple[int, int, int]:
    """The three numbers of `--at-most`."""
    functions, files, changes = map(int, text.split(","))
    return functions, files, changes


def main() -> int:
    """0, or 1 if a count or a function is above its limit."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--at-most", type=limits, metavar="FUNCTIONS,FILES,CHANGES")
    parser.add_argument("--longest", type=int, metavar="LINES", help="no function may be longer")
    parser.add_argument("--verbose", action="store_true", help="a table of files and functions")
    parser.add_argument("arguments", nargs="*", metavar="-- ARGUMENT", help="of `arbench run`")
    chosen = parser.parse_args()

    trace = traced_run(chosen.arguments or ARGUMENTS)
    if chosen.verbose:
        for file, number in sorted(Counter(file for file, _ in trace.functions).items()):
            print(f"{number:5} {file}")
        for file, name in trace.functions:
            print(f"      {module_of(file)}:{name}")
    names = ("functions", "files", "changes of file")
    for name, count in zip(names, trace.counts, strict=True):
        print(f"{name}: {count}")
    by_length = lengths(trace.root)
    too_long = [entry for entry in by_length if chosen.longest and entry[0] > chosen.longest]
    for lines, place, name in too_long or by_length[:MOST_SHOWN]:
        print(f"{lines:5} lines {place} {name}")

    failed = False
    for name, count, most in zip(names, trace.counts, chosen.at_most or (), strict=False):
        if count > most:
            print(f"too many {name}: {count}, at most {most}", file=sys.stderr)
            failed = True
    if too_long:
        print(f"{len(too_long)} functions have over {chosen.longest} lines", file=sys.stderr)
    return int(failed or bool(too_long))


if __name__ == "__main__":
    sys.exit(main())
