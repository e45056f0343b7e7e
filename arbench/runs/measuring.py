"""Makes the sections of a record from what was measured.

A run, a foreign density, `arbench measure` and `arbench verify` all ask through `Measuring`.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from arbench.data.dataset import Dataset
from arbench.data.sources import cache_dir
from arbench.data.tasks import SplitName
from arbench.errors import ArbenchError, ConfigError, Interrupted
from arbench.measure.asking import ask, refusal
from arbench.measure.context import Context, Opened
from arbench.measure.environment import describe_environment
from arbench.measure.likelihood import evaluate_log_probs
from arbench.measure.measurement import Measurement
from arbench.measure.per_event import EventValues, load_per_event, save_per_event
from arbench.measure.sections import Section
from arbench.runs.config import RunConfig
from arbench.runs.folder import RunFolder
from arbench.runs.loading import check_bound, load_run
from arbench.runs.record.binding import next_per_event, settle_per_event
from arbench.runs.record.record import Record
from arbench.runs.request import reopen, require_likelihood
from arbench.show.reporting import Reporter
from arbench.training.devices import resolve_device

if TYPE_CHECKING:
    from arbench.probability.density import Density

FOLDER = "measurements"  # within a run folder, for what measurements leave there


class Measuring:
    """What is asked of one density on one dataset; log-probabilities are made once and shared.

    Args:
        density: whom.
        dataset: on what.
        subject: what messages call the density.
        seed: of the run, which keys whatever a measurement draws.
        folder: of the run.
        reporter: receives progress.
        find: the folder of a run by its name, for measurements that compare with others.

    Attributes:
        sections: of a record, by the keys of the results.
        values: of every event, by the keys of the results.
    """

    def __init__(
        self,
        density: Density,
        dataset: Dataset,
        *,
        subject: str,
        seed: int,
        folder: Path,
        reporter: Reporter,
        find: Callable[[str], Path] = Path,
    ) -> None:
        self.density = density
        self.dataset = dataset
        self.subject = subject
        self.seed = seed
        self.folder = folder
        self.reporter = reporter
        self.find = find
        self.sections: dict[str, Section] = {}
        self.values: dict[str, EventValues] = {}
        self.log_probs = functools.cache(self._log_probs)

    def _log_probs(self, split: SplitName) -> Tensor:
        """Log-probability `(N,)` of every event of a split, nats, float64."""
        with self.reporter.bar(f"evaluating {split}") as advance:
            return evaluate_log_probs(self.density, self.dataset.split(split), progress=advance)

    def refusal(self, measurement: Measurement) -> str | None:
        """Why a measurement means nothing here, in a sentence; None if it does."""
        return refusal(measurement, self.density, self.dataset)

    def ask(self, measurement: Measurement) -> tuple[Section, EventValues]:
        """Put one question; the answer is kept, and returned.

        Raises:
            Impossible: if the run can have no number at all.
            PluginError: if the measurement fails.
        """
        key = measurement.key
        name, _, settings = key.partition("?")
        if settings:  # what results of other settings leave is kept apart
            name = f"{name}-{hashlib.sha256(settings.encode()).hexdigest()[:8]}"
        context = Context(
            name=measurement.name,
            version=measurement.version,
            seed=self.seed,
            device=self.density.device,
            folder=self.folder / FOLDER / name,
            log_probs=self.log_probs,
            data_sha256=self.dataset.sha256,
            cache=cache_dir(),
            reads=measurement.reads,
            open_dataset=_open_dataset,
            load_density=self._load_density,
            subject=self.subject,
            reporter=self.reporter,
        )
        measured = ask(measurement, self.density, self.dataset, context)
        environment = describe_environment(self.density.device)
        self.sections[key] = measurement.section(measured, context, environment)
        values = EventValues(measured.values, measured.groups)
        if values.values:
            self.values[key] = values
        return self.sections[key], values

    def _load_density(self, name: str) -> Opened[Density]:
        folder = self.find(name)
        record = Record.read(RunFolder(folder).record)
        density = load_run(folder, device=self.density.device).density
        called = f"{record.task.name}/{record.model.name}"
        return Opened(density, called, record.sha256.weights or "")


def _open_dataset(text: str) -> Opened[Dataset]:
    dataset = Dataset(text)
    return Opened(dataset, dataset.task.name, dataset.sha256)


def require_askable(
    measurements: Iterable[Measurement], measuring: Measuring, config: RunConfig
) -> None:
    """Refuse measurements that mean nothing here, or would see what may not be seen.

    Raises:
        ConfigError: with the reason.
    """
    for measurement in measurements:
        reads_test = any(read in ("test", "labels:test") for read in measurement.reads)
        if reads_test and not config.recipe.training.evaluate_test:
            raise ConfigError(
                f"{measurement.key} reads the test split, and the run is made with evaluate_test "
                "= false: nothing of it may be seen"
            )
        if fault := measuring.refusal(measurement):
            raise ConfigError(f"{measurement.key} is not measured: {fault}")


def measure_run(
    path: Path,
    measurements: Sequence[Measurement],
    *,
    task_text: str | None = None,
    device: str = "auto",
    reporter: Reporter,
    find: Callable[[str], Path] = Path,
) -> Record:
    """Measure more of a finished run, and write it into its record.

    What is there already, by the same version and settings, is kept. The folder is locked
    meanwhile; a kill leaves the record of before, or the new one with everything in it.

    Args:
        path: the run folder.
        measurements: what to ask.
        task_text: for a run on the user's own data, where they are.
        device: where to compute.
        reporter: receives progress.
        find: the folder of a run by its name.

    Raises:
        ConfigError: if the weights are not in the folder, it is not bound, or a measurement means
            nothing for this run.
        CheckpointError: if the run is unfinished or damaged.
        PluginError: if a measurement fails.
    """
    folder = RunFolder(path)
    folder.require_finished()
    if folder.record.exists() and Record.read(folder.record).foreign is not None:
        raise ConfigError(f"{path}: its weights are not here, so nothing more can be measured")
    if not os.access(path, os.W_OK):
        raise ConfigError(f"{path}: you may not write there; copy it with `arbench download`")
    with folder.locked():
        record = Record.read(folder.record)
        if not record.is_bound:
            raise ConfigError(
                f"{path} is not bound: `arbench verify {path}` binds it, then measure"
            )
        settle_per_event(path, record.sha256.per_event, clear=True)
        check_bound(path, record)
        wanted = [m for m in measurements if not _is_there(m, record, reporter)]
        if not wanted:
            return record
        config = RunConfig.read(folder.config)
        dataset = reopen(config, task_text, limit=record.limit)
        require_likelihood(config.model, config.layouts, dataset)
        density = load_run(path, device=resolve_device(device)).density
        measuring = Measuring(
            density,
            dataset,
            subject=config.model,
            seed=config.seed,
            folder=path,
            reporter=reporter,
            find=find,
        )
        require_askable(wanted, measuring, config)
        return measure_more(folder, record, wanted, measuring)


def measure_more(
    folder: RunFolder, record: Record, wanted: Iterable[Measurement], measuring: Measuring
) -> Record:
    """Put more questions; every answer is in the record on disk before the next is asked.

    What nothing may run beside comes last.

    Raises:
        ArbenchError: if one fails; the run is finished all the same.
    """
    for measurement in sorted(wanted, key=lambda m: m.exclusive):
        try:
            measuring.ask(measurement)
        except ArbenchError as error:
            # A stop signal's own words send the reader to a training that has nothing left to do.
            what = "interrupted" if isinstance(error, Interrupted) else error
            again = f"`arbench measure {folder.path} '{measurement.key}'`"
            error.args = (f"{what}; the run is finished, and {again} asks again",)
            raise
        record = _written(folder, record, measuring)
    return record


def _is_there(measurement: Measurement, record: Record, reporter: Reporter) -> bool:
    section = record.measurements.get(measurement.key)
    if section is None or section.version != measurement.version:
        return False
    elsewhere = (
        ""
        if measurement.reproducible
        else (f"; another device is a setting, such as '{measurement.name}?device=cuda'")
    )
    reporter.say(
        f"{measurement.key} is measured already, by version {section.version}: kept{elsewhere}"
    )
    return True


def _written(folder: RunFolder, record: Record, measuring: Measuring) -> Record:
    """The record with what was measured so far, on disk.

    First the values, beside those of before; then the record, which names the new file; then the
    new file takes the place of the old one. What a kill leaves undone of this, `settle_per_event`
    does.
    """
    hashes = record.sha256
    if measuring.values:
        before = load_per_event(folder.per_event) if folder.per_event.exists() else {}
        digest = save_per_event(next_per_event(folder.path), {**before, **measuring.values})
        hashes = hashes.model_copy(update={"per_event": digest})
    measured = record.model_copy(
        update={"measurements": {**record.measurements, **measuring.sections}, "sha256": hashes}
    ).sealed()
    measured.write(folder.record)
    settle_per_event(folder.path, hashes.per_event)
    return measured
