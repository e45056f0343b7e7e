"""Registers the launcher that comes with arbench."""

from __future__ import annotations

from arbench.registry.entries import LauncherEntry

arbench_entries = [
    LauncherEntry(
        name="local",
        launcher="arbench.runs.pool.local:Local",
        summary="processes on this machine, each a worker of the whole queue",
    ),
]
