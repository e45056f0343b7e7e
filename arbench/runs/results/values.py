"""Reads the values of a result and checks that they give the recorded number."""

from __future__ import annotations

from pathlib import Path

import torch

from arbench.errors import ArbenchError, DataError, PluginError
from arbench.measure.asking import total_of
from arbench.measure.measured import ROUNDING_SHARE
from arbench.measure.measurement import Measurement, open_measurement
from arbench.measure.per_event import EventValues, load_per_event
from arbench.measure.sections import ResultSection
from arbench.runs.record.record import Record


def results_of(record: Record) -> dict[str, ResultSection]:
    """The results of a record that are made of values, by key; not those of the first three."""
    sections = record.measurements.items()
    return {key: each for key, each in sections if isinstance(each, ResultSection)}


def section_of(record: Record, measurement: Measurement, source: str) -> ResultSection:
    """The section of a measurement in a record.

    Args:
        record: of a finished run.
        measurement: with its settings.
        source: what to call the run.

    Raises:
        DataError: if it has none, or none with values; says what to do.
    """
    section = record.measurements.get(measurement.key)
    if section is None:
        raise DataError(
            f"{source}: there is no {measurement.key} in its record; "
            f"`arbench measure {source} '{measurement.key}'` adds it"
        )
    if not isinstance(section, ResultSection) or not section.num_values:
        raise DataError(
            f"{source}: {measurement.key} leaves no values of single events, so there is nothing "
            "that could be paired"
        )
    return section


def values_of(section: ResultSection, measurement: Measurement, per_event: Path) -> EventValues:
    """The values of a result in the file of a run, if they are those of its section.

    Raises:
        CheckpointError: if the file is missing or damaged.
        DataError: if they are not there, or the section's number is not made of them.
    """
    found = load_per_event(per_event).get(measurement.key)
    if fault := values_fault(section, found, measurement):
        raise DataError(f"{per_event}: {measurement.key}: {fault}")
    assert found is not None  # a result without values is refused before
    return in_order(section, found)


def in_order(section: ResultSection, found: EventValues) -> EventValues:
    """Kept values in the order of their measurement, whose number may be that of the first."""
    names = [*section.values, *found.values]
    ordered = {name: found.values[name] for name in names if name in found.values}
    return EventValues(ordered, found.groups)


def require_results(record: Record, per_event: Path) -> None:
    """Refuse values that are not those of the results in a record.

    What of them its measurement would have to say is left out where that is not installed.

    Raises:
        CheckpointError: if the file is missing or damaged.
        DataError: with the result's key.
    """
    results = results_of(record)
    kept = load_per_event(per_event) if results else {}
    for key, section in results.items():
        if fault := values_fault(section, kept.get(key), installed(key)):
            raise DataError(f"{per_event}: {key}: {fault}")


def installed(key: str) -> Measurement | None:
    """The measurement of a key, with its settings; None if it is not here, or does not work."""
    try:
        return open_measurement(key)
    except ArbenchError:
        return None


def values_fault(
    section: ResultSection, found: EventValues | None, measurement: Measurement | None
) -> str | None:
    """Why values are not those of a section; None if they may be.

    Args:
        section: of a record.
        found: what the file of the run holds of it; None for nothing.
        measurement: says what its number is; None where nobody can. One of another version says
            nothing of this result.
    """
    count = 0 if found is None else len(next(iter(found.values.values())))
    if count != section.num_values:
        return f"it is of {section.num_values:,} values, and there are {count:,}"
    if found is None:
        return None
    if section.values and {*section.values} != {*found.values}:
        return f"it is made of {', '.join(section.values)}, and there are {', '.join(found.values)}"
    for name, values in found.values.items():
        if not bool(values.isfinite().all()):
            return f"{name!r} is not finite"
    if found.groups is not None and section.num_groups is not None:
        groups = len(torch.unique(found.groups))
        if groups != section.num_groups:
            return f"it is over {section.num_groups:,} groups, and its values are of {groups:,}"
    if measurement is None or measurement.version != section.version:
        return None
    said, number = section.rows[0].value, number_of(measurement, in_order(section, found))
    if not abs(number - said) <= ROUNDING_SHARE * max(1.0, abs(said)):
        return f"its number is {said:.6g}, and its values make {number:.6g}"
    return None


def number_of(measurement: Measurement, found: EventValues) -> float:
    """The number that a measurement makes of kept values.

    Raises:
        PluginError: if it cannot.
    """
    try:
        return total_of(measurement, found.values)
    except Exception as error:  # the code is somebody else's
        raise PluginError(
            f"{measurement.name}: value_of failed: {type(error).__name__}: {error}; ask its author"
        ) from error
