"""Numbers that papers report, each with its source; shown beside ours, never ranked."""

from __future__ import annotations

import csv
import functools
from dataclasses import dataclass
from importlib import resources


@dataclass(frozen=True)
class PublishedResult:
    """One row of `leaderboards/published.tsv`.

    Attributes:
        task: our name of the task.
        model: what the paper calls the model.
        our_model: the name of the same model here, empty when there is none.
        value: test negative log-likelihood.
        unit: of the value, "nats" per event.
        paper: where it was first reported.
        year: of that paper.
        checked: whether the number was seen in the source itself.
        where: where it was seen.
        note: what a reader should know about it.
    """

    task: str
    model: str
    our_model: str
    value: float
    unit: str
    paper: str
    year: int
    checked: bool
    where: str
    note: str


@functools.cache
def published_results(task: str) -> tuple[PublishedResult, ...]:
    """The published results on a task, best first."""
    file = resources.files("arbench.leaderboards") / "published.tsv"
    lines = file.read_text(encoding="utf-8").splitlines()
    rows = [row for row in csv.DictReader(lines, delimiter="\t") if row["task"] == task]
    results = [
        PublishedResult(
            task=row["task"],
            model=row["model"],
            our_model=row["our_model"],
            value=float(row["value"]),
            unit=row["unit"],
            paper=row["paper"],
            year=int(row["year"]),
            checked=row["checked"] == "yes",
            where=row["where"],
            note=row["note"],
        )
        for row in rows
    ]
    return tuple(sorted(results, key=lambda result: result.value))


def neighbours(task: str, nats: float, count: int = 2) -> list[PublishedResult]:
    """The checked published results nearest to a number: up to `count` on either side."""
    results = [r for r in published_results(task) if r.checked and r.unit == "nats"]
    better = [r for r in results if r.value <= nats]
    worse = [r for r in results if r.value > nats]
    return better[-count:] + worse[:count]
