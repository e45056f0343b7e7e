"""`arbench.measure_run`: more measurements of a finished run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from arbench.errors import ConfigError
from arbench.hub.card import write_card
from arbench.hub.finding import find_run
from arbench.measure.measurement import Measurement
from arbench.measure.opening import open_measurement
from arbench.runs.measuring import measure_run as measure_more_of
from arbench.runs.record.record import Record
from arbench.show.reporting import Reporter


def measure_run(
    path: str | Path,
    *names: str,
    task: str | None = None,
    device: str = "auto",
    reporter: Reporter | None = None,
) -> Record:
    """Make more measurements of a finished run, and write them into its record and card.

    A result that the record already holds, of the same version and settings, stays.

    Args:
        path: the run folder. (A run by another name is a shared copy, which nobody may change.)
        names: of measurements, such as "speed" or "speed?batch_sizes=[1,256]".
        task: for a run on your own data: where they are, such as "images:PATH".
        device: where to compute.
        reporter: receives progress.

    Returns:
        The record with all that has been measured.

    Raises:
        ConfigError: if no measurement has that name, it means nothing for this run, or the run is
            not in a folder of your own.
        CheckpointError: if the run is unfinished or damaged.
        PluginError: if a measurement fails.
    """
    folder = find_run(path)
    if folder != Path(path):
        raise ConfigError(
            f"{path} is a copy that others share: `arbench download {path} --out DIR` makes one of "
            "your own to measure"
        )
    measurements = [open_measurement(name) for name in names]
    record = measure_more_of(
        folder,
        measurements,
        task_text=task,
        device=_device_of(measurements, device),
        reporter=reporter or Reporter(),
        find=find_run,
    )
    write_card(folder)
    return record


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
