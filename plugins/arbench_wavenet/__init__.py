"""WaveNet, a stack of dilated causal convolutions."""

from __future__ import annotations

from collections.abc import Sequence

from arbench import ModelEntry, hookimpl


@hookimpl
def arbench_register_models() -> Sequence[ModelEntry]:
    """The one model of this plugin."""
    return [
        ModelEntry(
            name="wavenet",
            network="arbench_wavenet.network:WaveNet",
            summary="dilated causal convolutions with gates; a site costs the same however long",
            paper="van den Oord et al., 2016",
            recipes="arbench_wavenet",
        )
    ]
