"""The floor: independent dims."""

from __future__ import annotations

from arbench import ModelEntry

arbench_entries = [
    ModelEntry(
        name="bernoulli",
        network="arbench_bernoulli.network:Independent",
        summary="independent dims, fitted by counting: the floor for every other model",
        recipes="arbench_bernoulli",
    )
]
