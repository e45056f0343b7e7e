"""`arbench verify`: compares a record with a new evaluation; tolerance; binding."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import torch
from torch import Tensor

from arbench.data.dataset import Dataset
from arbench.data.tasks import Split
from arbench.errors import ConfigError, DataError
from arbench.files.atomic import sha256_of
from arbench.measure.asking import Measuring
from arbench.measure.likelihood import PiecesRecord, SplitRecord, scored_windows
from arbench.measure.per_event import load_per_event, save_per_event
from arbench.measure.statistics.metrics import FLOAT64_ROUNDING_SHARE, ROUNDING_SHARE
from arbench.probability.density import Density
from arbench.runs.config import RunConfig
from arbench.runs.folder import RunFolder
from arbench.runs.loading import load_run
from arbench.runs.measuring import measuring_of
from arbench.runs.record.binding import bound_files
from arbench.runs.record.plausibility import plausibility_fault
from arbench.runs.record.record import HashesRecord, Record, TaskRecord
from arbench.runs.record.renewal import with_errors
from arbench.runs.record.values import LogProbs, test_of
from arbench.runs.results.verification import ResultVerification, verify_results
from arbench.runs.trained_checks import check_trained
from arbench.show.reporting import Reporter

Nats = TypeVar("Nats", float, Tensor)

_OF_TASK = ("name", "version", "data_sha256", "num_dims", "unit")  # what a number is read by
TOLERANCE_NATS = 1e-3  # for events of few nats, whatever the share of them that is rounding


def tolerance_nats(nats: Nats) -> Nats:
    """How far other devices, threads and versions of torch may move numbers of so many nats.

    Every site's term is float32, and rounding moves it in proportion to its size: a wider event
    moves more. Float32 and float64 were seen to differ by at most one part in 2^23 of the event,
    over convolutions, recurrences and attention, from 80 to 30,000 nats; the share allowed is
    eight times that.
    """
    return TOLERANCE_NATS + ROUNDING_SHARE * abs(nats)


@dataclass(frozen=True)
class Verification:
    """A record beside what its weights give on the test split, on `device`.

    Attributes:
        recorded_nats: per event, as the record has it.
        found_nats: per event, recomputed.
        largest_difference_nats: between an event's recorded log-probability and the recomputed one,
            of the event that differs most beside its tolerance; None if there is not one for
            every event.
        tolerance_nats: for that event.
        num_events: test events.
        device: where it was recomputed.
        misstated: what the record says otherwise than its run, or than follows from its
            log-probabilities and the data, such as "likelihood.test.bits_per_dim".
        is_bound: whether the record carries the hashes of what it belongs to.
        binding: what became of that; empty where it carried them before.
        results: of the other measurements in the record.
    """

    recorded_nats: float
    found_nats: float
    largest_difference_nats: float | None
    tolerance_nats: float
    num_events: int
    device: str
    misstated: tuple[str, ...]
    is_bound: bool
    binding: str = ""
    results: tuple[ResultVerification, ...] = ()

    @property
    def difference_nats(self) -> float:
        """Between the two numbers, per event."""
        return abs(self.recorded_nats - self.found_nats)

    @property
    def holds(self) -> bool:
        """Whether nothing is misstated, and number and events agree within the tolerance.

        Results of other measurements have to hold too, where they are judged.
        """
        return (
            not self.misstated
            and self.largest_difference_nats is not None
            and self.difference_nats <= tolerance_nats(self.found_nats)
            and self.largest_difference_nats <= self.tolerance_nats
            and all(result.holds is not False for result in self.results)
        )

    def to_json(self) -> dict[str, object]:
        """All that was found, for machines."""
        return {
            **asdict(self),
            "difference_nats": self.difference_nats,
            "holds": self.holds,
            "results": [result.to_json() for result in self.results],
        }


def verify_run(
    path: Path,
    *,
    task_text: str | None,
    device: str,
    reporter: Reporter | None,
    bind: bool = False,
    find: Callable[[str], Path] = Path,
) -> Verification:
    """Evaluate a finished run on its test split again and compare with what it recorded.

    Every other measurement in its record is asked again, too.

    Args:
        path: the run folder.
        task_text: for a run on the user's own data, where they are.
        device: where to compute.
        reporter: receives progress; by default nobody.
        bind: whether a record that holds, and names no files yet, is to name them; see `_bind`.
        find: the folder of a run by its name, for measurements that compare with others.

    Raises:
        ConfigError: if the record is of a density whose weights are not there, or of a model that
            has no likelihood on its task.
        CheckpointError: if the run is unfinished or damaged.
        DataError: if the data are missing or others.
    """
    folder = RunFolder(path)
    if folder.record.exists() and Record.read(folder.record).foreign is not None:
        raise ConfigError(f"{path}: its weights are not here, so nothing can be computed again")
    config = RunConfig.read(folder.config)
    folder.require_finished()
    record = Record.read(folder.record)
    test_of(record, path)
    measuring = measuring_of(
        path,
        config,
        record,
        task_text=task_text,
        device=device,
        reporter=reporter or Reporter(),
        find=find,
    )
    measuring.dataset.drop("train")
    with TemporaryDirectory() as scratch:  # what the run's measurements left there stays as it is
        measuring.folder = Path(scratch)
        measuring.log_probs("test")
        results = _results(folder, record, measuring)
    found = _verified(record, config, _kept(folder), measuring, results)
    return _bind(path, found, measuring.dataset, reporter) if bind else found


def _verified(
    record: Record,
    config: RunConfig,
    kept: LogProbs | None,
    measuring: Measuring,
    results: tuple[ResultVerification, ...],
) -> Verification:
    """What was recorded, beside what was found now."""
    dataset, found = measuring.dataset, measuring.log_probs("test")
    split, test = dataset.split("test"), record.splits["test"]
    largest, tolerance = _largest_difference(None if kept is None else kept.values, found)
    misstated: tuple[str, ...] = ()
    if kept is not None and largest is not None:
        again = _test_of(record, kept, split, measuring.density)
        misstated = _misstated(record, config, dataset, again, kept)
        if test.num_groups is not None and not _same_groups(kept, split):
            misstated += ("log_probs.groups",)
        if plausibility_fault(record, found, dataset):
            misstated += ("truth",)
    return Verification(
        recorded_nats=test.nats_per_event,
        found_nats=-found.mean().item(),
        largest_difference_nats=largest,
        tolerance_nats=tolerance,
        num_events=len(split),
        device=str(measuring.density.device),
        misstated=misstated,
        is_bound=record.is_bound,
        results=results,
    )


def _bind(
    path: Path, found: Verification, dataset: Dataset, reporter: Reporter | None
) -> Verification:
    """Write the hashes of a run's files into its record, if `verify_run` has found that it holds.

    A record of format 1 becomes one of the newest, with errors over what is independent and the
    checks of the trained model. What carries its hashes already stays as it is.

    Args:
        path: the run folder.
        found: what `verify_run` found there.
        dataset: of the run.
        reporter: receives progress; by default nobody.

    Returns:
        The same, and what became of the binding.

    Raises:
        PluginError: if the trained model fails a check; see `check_trained`.
    """
    if found.is_bound or not found.holds:
        return found
    folder = RunFolder(path)
    if not os.access(path, os.W_OK):
        return replace(found, binding=f"not bound: you may not write in {path}; copy it and verify")
    record = Record.read(folder.record)
    config = RunConfig.read(folder.config)
    split, validation = dataset.split("test"), dataset.split("validation").events
    assembly = load_run(path, device=found.device)
    checks = check_trained(assembly, config, validation, reporter or Reporter())
    kept = LogProbs(LogProbs.load(folder.per_event).values, split.groups)
    if kept.groups is not None:
        others = load_per_event(folder.per_event)
        save_per_event(folder.per_event, others | kept.per_event)
    hashes = {part: sha256_of(file) for part, file in bound_files(path).items()}
    if folder.metrics.exists():
        hashes["metrics"] = sha256_of(folder.metrics)
    record = with_errors(record, kept, split, dataset.task.group)
    assert record.training is not None  # a foreign one is not verified
    training = record.training.model_copy(update={"recipe_sha256": config.recipe_sha256})
    bound = {"sha256": HashesRecord(**hashes), "training": training, "checks": checks}
    record.model_copy(update=bound).write(folder.record)
    return replace(found, is_bound=True, binding="bound: the record names the files it belongs to")


def _kept(folder: RunFolder) -> LogProbs | None:
    try:
        return LogProbs.load(folder.per_event)
    except DataError:  # none in it: nothing of the record holds
        return None


def _results(
    folder: RunFolder, record: Record, measuring: Measuring
) -> tuple[ResultVerification, ...]:
    """Every other measurement in a record beside what is found again."""
    try:
        values = load_per_event(folder.per_event)
    except DataError:  # of another shape: none of them is there
        values = {}
    return verify_results(record, values, measuring.ask, measuring.refusal)


def _test_of(record: Record, kept: LogProbs, split: Split, density: Density) -> SplitRecord:
    """What a record has to say of the test split, by its log-probabilities and the data.

    One of format 1 took every event for independent of every other.
    """
    domain, kind = density.spec.domain, density.kind
    if record.splits["test"].num_groups is not None:
        return SplitRecord.of(kept.values, split, domain, kind)
    alone = SplitRecord.of(kept.values, Split(split.events, split.scored), domain, kind)
    return alone.model_copy(update={"num_groups": None})


def _same_groups(kept: LogProbs, split: Split) -> bool:
    if kept.groups is None or split.groups is None:
        return kept.groups is split.groups
    return torch.equal(kept.groups, split.groups)


def _misstated(
    record: Record, config: RunConfig, dataset: Dataset, test: SplitRecord, kept: LogProbs
) -> tuple[str, ...]:
    """What in a record, by its path, is not that of the run and its recorded log-probabilities."""
    own = TaskRecord.from_task(dataset.task, config.data_sha256)
    of_task = [*_OF_TASK, *["groups"] * (test.num_groups is not None)]
    pieces = None
    if dataset.pieces is not None:
        pieces = PiecesRecord.of(dataset.pieces, {"test": (kept.values, dataset.split("test"))})
    pairs = {
        **{f"task.{name}": (getattr(record.task, name), getattr(own, name)) for name in of_task},
        "model.name": (record.model.name, config.model),
        "likelihood.windows": (record.windows, scored_windows(dataset.windows)),
        "likelihood.pieces": (_of_test_alone(record.pieces), pieces),
        **{
            f"likelihood.test.{name}": (said, getattr(test, name))
            for name, said in record.splits["test"]
        },
    }
    return tuple(name for name, (said, found) in pairs.items() if not _is_same(said, found))


def _of_test_alone(pieces: PiecesRecord | None) -> PiecesRecord | None:
    return None if pieces is None else pieces.model_copy(update={"validation": None})


def _is_same(said: object, found: object) -> bool:
    if isinstance(said, float) and isinstance(found, float):
        return math.isclose(
            said, found, rel_tol=FLOAT64_ROUNDING_SHARE, abs_tol=FLOAT64_ROUNDING_SHARE
        )
    return said == found


def _largest_difference(recorded: Tensor | None, found: Tensor) -> tuple[float | None, float]:
    """In nats, beside the tolerance; None where the two are not of the same events."""
    tolerances = tolerance_nats(found)
    if recorded is None or recorded.shape != found.shape:
        return None, tolerances.min().item()
    differences = (recorded.double() - found).abs()
    worst = (differences / tolerances).argmax()
    return differences[worst].item(), tolerances[worst].item()
