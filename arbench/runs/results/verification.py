"""`arbench verify`: asks every measurement in a record again and compares value by value."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from arbench.errors import ArbenchError, ConfigError, DataError
from arbench.measure.environment import Section
from arbench.measure.measurement import Measured, Measurement
from arbench.measure.opening import open_measurement
from arbench.measure.per_event import EventValues
from arbench.measure.result_sections import ResultSection, RowRecord
from arbench.measure.statistics.metrics import ROUNDING_SHARE
from arbench.runs.record.record import Record
from arbench.runs.record.values import results_of, values_fault
from arbench.runs.results.comparison import ARTIFACT

# Puts a question to the weights; raises an `ArbenchError` if there is no answer.
MeasureAgain = Callable[[Measurement], tuple[Section, Measured]]

TOLERANCE_SHARE = 1e-3  # of what values are in size, at most 1; and of a row that has no values
ERROR_SHARE = 1e-2  # of a standard error


@dataclass(frozen=True)
class ResultVerification:
    """A result in a record beside what its measurement finds of the same weights.

    Attributes:
        key: of the result.
        unit: of the number.
        recorded: the number, as the record has it.
        found: the number found again; None where nobody could ask.
        largest_difference: between a recorded value and the one found again, of the value that
            differs most beside its tolerance; None if they are not of the same events, or the
            result has no values.
        tolerance: for that value.
        misstated: what of the record's section is otherwise than was found, such as "rows.test".
        fault: why it does not hold whatever its numbers are; empty if nothing is in the way.
        unjudged: why it is shown and not judged; empty where it is judged.
    """

    key: str
    unit: str
    recorded: float
    found: float | None = None
    largest_difference: float | None = None
    tolerance: float | None = None
    misstated: tuple[str, ...] = ()
    fault: str = ""
    unjudged: str = ""

    @property
    def holds(self) -> bool | None:
        """Whether the record has what was found, within the tolerance; None if not judged."""
        if self.unjudged:
            return None
        if self.fault or self.misstated:
            return False
        if self.largest_difference is None or self.tolerance is None:
            return True  # rows alone: what of them is otherwise is misstated
        return self.largest_difference <= self.tolerance

    def to_json(self) -> dict[str, object]:
        """All that was found, for machines."""
        return {**asdict(self), "holds": self.holds}


def verify_results(
    record: Record,
    kept: Mapping[str, EventValues],
    measure_again: MeasureAgain,
    refusal: Callable[[Measurement], str | None],
) -> tuple[ResultVerification, ...]:
    """Ask every measurement in a record again, and compare with what it recorded.

    What gives another number each time is not asked, and neither is one that is not installed,
    installed in another version, or made for a device that is not here: they are shown, and not
    judged.

    Args:
        record: of a run.
        kept: the values of its events, by the keys of results.
        measure_again: asks the weights.
        refusal: why a measurement means nothing for them; None if it does.
    """
    return tuple(
        _verified(key, section, kept.get(key), measure_again, refusal)
        for key, section in results_of(record).items()
    )


def _verified(
    key: str,
    section: ResultSection,
    kept: EventValues | None,
    measure_again: MeasureAgain,
    refusal: Callable[[Measurement], str | None],
) -> ResultVerification:
    number = section.rows[0]
    shown = ResultVerification(key, number.unit, number.value)
    try:
        measurement = open_measurement(key)
    except ArbenchError as error:
        return replace(shown, unjudged=str(error))
    if measurement.version != section.version:
        return replace(
            shown,
            unjudged=f"it was measured by version {section.version}, and version "
            f"{measurement.version} is installed",
        )
    if measurement.key != key:
        return replace(shown, fault=f"its settings are those of {measurement.key}")
    if not measurement.reproducible:
        return replace(shown, unjudged="it gives another number each time")
    if fault := refusal(measurement):
        # One that asks for a device may mean something on that device alone.
        of_a_device = bool(measurement.settings.get("device"))
        return replace(shown, unjudged=fault) if of_a_device else replace(shown, fault=fault)
    if fault := values_fault(section, kept, measurement):
        return replace(shown, fault=fault)
    try:
        found, values = measure_again(measurement)
    except (ConfigError, DataError) as error:  # such as data of another task that are not here
        return replace(shown, unjudged=str(error))
    except ArbenchError as error:
        return replace(shown, fault=str(error))
    assert isinstance(found, ResultSection)  # as the one in the record, of the same key
    largest, tolerance = _largest_difference(kept, values)
    return replace(
        shown,
        found=found.rows[0].value,
        largest_difference=largest,
        tolerance=tolerance,
        misstated=tuple(_misstated(section, found, kept, values)),
    )


def _misstated(
    said: ResultSection, found: ResultSection, kept: EventValues | None, values: Measured
) -> list[str]:
    """What of a section is otherwise than was found, by its path in the section."""
    pairs = {name: (getattr(said, name), getattr(found, name)) for name in _EXACTLY}
    pairs["values"] = (sorted(said.values), sorted(found.values))
    pairs["opened"] = (_kept_by_rule(said.opened), _kept_by_rule(found.opened))
    pairs["details.kind"] = (said.details.get("kind"), found.details.get("kind"))
    wrong = [name for name, (one, other) in pairs.items() if one != other]
    wrong += _misstated_rows("rows", said.rows, found.rows)
    wrong += _misstated_rows("baselines", said.baselines, found.baselines)
    if not _same_groups(kept.groups if kept else None, values.groups):
        wrong.append("groups")
    return wrong


_EXACTLY = ("settings", "seed", "index", "num_values", "num_groups")


def _kept_by_rule(opened: Mapping[str, str]) -> dict[str, str]:
    """What was opened, but for what another machine makes with a rounding of its own."""
    return {name: sha256 for name, sha256 in opened.items() if not name.startswith(ARTIFACT)}


def _misstated_rows(name: str, said: Sequence[RowRecord], found: Sequence[RowRecord]) -> list[str]:
    """The rows that are otherwise, within the tolerance."""
    if [row.case for row in said] != [row.case for row in found]:
        return [name]
    wrong = []
    for one, other in zip(said, found, strict=True):
        path = f"{name}.{one.case}"
        size = max(abs(other.value), other.error or 0.0)
        if not _is_close(one.value, other.value, TOLERANCE_SHARE * size):
            wrong.append(path)
        if (one.unit, one.better) != (other.unit, other.better):
            wrong.append(f"{path}.unit")
        if not _is_close(one.error, other.error, ERROR_SHARE * (other.error or 0.0)):
            wrong.append(f"{path}.error")
    return wrong


def _is_close(one: float | None, other: float | None, tolerance: float) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=0.0, abs_tol=tolerance + 1e-9)


def _same_groups(one: Tensor | None, other: Tensor | None) -> bool:
    if one is None or other is None:
        return one is other
    return torch.equal(one, other)


def _largest_difference(
    kept: EventValues | None, found: Measured
) -> tuple[float | None, float | None]:
    """Of the value that differs most beside its tolerance, and that; None where there is none."""
    worst: tuple[Any, ...] = (None, None)
    share = -1.0
    for name, values in found.values.items():
        before = None if kept is None else kept.values.get(name)
        if before is None or before.shape != values.shape:
            continue  # its section says so, too
        differences, tolerances = (before - values).abs(), value_tolerances(values)
        shares = differences / tolerances
        index = int(shares.argmax())
        if shares[index].item() > share:
            share = shares[index].item()
            worst = differences[index].item(), tolerances[index].item()
    return worst


def value_tolerances(values: Tensor) -> Tensor:
    """How far other devices, threads and versions of torch may move values `(N,)` of one name.

    That is a share of each, which rounding in float32 needs, and a thousandth of what they are in
    size, all in all; of large ones a thousandth, as of nats.
    """
    size = min(1.0, values.square().mean().sqrt().item())
    return TOLERANCE_SHARE * max(size, 1e-9) + ROUNDING_SHARE * values.abs()
