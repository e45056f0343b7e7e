"""`arbench.measure_run`: more measurements of a finished run."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from arbench.errors import ConfigError
from arbench.hub.card import write_card
from arbench.hub.finding import HUB_PREFIX, find_run
from arbench.measure.measurement import Measurement
from arbench.measure.opening import open_measurement
from arbench.runs.folder import RunFolder
from arbench.runs.measuring import measure_run as measure_more_of
from arbench.runs.measuring import reopened, require_offered
from arbench.runs.record.record import Record
from arbench.show.notebooks.bars import usual_reporter
from arbench.show.pictures import pictures_of, shown_of
from arbench.show.reporting import Reporter
from arbench.training.devices import several_processes


def measure_run(
    path: str | Path,
    *names: str,
    task: str | None = None,
    device: str = "auto",
    out: str | Path | None = None,
    reporter: Reporter | None = None,
) -> Record:
    """Make more measurements of a finished run, and write them into its record and card.

    A result that the record already holds, of the same version and settings, stays. Of several
    processes (`torchrun`, `accelerate launch`) the main one measures, and all compute the
    log-probabilities that it asks for; each has the record.

    Args:
        path: what `load` takes. Of a run that others share, such as a zoo entry, a copy is measured
            and changed; see `folder_to_measure`.
        names: of measurements, such as "speed" or "speed?batch_sizes=[1,256]".
        task: for a run on your own data: where they are, such as "images:PATH".
        device: where to compute.
        out: the folder of that copy.
        reporter: receives progress.

    Returns:
        The record with all that has been measured.

    Raises:
        ConfigError: if no measurement has that name, it means nothing for this run, or `out` is
            no place for its copy.
        CheckpointError: if the run is unfinished or damaged.
        PluginError: if a measurement fails.
    """
    measurements = [open_measurement(name) for name in names]
    reporter = reporter or usual_reporter()
    device, processes = several_processes(_device_of(measurements, device))

    def place() -> Path:
        found = find_run(path)
        if found != Path(path):
            require_offered(found, measurements, task)  # before a copy is made
        return folder_to_measure(path, out=out, reporter=reporter, found=found)

    def measure(folder: Path) -> Record:
        options: dict[str, Any] = {"task_text": task, "device": device, "reporter": reporter}
        record = measure_more_of(
            folder, measurements, **options, find=find_run, processes=processes
        )
        write_card(folder)
        _name_pictures(folder, record, measurements, reporter)
        return record

    if processes is None:
        return measure(place())
    folder = processes.led(place)
    others = functools.cache(lambda: reopened(folder, task_text=task, device=device))
    return processes.led(lambda: measure(folder), lambda split: others().found(split))


def _name_pictures(
    folder: Path, record: Record, measurements: Sequence[Measurement], reporter: Reporter
) -> None:
    asked = {measurement.key for measurement in measurements}
    for key, files in pictures_of(folder, record.model_dump(mode="json")["measurements"]).items():
        for file in shown_of(files) if key in asked else []:
            reporter.say(f"picture of {key}: {file}")


def folder_to_measure(
    path: str | Path,
    *,
    out: str | Path | None = None,
    reporter: Reporter,
    found: Path | None = None,
) -> Path:
    """The folder of a run where results may be written.

    A run folder is its own. A zoo entry, or a run on the Hub, is copied first, unless its copy is
    there already.

    Args:
        path: what `load` takes.
        out: the folder of the copy; by default "runs/zoo/mnist/nade" for "mnist/nade", and
            "runs/hub/org/name" for "hf:org/name".
        reporter: is told where the copy is.
        found: the folder that `path` stands for, if it was looked up already.

    Raises:
        ConfigError: if a run folder comes with an `out`, or the place is taken by something else.
    """
    from arbench.hub.snapshots import copy_run

    found = found or find_run(path)
    if found == Path(path):
        if out is not None:
            raise ConfigError(f"--out is for the copy of a run that others share; {path} is yours")
        return found
    name = str(path)
    hub = name.startswith(HUB_PREFIX)
    home, entry = ("hub", name.removeprefix(HUB_PREFIX).partition("@")[0]) if hub else ("zoo", name)
    copy = Path("runs", home, entry) if out is None else Path(out)
    if not copy.exists() or (copy.is_dir() and not any(copy.iterdir())):
        copy_run(found, copy)
    elif not _is_copy(copy, found):
        raise ConfigError(
            f"{copy} holds something else than {path}: name another folder for its copy with --out"
        )
    reporter.say(f"{path} is shared, so its copy {copy} is measured")
    return copy


def _is_copy(folder: Path, original: Path) -> bool:
    """Whether a folder holds the run with the same weights."""
    records = [RunFolder(each).record for each in (folder, original)]
    if not all(record.exists() for record in records):
        return False
    ours, theirs = (Record.read(record).sha256.weights for record in records)
    return ours == theirs


def _device_of(measurements: Sequence[Measurement], device: str) -> str:
    """The device that measurements ask for by a setting, else the one given.

    Raises:
        ConfigError: if they ask for several.
    """
    asked = {each for m in measurements if (each := m.settings.get("device"))}
    if len(asked) > 1:
        raise ConfigError(f"measure on one device at a time, not on {' and '.join(sorted(asked))}")
    return asked.pop() if asked else device


def measurement_keys(names: Sequence[str]) -> list[str]:
    """The keys under which a record holds what these names mean."""
    return [open_measurement(name).key for name in names]
