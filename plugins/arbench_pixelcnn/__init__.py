"""PixelCNN with masks, and the gated PixelCNN with two stacks."""

from __future__ import annotations

from arbench import ModelEntry

arbench_entries = [
    ModelEntry(
        name="pixelcnn",
        network="arbench_pixelcnn.network:PixelCNN",
        summary="masked convolutions in residual blocks",
        paper="van den Oord, Kalchbrenner and Kavukcuoglu, ICML 2016",
        recipes="arbench_pixelcnn.pixelcnn",
    ),
    ModelEntry(
        name="gated-pixelcnn",
        network="arbench_pixelcnn.gated:GatedPixelCNN",
        summary="gated convolutions in a vertical and a horizontal stack, without a blind spot",
        paper="van den Oord et al., NeurIPS 2016",
        recipes="arbench_pixelcnn.gated_pixelcnn",
    ),
]
