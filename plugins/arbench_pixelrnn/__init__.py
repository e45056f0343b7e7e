"""PixelRNN: two-dimensional recurrences over pixels."""

from __future__ import annotations

from arbench import ModelEntry

arbench_entries = [
    ModelEntry(
        name="pixelrnn",
        network="arbench_pixelrnn.network:PixelRNN",
        summary="Diagonal BiLSTM: all earlier pixels, along the diagonals of a picture",
        paper="van den Oord, Kalchbrenner and Kavukcuoglu, ICML 2016",
        recipes="arbench_pixelrnn",
    ),
    ModelEntry(
        name="pixelrnn-row",
        network="arbench_pixelrnn.network:RowPixelRNN",
        summary="Row LSTM: a triangle of earlier pixels, a row at a time",
        paper="van den Oord, Kalchbrenner and Kavukcuoglu, ICML 2016",
        recipes="arbench_pixelrnn",
    ),
]
