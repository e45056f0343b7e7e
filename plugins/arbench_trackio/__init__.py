"""Registers the logger trackio."""

from __future__ import annotations

from arbench import LoggerEntry

arbench_entries = [
    LoggerEntry(
        name="trackio",
        logger="arbench_trackio.logger:Trackio",
        summary="runs of one task side by side in trackio, on this machine",
        extra="trackio",
    ),
]
