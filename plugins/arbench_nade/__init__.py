"""NADE, the neural autoregressive distribution estimator."""

from __future__ import annotations

from arbench import ModelEntry

arbench_entries = [
    ModelEntry(
        name="nade",
        network="arbench_nade.network:NADE",
        summary="hidden units that grow by one input per site, O(T H) for all conditionals",
        paper="Larochelle and Murray, AISTATS 2011",
        recipes="arbench_nade",
    )
]
