"""The floor: independent dims."""

from __future__ import annotations

from arbench import ModelEntry, hookimpl


@hookimpl
def arbench_register_models() -> list[ModelEntry]:
    """One distribution per dim, fitted by counting."""
    return [
        ModelEntry(
            name="bernoulli",
            network="arbench_bernoulli.network:Independent",
            summary="independent dims, fitted by counting: the floor for every other model",
            recipes="arbench_bernoulli",
        )
    ]
