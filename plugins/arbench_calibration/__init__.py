"""Registers the measurement calibration."""

from __future__ import annotations

from arbench import MeasurementEntry

arbench_entries = [
    MeasurementEntry(
        name="calibration",
        measurement="arbench_calibration.measurement:Calibration",
        summary="how far predicted probabilities are from what happens (ECE)",
        extra="measure",
    )
]
