"""A measurement, registered by the name of its class: so listing it imports no torch."""

from __future__ import annotations

from arbench import MeasurementEntry, hookimpl


@hookimpl
def arbench_register_measurements() -> list[MeasurementEntry]:
    """The share of copies."""
    return [
        MeasurementEntry(
            name="copies",
            measurement="arbench_copies.copies:Copies",
            summary="samples that are copies of train events",
        )
    ]
