"""The user's own data: tables of zeros and ones, and images."""

from __future__ import annotations

from arbench import TaskEntry, hookimpl


@hookimpl
def arbench_register_tasks() -> list[TaskEntry]:
    """The tasks that this plugin offers."""
    return [
        TaskEntry(
            name="table",
            task="arbench_files.tables:TableTask",
            summary="your own table of zeros and ones, csv or npz",
            argument="PATH",
        ),
        TaskEntry(
            name="images",
            task="arbench_files.images:ImagesTask",
            summary="your own images, npz or a folder of files",
            argument="PATH",
        ),
    ]
