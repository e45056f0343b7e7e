"""`arbench verify --zoo`: every zoo entry evaluated again, in one table."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from arbench.data.offline import NotHereError
from arbench.errors import NetworkError
from arbench.runs.zoo import zoo_index
from arbench.show.reporting import Advance, Reporter
from arbench.show.tables import Table, as_text

if TYPE_CHECKING:
    from arbench.runs.verification import Verification

FAILED, MISSING = 1, NotHereError.exit_code


class _Part(Reporter):
    """Tells a bar of the whole what is done within one of its parts."""

    def __init__(self, advance: Advance, number: int, name: str) -> None:
        self._advance, self._number, self._name = advance, number, name

    @contextlib.contextmanager
    def bar(self, title: str, *, live: bool = True) -> Iterator[Advance]:
        """A bar of its own, as the note of the whole's."""
        done, total = self._number, len(zoo_index())

        def tell(fraction: float, note: str) -> None:
            # What a part does comes in stages of unknown length: only whole parts count.
            self._advance(done / total, f"{self._name}, {title} {fraction:.0%}")

        yield tell


def verify_zoo(reporter: Reporter, *, device: str = "auto", as_json: bool = False) -> int:
    """Evaluate every zoo entry again and print a table.

    Args:
        reporter: receives progress.
        device: where to compute.
        as_json: print JSON instead.

    Returns:
        The exit code: 0 if every number holds, 1 if one does not, 3 if all that could be evaluated
        hold and the data of others are not here.
    """
    from arbench import api

    found: dict[str, Verification] = {}
    missing: dict[str, str] = {}
    seconds: dict[str, float] = {}
    with reporter.bar("verifying the zoo") as advance:
        for number, name in enumerate(zoo_index()):
            advance(number / len(zoo_index()), name)
            started = time.monotonic()
            try:
                part = _Part(advance, number, name)
                found[name] = api.verify(name, device=device, reporter=part)
            except (NetworkError, NotHereError) as error:
                missing[name] = str(error)
            seconds[name] = time.monotonic() - started
        advance(1.0, f"{len(found)} evaluated, {len(missing)} without data")
    if as_json:
        click.echo(json.dumps(_as_json(found, missing), indent=1))
    else:
        click.echo(as_text(_table(found, missing, seconds)))
    if not all(each.holds for each in found.values()):
        return FAILED
    return MISSING if missing else 0


def _as_json(found: dict[str, Verification], missing: dict[str, str]) -> dict[str, Any]:
    entries: dict[str, Any] = {name: each.to_json() for name, each in found.items()}
    return {"entries": entries, "missing": missing}


def _table(
    found: dict[str, Verification], missing: dict[str, str], seconds: dict[str, float]
) -> Table:
    """A row for each entry, in the zoo's order, and why some have none."""
    rows = []
    for name in zoo_index():
        each, spent = found.get(name), f"{seconds[name]:,.0f} s"
        if each is None:
            rows.append((name, "-", "-", "-", "-", spent, "no data"))
            continue
        largest = each.largest_difference_nats
        judged = [result.holds for result in each.results if not result.unjudged]
        rows.append(
            (
                name,
                f"{each.recorded_nats:.6f}",
                f"{each.found_nats:.6f}",
                "-" if largest is None else f"{largest:.1e}",
                f"{sum(map(bool, judged))} of {len(judged)}",
                spent,
                "holds" if each.holds else "DOES NOT HOLD",
            )
        )
    headers = ("entry", "recorded nats", "found nats", "largest difference", "other results")
    held = sum(each.holds for each in found.values())
    notes = [
        f"{held} of {len(zoo_index())} entries hold.",
        *(f"{name} misstates {', '.join(v.misstated)}" for name, v in found.items() if v.misstated),
        *(f"{name} was not evaluated: {reason}" for name, reason in missing.items()),
    ]
    return Table("zoo", (*headers, "time", "verdict"), rows, notes)
