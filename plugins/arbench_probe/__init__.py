"""Registers the measurement probe: how well a linear probe tells classes by a model's features."""

from __future__ import annotations

from arbench import MeasurementEntry

arbench_entries = [
    MeasurementEntry(
        name="probe",
        measurement="arbench_probe.measurement:Probe",
        summary="accuracy of a linear classifier of a model's features",
        extra="measure",
    )
]
