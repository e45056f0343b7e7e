"""Registers the launcher ray."""

from __future__ import annotations

from arbench import LauncherEntry

arbench_entries = [
    LauncherEntry(
        name="ray",
        launcher="arbench_ray.launcher:RayLauncher",
        summary="a Ray cluster, or Ray on this machine: one task for each run",
        extra="ray",
    ),
]
