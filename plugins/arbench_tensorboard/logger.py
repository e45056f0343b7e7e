"""The logger: scalars by unit, the configuration and the record as text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from arbench import Logger, LogPoint, Record


class TensorBoard(Logger):
    """A training curve in TensorBoard.

    Args:
        folder: where the event files go; none stands for `tensorboard` in the run folder.
    """

    def __init__(self, *, folder: str | None = None) -> None:
        self._folder = folder

    def begin(self, folder: Path, name: str, config: Mapping[str, Any]) -> None:
        """Open an event file; from its first step on, it replaces those of earlier sittings."""
        place = folder / "tensorboard" if self._folder is None else Path(self._folder) / name
        # TensorBoard's time axis is that of the training, also where points come a second time.
        self._began = (folder / "config.json").stat().st_mtime
        self._writer = SummaryWriter(str(place), purge_step=0)
        self._writer.add_text("config", _as_code(config))

    def log(self, point: LogPoint) -> None:
        """A scalar, such as `nats_per_event/validation`."""
        tag = f"{point.unit.replace('/', '_per_')}/{point.what}"
        time = self._began + point.seconds
        self._writer.add_scalar(tag, point.value, point.step, time)
        self._writer.flush()

    def end(self, record: Record) -> None:
        """The record as text."""
        text = _as_code(record.model_dump(mode="json"))
        self._writer.add_text("record", text)

    def close(self) -> None:
        """Close the event file."""
        self._writer.close()


def _as_code(values: Mapping[str, Any]) -> str:
    """JSON as a block of Markdown."""
    lines = json.dumps(values, indent=1).splitlines()
    return "\n".join(f"    {line}" for line in lines)
