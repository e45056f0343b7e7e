"""The logger: a run of trackio with the curve, the configuration and the results."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import trackio

from arbench import Logger, LogPoint, Record


class Trackio(Logger):
    """A training curve in trackio.

    Args:
        project: of trackio; none stands for the task, whose runs can be compared.
    """

    def __init__(self, *, project: str | None = None) -> None:
        self._project = project

    def begin(self, folder: Path, name: str, config: Mapping[str, Any]) -> None:
        """Begin a run; it replaces what earlier sittings wrote of the same folder."""
        project = self._project or str(config["task"]).partition(":")[0]
        place = str(folder.resolve())
        try:
            earlier = [*trackio.Api().runs(project)]
        except ValueError:  # no run has begun this project
            earlier = []
        for run in earlier:
            if run.name == name and (run.config or {}).get("folder") == place:
                run.delete()
        with _silence():
            self._run: Any = trackio.init(  # of which some is not typed
                project,
                name,
                config={**config, "folder": place},
                embed=False,
                auto_log_gpu=False,
                auto_log_cpu=False,
            )

    def log(self, point: LogPoint) -> None:
        """A number, such as `nats_per_event/validation`."""
        tag = f"{point.unit.replace('/', '_per_')}/{point.what}"
        self._run.log({tag: point.value}, step=point.step)

    def end(self, record: Record) -> None:
        """The results, such as `result/test_nats_per_event`; the last step is theirs."""
        found = {
            f"result/{split}_{key}": value
            for split, numbers in record.splits.items()
            for key in ("nats_per_event", "bits_per_dim")
            if (value := getattr(numbers, key)) is not None
        }
        if found:
            self._run.log(found, step=record.training.steps if record.training else None)

    def close(self) -> None:
        """Wait until all is written."""
        with _silence():
            self._run.finish()


def _silence() -> contextlib.AbstractContextManager[Any]:
    """What trackio tells of itself is kept from standard output, where a record may go."""
    return contextlib.redirect_stdout(io.StringIO())
