"""PixelCNN++, a PixelCNN of two streams of shifted convolutions."""

from __future__ import annotations

from arbench import ModelEntry

arbench_entries = [
    ModelEntry(
        name="pixelcnn-pp",
        network="arbench_pixelcnn_pp.network:PixelCNNPP",
        summary="two streams of shifted convolutions, with shortcuts between resolutions",
        paper="Salimans, Karpathy, Chen and Kingma, ICLR 2017",
        recipes="arbench_pixelcnn_pp",
        aliases=("pixelcnn++",),
    )
]
