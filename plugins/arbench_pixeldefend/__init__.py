"""Registers the measurement pixeldefend."""

from __future__ import annotations

from arbench import MeasurementEntry

arbench_entries = [
    MeasurementEntry(
        name="pixeldefend",
        measurement="arbench_pixeldefend.measurement:PixelDefend",
        summary="accuracy of a classifier under attack, behind purification by the density",
        extra="attacks",
    ),
]
