"""`make bench`: time today's code against the baseline, peers and the machine's limit.

Writes pytest-benchmark's JSON and the page docs/speed.md. With some cases named, the others stay as
they were measured before, if that was on such a machine.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import click
from cases import BASELINE, CASES, Case
from contestants import ROOT, TODAY, Contestant, timed, workers
from counts import COUNTS, least_seconds
from machine import Machine
from pytest_benchmark.plugin import pytest_benchmark_generate_machine_info
from pytest_benchmark.stats import Stats
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rows import rows_of
from tables import page, shown, slower, summary

JSON, PAGE = ROOT / "docs" / "speed.json", ROOT / "docs" / "speed.md"
PACKAGES = ("torch", "numpy", "numba", "transformers")


def benchmark_of(
    case: Case, machine: Machine, timings: dict[str, Contestant], clock: str
) -> dict[str, Any]:
    """An entry as pytest-benchmark writes it; what it has no place for is in `extra_info`."""
    stats, num_threads = Stats(), machine.num_threads
    for seconds in timings[TODAY].seconds[clock]:
        stats.update(seconds)
    return {
        "group": case.name,
        "name": f"{case.name}, {num_threads}",
        "fullname": f"{case.name}, {num_threads}",
        "params": None,
        "param": None,
        "extra_info": {
            "num_threads": num_threads,
            "commit": commit(),
            "date": datetime.now(UTC).date().isoformat(),
            "clock": clock,
            "baseline_s": timings[BASELINE].seconds[clock],
            "peer_s": timings["peer"].seconds[clock] if "peer" in timings else [],
            "limit_s": least_seconds(COUNTS[case.family](case), machine),
        },
        "options": {"timer": {"cpu": "process_time", "wall": "perf_counter"}[clock]},
        "stats": {**stats.as_dict(), "iterations": 1, "data": stats.data},
    }


def commit() -> str:
    """The last one that changed the package, with a plus if its files have changed since."""
    sources = ["--", "arbench", "plugins", "tasks", ":!*.md"]
    told = [
        subprocess.run(["git", *command, *sources], cwd=ROOT, capture_output=True, text=True).stdout
        for command in (["log", "-1", "--abbrev=7", "--format=%h"], ["status", "--porcelain"])
    ]
    return told[0].strip() + "+" * bool(told[1])


def machine_info() -> dict[str, Any]:
    """What pytest-benchmark says of a machine, without its name, and what else matters here."""
    told: dict[str, Any] = pytest_benchmark_generate_machine_info()
    cpu = told["cpu"]
    brand = cpu.get("brand_raw", platform.machine())
    if "family" in cpu:
        brand += f" family {cpu['family']} model {cpu['model']}"
    return {
        **{key: told[key] for key in ("machine", "python_implementation", "python_version")},
        "system": told["system"],
        "cpu": {"brand": brand, "count": os.cpu_count()},
        "versions": {name: version(name) for name in PACKAGES},
        "load": f"{os.getloadavg()[2]:.1f}",
    }


def measured(
    cases: Sequence[Case], threads: Sequence[int], clock: str, seconds: float
) -> list[dict[str, Any]]:
    """The entries of all cases on all numbers of threads, with progress and a time to go."""
    found = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress:
        bar = progress.add_task("starting", total=len(cases) * len(threads))
        for num_threads in threads:
            machine = Machine(num_threads, clock)
            with workers(num_threads) as by_name:
                for case in cases:
                    progress.update(bar, description=f"{case.name}, {num_threads}".ljust(24))
                    timings = timed(case, by_name, seconds)
                    found.append(benchmark_of(case, machine, timings, clock))
                    progress.advance(bar)
    return found


def joined(new: list[dict[str, Any]], info: dict[str, Any]) -> dict[str, Any]:
    """A file's content: new entries, and old ones of other cases on such a machine."""
    kept = []
    if JSON.exists():
        before = json.loads(JSON.read_text())
        names = {entry["name"] for entry in new}
        known = {case.name for case in CASES}
        if before["machine_info"]["cpu"] == info["cpu"]:
            kept = [
                entry
                for entry in before["benchmarks"]
                if entry["name"] not in names and entry["group"] in known
            ]
    return {
        "machine_info": info,
        "commit_info": {"id": commit(), "project": "arbench"},
        "benchmarks": kept + new,
        "datetime": datetime.now(UTC).isoformat(),
        "version": version("pytest-benchmark"),
    }


@click.command(help=__doc__)
@click.argument("words", nargs=-1)
@click.option("--threads", type=click.IntRange(1), multiple=True, default=(1, 2), show_default=True)
@click.option(
    "--clock",
    type=click.Choice(["cpu", "wall"]),
    default="cpu",
    show_default=True,
    help="CPU time of all threads, or, on a machine that does nothing else, the clock",
)
@click.option("--seconds", default=20.0, show_default=True, help="per case, about")
def main(words: tuple[str, ...], threads: tuple[int, ...], clock: str, seconds: float) -> None:
    """Every word is a part of the names of the cases that are wanted."""
    cases = [case for case in CASES if not words or any(word in case.name for word in words)]
    if not cases:
        known = ", ".join(case.name for case in CASES)
        raise click.UsageError(f"no case has {' or '.join(words)} in its name; there are {known}")
    new = measured(cases, threads, clock, seconds)
    told = joined(new, machine_info())
    JSON.write_text(json.dumps(told, indent=1) + "\n")
    PAGE.write_text(page(PAGE.read_text(), told))
    console = Console()
    rows = rows_of({"benchmarks": new})
    for num_threads in threads:
        shown([row for row in rows if row.num_threads == num_threads], console)
    console.print(summary(rows))
    console.print(f"saved in {JSON.relative_to(ROOT)} and {PAGE.relative_to(ROOT)}")
    if lines := slower(rows):
        console.print("\n".join(lines))
        sys.exit(1)


if __name__ == "__main__":
    main()
