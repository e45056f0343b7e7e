"""Registers the logger tensorboard."""

from __future__ import annotations

from arbench import LoggerEntry

arbench_entries = [
    LoggerEntry(
        name="tensorboard",
        logger="arbench_tensorboard.logger:TensorBoard",
        summary="event files for TensorBoard, in the run folder",
        extra="tensorboard",
    ),
]
