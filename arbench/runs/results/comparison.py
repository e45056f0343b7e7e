"""`compare --measurement`: the paired difference of two results of any measurement."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from arbench.data.tasks import SPLITS
from arbench.errors import ArbenchError, DataError, PluginError
from arbench.measure.measurement import Measurement
from arbench.measure.per_event import EventValues
from arbench.measure.result_sections import ResultSection
from arbench.measure.statistics.differences import (
    recipes_difference_of,
    sides_by,
    weights_difference_of,
)
from arbench.measure.statistics.paired import PairedDifference
from arbench.measure.statistics.pairs import Sides
from arbench.measure.statistics.seeds import FEWEST_SEEDS
from arbench.runs.loading import check_bound
from arbench.runs.record.plausibility import require_plausible
from arbench.runs.record.record import Record
from arbench.runs.record.values import read_log_probs, section_of, values_of, window_dims
from arbench.runs.seeds import seed_folders

ARTIFACT = "artifact:"  # made of the data by a rule, so that rounding alone sets two apart


@dataclass(frozen=True, eq=False)
class Answer:
    """One result of a run, with the values that its number is made of.

    Attributes:
        source: what messages call the run.
        record: of the run.
        section: of the result in it.
        values: of the result.
    """

    source: str
    record: Record
    section: ResultSection
    values: EventValues

    @property
    def is_of_stream(self) -> bool:
        """Whether its values are of windows over one sequence."""
        return self.record.windows is not None and self.section.index in SPLITS


def compare_results(path_a: Path, path_b: Path, measurement: Measurement) -> PairedDifference:
    """How much better one run is than another by a measurement; positive when a is better.

    Each may also be a folder of the seeds of one recipe, as for `runs.comparison.compare_runs`.

    Args:
        path_a: the folder.
        path_b: likewise.
        measurement: with the settings whose results are compared.

    Raises:
        CheckpointError: if one of them is unfinished or damaged.
        ConfigError: if a folder of seeds holds several recipes.
        DataError: if one of them has no such result, or the two cannot be compared.
    """
    a, b = (_read(path, measurement) for path in (path_a, path_b))
    for other in [*a[1:], *b]:
        if fault := misfit(a[0], other):
            raise DataError(fault)
    if (own := a[0].section.version) != measurement.version:
        raise DataError(
            f"{a[0].source} was measured by version {own} of {measurement.name}, and version "
            f"{measurement.version} is installed: measure both runs again"
        )
    try:
        difference = difference_of_answers(measurement, a, b)
    except ValueError as error:
        raise DataError(f"{path_a} and {path_b}: {error}") from error
    if difference is None:
        raise DataError(
            f"{path_a} and {path_b}: a paired comparison needs two independent groups of events"
        )
    return difference


def _read(path: Path, measurement: Measurement) -> list[Answer]:
    """The result in a run folder, or those of all seeds in a folder of seeds."""
    answers = []
    for folder in seed_folders(path):
        folder.require_finished()
        record = Record.read(folder.record)
        check_bound(folder.path, record, ("config", "per_event"))
        section = section_of(record, measurement, str(folder.path))
        if "test" in record.splits:
            log_probs = read_log_probs(record, folder.per_event).values
            require_plausible(record, log_probs, str(folder.path))
        # Another version may make another number of them, and is refused by the caller.
        current = section.version == measurement.version
        values = values_of(section, measurement, folder.per_event) if current else EventValues()
        answers.append(Answer(str(folder.path), record, section, values))
    return answers


def misfit(a: Answer, b: Answer) -> str | None:
    """Why two results of one key cannot be compared, as a sentence; None if they can."""
    fault = _other_question(a, b) or _other_events(a, b)
    return f"{a.source} and {b.source} cannot be compared: {fault}" if fault else None


def _other_question(a: Answer, b: Answer) -> str | None:
    one, other = a.section, b.section
    if one.version != other.version:
        return f"one was measured by version {one.version}, the other by version {other.version}"
    if one.settings != other.settings:
        return f"one has settings {one.settings}, the other {other.settings}"
    if (kinds := (one.details.get("kind"), other.details.get("kind"))) and kinds[0] != kinds[1]:
        return f"one number is of kind {kinds[0]}, the other of kind {kinds[1]}"
    for name in sorted({*one.opened, *other.opened}):
        if name.startswith(ARTIFACT):
            continue
        if one.opened.get(name) != other.opened.get(name):
            return f"they were measured with different contents of {name}"
    return None


def _other_events(a: Answer, b: Answer) -> str | None:
    one, other = a.record.task, b.record.task
    if one.data_sha256 != other.data_sha256:
        return (
            f"one is on {one.name} (data {one.data_sha256[:12]}), the other on {other.name} (data "
            f"{other.data_sha256[:12]}), and only results on the same events are paired"
        )
    if a.section.index != b.section.index:
        return f"one has values of {a.section.index}, the other of {b.section.index}"
    if a.record.limit != b.record.limit:
        return "--limit left out some events of one of them"
    if _windows_of(a.record) != _windows_of(b.record):
        return (
            "they scored the data through other windows; evaluate one with the other's context "
            "and stride"
        )
    if a.section.num_values != b.section.num_values:
        return (
            f"one has {a.section.num_values:,} values, the other {b.section.num_values:,}, so "
            "they are not of the same events"
        )
    groups = a.values.groups, b.values.groups
    same = groups[0] is groups[1] if None in groups else torch.equal(*groups)  # type: ignore[arg-type]
    return None if same else "they group the same events differently"


def _windows_of(record: Record) -> tuple[int, int] | None:
    """Context and stride of the windows of a stream or of pieces; None for events."""
    windows = record.windows or record.pieces
    return None if windows is None else (windows.context, windows.stride)


def difference_of_answers(
    measurement: Measurement,
    a: Sequence[Answer],
    b: Sequence[Answer],
) -> PairedDifference | None:
    """The paired difference of two results, or of two recipes; positive if a is better.

    None if they share fewer than two independent groups of events.

    Args:
        measurement: says what the number is of its values, and which direction is better.
        a: a result, or those of the seeds of one recipe; all fit each other, see `misfit`.
        b: another.

    Raises:
        ValueError: if a number is not finite for some weights.
        DataError: if nobody knows how long the windows of a stream are.
        PluginError: if the measurement fails.
    """
    groups, dims = a[0].values.groups, _scored_dims(a[0])
    count = a[0].section.num_values
    if (count if groups is None else len(torch.unique(groups))) < 2:
        return None
    values_a, values_b = ([answer.values.values for answer in side] for side in (a, b))
    of_recipes = min(len(a), len(b)) >= FEWEST_SEEDS
    differ = recipes_difference_of if of_recipes else weights_difference_of
    with _blamed_on(measurement):
        return differ(measurement, values_a, values_b, groups, stream_dims=dims)


def sides_of_answers(
    measurement: Measurement, results: Sequence[Sequence[Answer]]
) -> tuple[Sides | None, list[int]]:
    """Results that fit each other, see `misfit`, to be compared pair by pair; and which they are.

    Left out are those whose number is not finite for some weights; None if that is all of them.

    Args:
        measurement: says what the number is of its values, and which direction is better.
        results: the seeds of each; not of a stream.

    Raises:
        PluginError: if the measurement fails.
    """
    values = [[answer.values.values for answer in seeds] for seeds in results]
    with _blamed_on(measurement):
        return sides_by(measurement, values, results[0][0].values.groups)


@contextmanager
def _blamed_on(measurement: Measurement) -> Iterator[None]:
    """What its author has to mend, as one sentence; what it says of its values is passed on."""
    try:
        yield
    except (ArbenchError, ValueError):
        raise
    except Exception as error:  # the code is somebody else's
        raise PluginError(
            f"{measurement.name}: value_of failed: {type(error).__name__}: {error}; ask its author"
        ) from error


def _scored_dims(answer: Answer) -> Tensor | None:
    """How many symbols each window of a stream scores, `(N,)` int64; None for events."""
    if not answer.is_of_stream:
        return None
    record, index = answer.record, answer.section.index
    name = next((name for name in record.splits if name == index), None)
    if name is None:
        raise DataError(
            f"{answer.source}: the length of its windows on {index} is not in its record, and the "
            "error of a stream needs it"
        )
    return window_dims(record, name)
