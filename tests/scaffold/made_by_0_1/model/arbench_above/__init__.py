"""Registers the model above, by the name of its class: so listing it imports no torch."""

from __future__ import annotations

from arbench import ModelEntry, hookimpl


@hookimpl
def arbench_register_models() -> list[ModelEntry]:
    """The models of this package."""
    return [
        ModelEntry(
            name="above",
            network="arbench_above.network:AboveNetwork",
            summary="a sum over earlier sites",  # EDIT: one line for `arbench list`
            paper="",  # EDIT: authors and year
            recipes="arbench_above",
        )
    ]
