"""Break the sources one place at a time, and see whether a test of their area notices.

    python scripts/mutate.py --named                    the mutations that were once unnoticed
    python scripts/mutate.py --count 120 --seed 0       so many, drawn from every area alike
    python scripts/mutate.py ... --area data --log F    one area; what is in F already is not redone

A copy of the tree is mutated, never the tree itself. What survives is printed with its difference:
it wants a better test, or it is equivalent, and then often shows code that does nothing. Areas and
named mutations are in `mutate.toml`. The exit code is 1 if more survive than `--most` allows.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import json
import multiprocessing
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from mutations import mutations

ROOT = Path(__file__).resolve().parents[1]
_PATIENCE_S = 600
_PRELOADED = ["accelerate", "huggingface_hub", "hypothesis", "pandas", "pydantic", "pytest"]
_PRELOADED += ["scipy.stats", "soundfile", "torch", "torch._dynamo", "torch.distributed.tensor"]
TABLE = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())


@dataclass(frozen=True)
class Mutant:
    """A file with one change, and the tests that have to notice it.

    Attributes:
        name: what was done where.
        file: relative to the root.
        before: the whole of that file.
        after: the same with the change.
        tests: files of tests, relative to the root, run in this order up to the first failure.
    """

    name: str
    file: str
    before: str
    after: str
    tests: tuple[str, ...]

    @property
    def difference(self) -> str:
        """What was changed, as a unified difference without context."""
        before, after = self.before.splitlines(), self.after.splitlines()
        return "\n".join([*difflib.unified_diff(before, after, n=0, lineterm="")][3:])


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant.

    Attributes:
        name: the mutant's.
        difference: likewise.
        killed_by: what pytest says of the first test that failed; None if it survived.
        seconds: how long that took.
    """

    name: str
    difference: str
    killed_by: str | None
    seconds: float

    @property
    def killer(self) -> str | None:
        """The first test that failed, or the file that no test could be read from."""
        found = re.match(r"(?:FAILED|ERROR) (.+?)(?: - |$)", self.killed_by or "")
        return found and found[1]


def tests_for(file: str, area: dict[str, Any]) -> tuple[str, ...]:
    """A source's own tests, then the others of its area."""
    same = ROOT.glob(f"tests/**/test_{Path(file).stem}.py")
    own = [str(path.relative_to(ROOT)) for path in sorted(same)]
    for pattern, tests in area["own"].items():
        own += tests if fnmatch(file, pattern) else []
    return tuple(dict.fromkeys([*own, *area["tests"]]))


def named() -> list[Mutant]:
    """The mutations of the table."""
    found = []
    for entry in TABLE["named"]:
        file, old = entry["file"], entry["old"]
        source = (ROOT / file).read_text()
        if source.count(old) != 1:
            sys.exit(f"{entry['name']}: {old!r} is {source.count(old)} times in {file}, not once")
        changed = source.replace(old, entry["new"])
        tests = tests_for(file, {"own": {}, "tests": entry.get("tests", [])})
        found.append(Mutant(entry["name"], file, source, changed, tests))
    return found


def drawn(count: int, seed: int, only: list[str] | None) -> list[Mutant]:
    """That many mutations from every area alike, each as likely as any other of its area."""
    found = []
    for name, area in TABLE["area"].items():
        sources = {file: (ROOT / file).read_text() for file in _files(area)}
        places = [(file, m) for file, source in sources.items() for m in mutations(source)]
        chosen = random.Random(f"{seed}/{name}").sample(places, count // len(TABLE["area"]))
        if only is None or name in only:
            found += [
                Mutant(
                    f"{file}:{mutation.line} {mutation.kind}",
                    file,
                    sources[file],
                    mutation.apply(sources[file]),
                    tests_for(file, area),
                )
                for file, mutation in chosen
            ]
    return found


def _files(area: dict[str, Any]) -> list[str]:
    paths = [path for pattern in area["sources"] for path in sorted(ROOT.glob(pattern))]
    return [str(path.relative_to(ROOT)) for path in paths if path.name != "__init__.py"]


class Copy:
    """A copy of the tree, where one file at a time is mutated and tested."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = time.time()
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        for name in filter(None, listed.stdout.split("\0")):
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        places = [str(folder / place) for place in (".", "plugins", "tasks")]
        os.environ |= {"PYTHONPATH": os.pathsep.join(places), "OMP_NUM_THREADS": "1"}
        sys.path[:0] = places
        # Tests run in forks of this process, which need not import again what is never mutated.
        for module in _PRELOADED:
            importlib.import_module(module)
        assert "arbench" not in sys.modules

    def always_failing(self, killers: set[str]) -> set[str]:
        """Those of these tests that fail without a mutation too, and so notice none."""
        return {killer for killer in sorted(killers) if self.test((killer,))[0]}

    def test(self, tests: tuple[str, ...]) -> tuple[str | None, float]:
        """The first test that fails, or None; and the seconds that this took."""
        started = time.monotonic()
        with tempfile.TemporaryFile("w+") as said:
            child = multiprocessing.get_context("fork").Process(
                target=self._run_pytest, args=(tests, said.fileno())
            )
            child.start()
            child.join(_PATIENCE_S)
            if child.is_alive():
                child.kill()
                child.join()
                return f"no end after {_PATIENCE_S} s", time.monotonic() - started
            said.seek(0)
            lines = said.read().splitlines()
        seconds = time.monotonic() - started
        if child.exitcode == 0:
            return None, seconds
        failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
        return (failed or lines[-1:] or ["no output"])[0], seconds

    def _run_pytest(self, tests: tuple[str, ...], said: int) -> None:
        """In a fork: run the copy's tests up to the first failure, and exit with their code."""
        os.dup2(said, 1)
        os.dup2(said, 2)
        os.chdir(self.folder)
        import pytest

        import arbench

        assert Path(arbench.__file__).is_relative_to(self.folder), arbench.__file__
        options = ["-x", "-q", "--no-header", "--tb=no", "-p", "no:cacheprovider", "--timeout=60"]
        code = pytest.main(["-m", "not slow", *options, *tests])
        sys.stdout.flush()
        os._exit(code)

    def outcome(self, mutant: Mutant) -> Outcome:
        """What the tests say of a mutant."""
        place = self.folder / mutant.file
        self._write(place, mutant.after)
        try:
            killed_by, seconds = self.test(mutant.tests)
        finally:
            self._write(place, mutant.before)
        return Outcome(mutant.name, mutant.difference, killed_by, round(seconds, 1))

    def _write(self, place: Path, source: str) -> None:
        """Write, with a time of its own: compiled files are told apart by time and size alone."""
        place.write_text(source)
        self.clock += 2
        os.utime(place, (self.clock, self.clock))


def main() -> int:
    """Run the mutants that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--named", action="store_true", help="those of the table")
    parser.add_argument("--count", type=int, default=0, help="how many to draw from all areas")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument("--area", choices=TABLE["area"], nargs="*", help="their shares alone")
    parser.add_argument("--most", type=int, default=0, help="how many may survive")
    parser.add_argument("--log", type=Path, help="a line of JSON for each; those there are kept")
    parser.add_argument("--list", action="store_true", help="show them, and run nothing")
    given = parser.parse_args()
    mutants = named() if given.named else []
    mutants += drawn(given.count, given.seed, given.area)
    if given.list:
        print("\n\n".join(f"{m.name}\n{m.difference}" for m in mutants))
        return 0
    known = {}
    if given.log and given.log.exists():
        lines = [json.loads(line) for line in given.log.read_text().splitlines()]
        known = {(line["name"], line["difference"]): Outcome(**line) for line in lines}
    outcomes = []
    with tempfile.TemporaryDirectory() as folder:
        copy = Copy(Path(folder))
        for number, mutant in enumerate(mutants, 1):
            outcome = known.get((mutant.name, mutant.difference))
            if outcome is None:
                outcome = copy.outcome(mutant)
                if given.log:
                    with given.log.open("a") as file:
                        file.write(json.dumps(asdict(outcome)) + "\n")
            outcomes.append(outcome)
            fate = (outcome.killed_by or "SURVIVED")[:160]
            print(
                f"{number}/{len(mutants)} {mutant.name}: {fate} ({outcome.seconds} s)", flush=True
            )
        broken = copy.always_failing({outcome.killer for outcome in outcomes if outcome.killer})
    survivors = [o for o in outcomes if o.killed_by is None or o.killer in broken]
    print(*(f"{killer} fails without a mutation, so it notices none" for killer in broken))
    for outcome in survivors:
        print(f"\n{outcome.name}\n{outcome.difference}")
    print(f"\n{len(outcomes)} mutants, {len(survivors)} survived")
    return int(len(survivors) > given.most)


if __name__ == "__main__":
    sys.exit(main())
