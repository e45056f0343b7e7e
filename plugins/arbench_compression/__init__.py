"""Registers the measurement compression, and the commands compress and decompress."""

from __future__ import annotations

from arbench import CommandEntry, MeasurementEntry

arbench_entries = [
    MeasurementEntry(
        name="compression",
        measurement="arbench_compression.measurement:Compression",
        summary="bits/dim of a file that was written and decoded back",
        extra="measure",
    ),
    CommandEntry(
        name="compress",
        command="arbench_compression.commands:compress",
        summary="Write events into a file of about as many bits as their likelihood says.",
    ),
    CommandEntry(
        name="decompress",
        command="arbench_compression.commands:decompress",
        summary="Read events back from such a file.",
    ),
]
