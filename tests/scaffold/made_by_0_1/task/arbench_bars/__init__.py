"""Registers the task bars, by the name of its class: so listing it imports no torch."""

from __future__ import annotations

from arbench import TaskEntry, hookimpl


@hookimpl
def arbench_register_tasks() -> list[TaskEntry]:
    """The tasks of this package."""
    return [
        TaskEntry(
            name="bars",
            task="arbench_bars.task:BarsTask",
            summary="synthetic: noisy bars, 8x8 bits",  # EDIT: one line for `arbench list`
        )
    ]
