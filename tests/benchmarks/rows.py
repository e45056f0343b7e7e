"""A row of the speed table, read from pytest-benchmark's JSON, and what follows from it."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any

from cases import CASES, Case

LEAST = 0.85  # of the baseline's speed, on any row
ENOUGH = 0.5  # of the limit; nobody asks for more


@dataclass(frozen=True)
class Row:
    """One case on a number of threads; times are seconds per call, in pairs by round.

    Attributes:
        case: what was done.
        num_threads: on how many.
        clock: "cpu" for the seconds of all threads, or "wall".
        commit: today's.
        date: of the measurement.
        today_s: of today's code.
        baseline_s: of the baseline's.
        peer_s: of the peer that was measured; empty without one.
        limit_s: that a call takes at least.
    """

    case: Case
    num_threads: int
    clock: str
    commit: str
    date: str
    today_s: list[float]
    baseline_s: list[float]
    peer_s: list[float]
    limit_s: float

    @classmethod
    def of(cls, benchmark: dict[str, Any]) -> Row:
        """That of an entry of pytest-benchmark's JSON.

        Raises:
            LookupError: if there is no such case any more.
        """
        told = benchmark["extra_info"]
        (case,) = [case for case in CASES if case.name == benchmark["group"]] or [None]
        if case is None:
            raise LookupError(f"there is no case {benchmark['group']!r}")
        names = ("clock", "commit", "date", "baseline_s", "peer_s", "limit_s")
        own = {name: told[name] for name in names}
        return cls(case, told["num_threads"], today_s=benchmark["stats"]["data"], **own)

    def per_s(self, seconds: list[float]) -> float:
        """Units per second."""
        return self.case.num_units / statistics.median(seconds)

    @property
    def ratios(self) -> list[float]:
        """How many times as fast as the baseline, round by round."""
        return [then / now for then, now in zip(self.baseline_s, self.today_s, strict=True)]

    @property
    def ratio(self) -> float:
        """The median of the pairs."""
        return statistics.median(self.ratios)

    @property
    def spread(self) -> tuple[float, float]:
        """The quartiles of the pairs."""
        low, _, high = statistics.quantiles(self.ratios, n=4, method="inclusive")
        return low, high

    @property
    def of_peer(self) -> float | None:
        """How many times as fast as the peer, the median of the pairs; None without one."""
        pairs = zip(self.peer_s, self.today_s, strict=True) if self.peer_s else ()
        found = [peer / now for peer, now in pairs]
        return statistics.median(found) if found else None

    @property
    def share(self) -> float:
        """Of the limit."""
        return self.limit_s / statistics.median(self.today_s)

    @property
    def asked(self) -> str:
        """What is asked, such as "2x, 2.4p"; p is times the peer."""
        case = self.case
        base = f"{case.asked:g}x" if case.asked else ""
        peer = f"{case.asked_of_peer:g}p" if case.asked_of_peer else ""
        return ", ".join(filter(None, (base, peer))) or f"{LEAST:g}x"

    @property
    def holds(self) -> str:
        """Whether it is reached: "yes", "limit" for half of the limit in its place, or "no"."""
        wanted = [
            (self.ratio, self.case.asked or LEAST),
            (self.of_peer or 0.0, self.case.asked_of_peer or 0.0),
        ]
        if all(found >= least for found, least in wanted):
            return "yes"
        return "limit" if self.share >= ENOUGH and self.ratio >= LEAST else "no"


def rows_of(measured: dict[str, Any]) -> list[Row]:
    """All rows of a file, in the order of the cases, one thread first."""
    rows = [Row.of(benchmark) for benchmark in measured["benchmarks"]]
    return sorted(rows, key=lambda row: (row.num_threads, CASES.index(row.case)))
