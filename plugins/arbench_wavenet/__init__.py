"""WaveNet: a stack of dilated causal convolutions."""

from __future__ import annotations

from arbench import ModelEntry

arbench_entries = [
    ModelEntry(
        name="wavenet",
        network="arbench_wavenet.network:WaveNet",
        summary="gated dilated causal convolutions; a step costs the same at every site",
        paper="van den Oord et al., 2016",
        recipes="arbench_wavenet",
    )
]
