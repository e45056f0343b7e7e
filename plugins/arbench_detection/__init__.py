"""Registers the measurement detection, and the command score."""

from __future__ import annotations

from arbench import CommandEntry, MeasurementEntry

arbench_entries = [
    MeasurementEntry(
        name="detection",
        measurement="arbench_detection.measurement:Detection",
        summary="how well the density tells other events from its own",
        extra="measure",
    ),
    CommandEntry(
        name="score",
        command="arbench_detection.commands:score",
        summary="How likely a model finds your own images, texts or sounds, in a table.",
    ),
]
