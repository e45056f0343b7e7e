"""S4D: diagonal state spaces."""

from __future__ import annotations

from arbench import ModelEntry

arbench_entries = [
    ModelEntry(
        name="s4d",
        network="arbench_s4d.network:S4D",
        summary="diagonal state spaces: a convolution in training, a recurrence in sampling",
        paper="Gu, Gupta, Goel and Ré, NeurIPS 2022",
        recipes="arbench_s4d",
    )
]
