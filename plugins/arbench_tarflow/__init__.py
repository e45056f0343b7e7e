"""TarFlow, a normalizing flow whose blocks are autoregressive transformers over patches."""

from __future__ import annotations

from arbench import ModelEntry

arbench_entries = [
    ModelEntry(
        name="tarflow",
        network="arbench_tarflow.network:TarFlow",
        summary="a flow of autoregressive transformers over patches of real numbers",
        paper="Zhai et al., ICML 2025",
        recipes="arbench_tarflow",
    )
]
