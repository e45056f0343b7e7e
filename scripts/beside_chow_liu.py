"""Print how much better than a Chow-Liu tree the best of four models is, on each task's test.

    python scripts/beside_chow_liu.py

The difference is paired: it is taken event by event, and so is its standard error. The table in
plugins/arbench_chow_liu/README.md is what this prints, and a test holds it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from arbench.boards.results import Result, read_results
from arbench.measure.statistics.paired import PairedDifference, paired_difference
from arbench.runs.record.values import read_log_probs

RECORDS = Path(__file__).resolve().parents[1] / "leaderboards" / "records"
FLOOR, MODELS = "chow-liu", ("nade", "made", "any-order", "gpt")


def differences() -> Iterator[tuple[Result, PairedDifference]]:
    """The best kept result of every task with a tree, of `MODELS`, and its difference from it."""
    results = read_results(RECORDS)
    floors = {r.record.task.name: r for r in results if r.record.model.name == FLOOR}
    done = set()
    for result in results:  # the best of a task comes first
        task = result.record.task.name
        if task in floors and task not in done and result.record.model.name in MODELS:
            done.add(task)
            log_probs = (read_log_probs(r.record, r.log_probs) for r in (result, floors[task]))
            yield result, paired_difference(*(own.values for own in log_probs))


def table() -> str:
    """The differences as Markdown."""
    lines = [
        "| task | best model | nats better | paired error | in errors |",
        "|---|---|---|---|---|",
    ]
    for result, found in differences():
        record = result.record
        lines.append(
            f"| {record.task.name} | {record.model.name} | {found.nats:.4f} | "
            f"{found.standard_error:.4f} | {found.z:.1f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
