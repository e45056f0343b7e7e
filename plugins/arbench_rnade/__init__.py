"""RNADE, the real-valued neural autoregressive density estimator."""

from __future__ import annotations

from arbench import ModelEntry, hookimpl


@hookimpl
def arbench_register_models() -> list[ModelEntry]:
    """The RNADE; its mixture is the head of the recipe."""
    return [
        ModelEntry(
            name="rnade",
            network="arbench_rnade.network:RNADE",
            summary="NADE for real numbers: a mixture of Gaussians per dim, O(T H)",
            paper="Uria, Murray and Larochelle, NeurIPS 2013",
            recipes="arbench_rnade",
        )
    ]
