"""RNN-NADE: a recurrence over the steps of a piece, whose state sets the biases of a NADE."""

from __future__ import annotations

from arbench import ModelEntry

arbench_entries = [
    ModelEntry(
        name="rnn-nade",
        network="arbench_rnn_nade.network:RNNNADE",
        summary="a plain recurrence over steps, such as chords, and a NADE within each",
        paper="Boulanger-Lewandowski, Bengio and Vincent, ICML 2012",
        recipes="arbench_rnn_nade.rnn",
    ),
    ModelEntry(
        name="lstm-nade",
        network="arbench_rnn_nade.network:LSTMNADE",
        summary="the same with long short-term memory for the recurrence",
        paper="Boulanger-Lewandowski, Bengio and Vincent, ICML 2012; Johnson, EvoMUSART 2017",
        recipes="arbench_rnn_nade.lstm",
    ),
]
