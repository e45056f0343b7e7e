"""Registers the command plot."""

from __future__ import annotations

from arbench import CommandEntry

arbench_entries = [
    CommandEntry(
        name="plot",
        command="arbench_plots.commands:plot",
        summary="Draw the training curves of runs.",
    ),
]
