"""Measures more of a run that is finished, and writes every answer into its record at once."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from arbench.errors import ArbenchError, ConfigError, Interrupted
from arbench.measure.asking import Measuring, lacking
from arbench.measure.likelihood import Likelihood
from arbench.measure.measurement import Measurement
from arbench.measure.per_event import load_per_event, save_per_event
from arbench.runs.config import RunConfig
from arbench.runs.folder import RunFolder
from arbench.runs.loading import check_bound, load_density, load_run, read_config
from arbench.runs.record.binding import next_per_event, settle_per_event
from arbench.runs.record.record import Record
from arbench.runs.record.values import read_log_probs
from arbench.runs.request import recorded_task, reopen
from arbench.show.reporting import Reporter
from arbench.training.devices import resolve_device

if TYPE_CHECKING:
    from arbench.measure.processes import Processes


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
            raise ConfigError(_not_measured(measurement, fault))


def require_offered(
    path: Path, measurements: Iterable[Measurement], task_text: str | None = None
) -> None:
    """Refuse measurements that need what a finished run or its task does not offer.

    No data are read, so this can be said where there are none.

    Args:
        path: the run folder.
        measurements: what to ask.
        task_text: for a run on the user's own data, where they are.

    Raises:
        ConfigError: with the reason.
        CheckpointError: if the weights are missing or damaged.
    """
    config = RunConfig.read(RunFolder(path).config)
    task = recorded_task(config, task_text)
    density = load_run(path).density
    for measurement in measurements:
        if fault := lacking(measurement, density, task):
            raise ConfigError(_not_measured(measurement, fault))


def _not_measured(measurement: Measurement, fault: str) -> str:
    return f"{measurement.key} is not measured: {fault}"


def measure_run(
    path: Path,
    measurements: Sequence[Measurement],
    *,
    task_text: str | None = None,
    device: str = "auto",
    reporter: Reporter,
    find: Callable[[str], Path] = Path,
    processes: Processes | None = None,
) -> Record:
    """Measure more of a finished run, and write it into its record.

    What is there already, by the same version and settings, is kept. The log-probabilities of test
    are those of the run, by the hash in its record; only a verification makes them again. The
    folder is locked meanwhile; a kill leaves the record of before, or the new one with everything
    in it.

    Args:
        path: the run folder.
        measurements: what to ask.
        task_text: for a run on the user's own data, where they are.
        device: where to compute.
        reporter: receives progress.
        find: the folder of a run by its name.
        processes: that compute log-probabilities together, this the main one; None for one.

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
        require_offered(path, wanted, task_text)
        config = RunConfig.read(folder.config)
        measuring = measuring_of(
            path, config, record, task_text=task_text, device=device, reporter=reporter, find=find
        )
        measuring.processes = processes
        require_askable(wanted, measuring, config)
        likelihood = record.measurements.get(Likelihood.name)
        if "test" in record.splits and likelihood and likelihood.version == Likelihood.version:
            measuring.evaluated["test"] = read_log_probs(record, folder.per_event).values
        return measure_more(folder, record, wanted, measuring)


def reopened(path: Path, *, task_text: str | None, device: str) -> Measuring:
    """What another process than the main one computes log-probabilities by; see `measuring_of`."""
    config, record = read_config(path), Record.read(RunFolder(path).record)
    options: dict[str, Any] = {"task_text": task_text, "device": device}
    return measuring_of(path, config, record, **options, reporter=Reporter(), find=Path)


def measuring_of(
    path: Path,
    config: RunConfig,
    record: Record,
    *,
    task_text: str | None,
    device: str,
    reporter: Reporter,
    find: Callable[[str], Path],
) -> Measuring:
    """What asks a finished run: its trained density, on the events that its record is about.

    Args:
        path: the run folder.
        config: of the run.
        record: of the run.
        task_text: for a run on the user's own data, where they are.
        device: where to compute.
        reporter: receives progress.
        find: the folder of a run by its name, for measurements that compare with others.

    Raises:
        ConfigError: if the model has no likelihood on its task.
        CheckpointError: if the weights are missing or damaged.
        DataError: if the data are missing or others.
    """
    density = load_run(path, device=resolve_device(device)).density
    dataset = reopen(config, task_text, limit=record.limit)
    dataset.require_likelihood(config.model, config.layouts)
    return Measuring(
        density,
        dataset,
        subject=config.model,
        seed=config.seed,
        folder=path,
        reporter=reporter,
        load_density=functools.partial(load_density, find=find, device=density.device),
    )


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
    measured = record.with_sections(**measuring.sections)
    measured = measured.model_copy(update={"sha256": hashes}).write(folder.record)
    settle_per_event(folder.path, hashes.per_event)
    return measured
