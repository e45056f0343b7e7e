"""Registers the measurement copies by its class name, so that listing imports no torch."""

from __future__ import annotations

from arbench import MeasurementEntry

arbench_entries = [
    MeasurementEntry(
        name="copies",
        measurement="arbench_copies.copies:Copies",
        summary="samples that are copies of train events",
    )
]
