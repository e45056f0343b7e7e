"""Gated DeltaNet: a memory that forgets, and that corrects what it remembers."""

from __future__ import annotations

from arbench import ModelEntry

arbench_entries = [
    ModelEntry(
        name="gated-deltanet",
        network="arbench_gated_deltanet.network:GatedDeltaNet",
        summary="linear attention that forgets by gates and overwrites by the delta rule",
        paper="Yang, Kautz and Hatamizadeh, ICLR 2025",
        recipes="arbench_gated_deltanet",
    )
]
