"""MADE, the masked autoencoder for distribution estimation."""

from __future__ import annotations

from collections.abc import Sequence

from arbench import ModelEntry, hookimpl


@hookimpl
def arbench_register_models() -> Sequence[ModelEntry]:
    """The one model of this plugin."""
    return [
        ModelEntry(
            name="made",
            network="arbench_made.network:MADE",
            summary="masked autoencoder; any ordering, several masks sharing one set of weights",
            paper="Germain, Gregor, Murray and Larochelle, ICML 2015",
            recipes="arbench_made",
        )
    ]
