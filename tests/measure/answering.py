"""Results of measurements put into finished runs by hand: any values, bound as a run binds them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from arbench.measure import opening
from arbench.measure.asking import total_of
from arbench.measure.measurement import Measurement
from arbench.measure.per_event import EventValues, load_per_event, save_per_event
from arbench.measure.result_sections import ResultSection, RowRecord
from arbench.measure.statistics.resampling import error_of
from arbench.registry.entries import MeasurementEntry
from arbench.registry.manager import Registered, Registry
from arbench.runs.folder import RunFolder
from arbench.runs.record.binding import PER_EVENT
from arbench.runs.record.record import Record


def offer(monkeypatch: pytest.MonkeyPatch, *offered: type[Measurement]) -> None:
    """Make these, and no others, the measurements that are installed."""
    classes = {each.name: each for each in offered}

    class Here(Registered[MeasurementEntry]):
        """One whose class is at hand, wherever it was written."""

        def load(self) -> Any:
            return classes[self.entry.name]

    entries = [
        Here(MeasurementEntry(name=each.name, measurement="tests:Here"), "tests", "tests", "1")
        for each in offered
    ]
    monkeypatch.setattr(opening, "registry", lambda: Registry(entries))


def section_of(
    record: Record,
    measurement: Measurement,
    values: Mapping[str, Tensor],
    groups: Tensor | None = None,
    **parts: Any,
) -> ResultSection:
    """The section that such values belong in."""
    count = len(next(iter(values.values())))
    row = RowRecord(
        case="test",
        value=total_of(measurement, values),
        unit=measurement.unit,
        better=measurement.better,
        error=error_of(measurement, values, groups, num_resamples=100),
    )
    number = {"rows": [row], "num_values": count, "index": "test", "seed": 0}
    return ResultSection(
        **{
            "version": measurement.version,
            "environment": record.environment,
            "num_groups": count if groups is None else len(torch.unique(groups)),
            "settings": {
                name: value
                for name, value in measurement.settings.items()
                if name in measurement._given
            },
            **number,
            **parts,
        }
    )


def add_result(
    run: Path,
    measurement: Measurement,
    values: Mapping[str, Tensor],
    groups: Tensor | None = None,
    **parts: Any,
) -> Path:
    """Give a run a result of such values.

    Args:
        run: its folder.
        measurement: of which.
        values: `(N,)` each, float64.
        groups: `(N,)` int64.
        parts: of the section that are to be otherwise.
    """
    record = Record.read(run / "record.json")
    kept = load_per_event(RunFolder(run).per_event)
    kept[measurement.key] = EventValues(values, groups)
    RunFolder(run).per_event.unlink()
    sha256 = save_per_event(run / PER_EVENT, kept)
    section = section_of(record, measurement, values, groups, **parts)
    hashes = record.sha256.model_copy(update={"per_event": sha256})
    record = record.with_sections(**{measurement.key: section})
    record.model_copy(update={"sha256": hashes}).write(run / "record.json")
    return run
