"""Registers the launcher slurm."""

from __future__ import annotations

from arbench import LauncherEntry

arbench_entries = [
    LauncherEntry(
        name="slurm",
        launcher="arbench_slurm.launcher:SlurmLauncher",
        summary="an array job of SLURM, one element for each run, requeued at its time limit",
        extra="slurm",
    ),
]
