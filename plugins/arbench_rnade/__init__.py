"""RNADE, the real-valued neural autoregressive density estimator."""

from __future__ import annotations

from arbench import ModelEntry

arbench_entries = [
    ModelEntry(
        name="rnade",
        network="arbench_rnade.network:RNADE",
        summary="NADE for real numbers: a mixture of Gaussians per dim, O(T H)",
        paper="Uria, Murray and Larochelle, NeurIPS 2013",
        recipes="arbench_rnade",
    )
]
