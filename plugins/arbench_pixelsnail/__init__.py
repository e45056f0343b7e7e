"""PixelSNAIL: causal convolutions and attention in turn."""

from __future__ import annotations

from arbench import ModelEntry

arbench_entries = [
    ModelEntry(
        name="pixelsnail",
        network="arbench_pixelsnail.network:PixelSNAIL",
        summary="shifted convolutions and attention over all earlier pixels, in turn",
        paper="Chen, Mishra, Rohaninejad and Abbeel, ICML 2018",
        recipes="arbench_pixelsnail",
    )
]
