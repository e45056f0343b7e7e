"""PixelSNAIL, causal convolutions and attention in turn."""

from __future__ import annotations

from collections.abc import Sequence

from arbench import ModelEntry, hookimpl


@hookimpl
def arbench_register_models() -> Sequence[ModelEntry]:
    """The one model of this plugin."""
    return [
        ModelEntry(
            name="pixelsnail",
            network="arbench_pixelsnail.network:PixelSNAIL",
            summary="shifted convolutions and attention over all earlier pixels, in turn",
            paper="Chen, Mishra, Rohaninejad and Abbeel, ICML 2018",
            recipes="arbench_pixelsnail",
        )
    ]
