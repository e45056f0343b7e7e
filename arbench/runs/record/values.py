"""Reads the values per event of a run, and refuses those that do not give its recorded numbers.

Of the test split these are log-probabilities; every other result has values of its own. The file
that holds them is `arbench.measure.per_event`'s.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from arbench.errors import ArbenchError, DataError, PluginError
from arbench.files.atomic import sha256_of
from arbench.measure.asking import total_of
from arbench.measure.likelihood import BlockRecord, SplitRecord
from arbench.measure.measurement import ROUNDING_SHARE, Measurement
from arbench.measure.opening import open_measurement
from arbench.measure.per_event import EventValues, load_per_event, save_per_event
from arbench.measure.result_sections import ResultSection
from arbench.measure.statistics.metrics import FLOAT64_ROUNDING_SHARE, NLL
from arbench.runs.record.record import Record

_KEY, _NAME = "likelihood", "log_prob"


@dataclass(frozen=True)
class LogProbs:
    """What a number on the test split is made of.

    Attributes:
        values: `(N,)` nats, float64, of each test event.
        groups: `(N,)` int64, where the task has groups of events that are not independent.
    """

    values: Tensor
    groups: Tensor | None = None

    def nll(self, dims: Tensor | int, *, bin_width: float | None, is_stream: bool) -> NLL:
        """The totals of these log-probabilities, with errors over what is independent."""
        return NLL.from_log_probs(
            self.values, dims, bin_width, groups=self.groups, is_stream=is_stream
        )

    @property
    def per_event(self) -> dict[str, EventValues]:
        """Them, as the file of a run holds them."""
        return {_KEY: EventValues({_NAME: self.values}, self.groups)}

    def save(self, path: Path) -> str:
        """Write them alone; returns the sha256 of the file."""
        return save_per_event(path, self.per_event)

    @classmethod
    def load(cls, path: Path) -> LogProbs:
        """Those in a file, whatever they belong to.

        Raises:
            CheckpointError: if the file is missing or damaged.
            DataError: if there are none in it.
        """
        result = load_per_event(path).get(_KEY)
        if result is None or _NAME not in result.values:
            raise DataError(f"{path}: there are no log-probabilities of test events in it")
        return cls(result.values[_NAME], result.groups)


def test_of(record: Record, path: Path) -> SplitRecord:
    """What a record says of the test split.

    Args:
        record: of a run.
        path: what to name if it says nothing.

    Raises:
        DataError: if it has no test number; says why.
    """
    if "test" in record.splits:
        return record.splits["test"]
    asked_for_none = "was made with evaluate_test = false; train its recipe once more without it"
    why = asked_for_none if record.splits else "is not finished"
    raise DataError(f"{path}: there is no test number: the run {why}")


def read_log_probs(record: Record, path: Path) -> LogProbs:
    """The per-event log-probabilities in a file, if they are those of the record.

    Comparisons, ranks and verification rest on this file, and tables show the record: the two
    could otherwise tell different stories.

    Args:
        record: with a test number.
        path: a `log_probs.safetensors`.

    Raises:
        CheckpointError: if the file is missing or damaged.
        DataError: if the record has no test number, it is no likelihood, or it is not the one of
            these events.
    """
    test = test_of(record, path)
    if fault := record.no_likelihood:
        raise DataError(f"{path}: {fault}")
    fault, found = None, LogProbs.load(path)
    if len(found.values) != test.num_events:
        fault = f"expected {test.num_events:,} of them, one for each test event"
    elif record.sha256.per_event not in (None, sha256_of(path)):
        fault = "their sha256 is another"
    else:
        fault = _misfit(record, found)
    if fault is not None:
        raise DataError(f"{path}: these log-probabilities are not the record's: {fault}")
    return found


def _misfit(record: Record, found: LogProbs) -> str | None:
    """What of a record's test number does not follow from log-probabilities; None if all does.

    The error of bits per dim need not follow: nobody here knows how many dims of each are scored.
    """
    test = record.splits["test"]
    nll = recorded_nll(record, found)
    if not math.isclose(nll.total_nats, test.total_nats, rel_tol=FLOAT64_ROUNDING_SHARE):
        return f"they sum to {nll.total_nats:,.3f} nats, and it says {test.total_nats:,.3f}"
    spread, error = nll.standard_error_nats, test.standard_error_nats
    if (spread is None) != (error is None) or (
        spread is not None
        and error is not None
        and not math.isclose(spread, error, rel_tol=1e-6, abs_tol=1e-9)
    ):
        return f"their standard error is {spread}, and it says {error}"
    if test.num_groups not in (None, nll.num_groups):
        return f"they are of {nll.num_groups:,} groups, and it says {test.num_groups:,}"
    if test.num_groups is None:
        return None
    block = None if nll.blocks is None else BlockRecord.from_blocks(nll.blocks)
    if block != test.block:
        return f"they are of other blocks, {block}, than it says, {test.block}"
    return None


def recorded_nll(record: Record, found: LogProbs) -> NLL:
    """The totals of a record's log-probabilities, by the rule that the record was made by.

    A record of format 1 took all events and all windows of a stream for independent.
    """
    if record.splits["test"].num_groups is None:
        return NLL.from_log_probs(found.values, 1)
    windows = record.windows is not None
    return found.nll(window_dims(record) if windows else 1, bin_width=1.0, is_stream=windows)


def window_dims(record: Record, name: Literal["validation", "test"] = "test") -> Tensor:
    """How many symbols of a stream each window of a split scores, `(N,)` int64."""
    windows, split = record.windows, record.splits[name]
    assert windows is not None  # only streams have windows
    ends = windows.context + windows.stride * torch.arange(split.num_events)
    return ends.clamp_max(split.num_dims).diff(prepend=ends.new_zeros(1))


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
