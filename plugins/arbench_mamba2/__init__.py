"""Mamba-2: state spaces whose memory the data open and close."""

from __future__ import annotations

from arbench import ModelEntry

arbench_entries = [
    ModelEntry(
        name="mamba2",
        network="arbench_mamba2.network:Mamba2",
        summary="selective state spaces: products in training, a recurrence in sampling",
        paper="Dao and Gu, ICML 2024",
        recipes="arbench_mamba2",
    )
]
