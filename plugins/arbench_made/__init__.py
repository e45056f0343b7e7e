"""MADE, the masked autoencoder for distribution estimation."""

from __future__ import annotations

from arbench import ModelEntry

arbench_entries = [
    ModelEntry(
        name="made",
        network="arbench_made.network:MADE",
        summary="masked autoencoder; any ordering, several masks sharing one set of weights",
        paper="Germain, Gregor, Murray and Larochelle, ICML 2015",
        recipes="arbench_made",
    )
]
