"""Independent dims, the weakest baseline."""

from __future__ import annotations

from arbench import ModelEntry

arbench_entries = [
    ModelEntry(
        name="bernoulli",
        network="arbench_bernoulli.network:Independent",
        summary="independent dims, fitted by counting: the weakest baseline",
        recipes="arbench_bernoulli",
    )
]
