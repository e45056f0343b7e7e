"""Caltech-101 Silhouettes."""

from __future__ import annotations

from arbench import TaskEntry

arbench_entries = [
    TaskEntry(
        name="caltech-silhouettes",
        task="arbench_caltech.silhouettes:CaltechSilhouettes",
        summary="object outlines, binary 28x28, 4,100 / 2,264 / 2,307",
    )
]
