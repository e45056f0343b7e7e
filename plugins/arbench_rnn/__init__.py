"""Recurrent networks: the plain one, LSTM, GRU and minGRU."""

from __future__ import annotations

from arbench import ModelEntry

arbench_entries = [
    ModelEntry(
        name="rnn",
        network="arbench_rnn.network:RNN",
        summary="the plain recurrence, one tanh per step, from a learned first state",
        paper="Elman, Cognitive Science 1990",
        recipes="arbench_rnn.rnn",
    ),
    ModelEntry(
        name="lstm",
        network="arbench_rnn.network:LSTM",
        summary="long short-term memory: a cell that gates write, keep and read",
        paper="Hochreiter and Schmidhuber, Neural Computation 1997",
        recipes="arbench_rnn.lstm",
    ),
    ModelEntry(
        name="gru",
        network="arbench_rnn.network:GRU",
        summary="gated recurrent unit: one gate keeps or replaces, another one resets",
        paper="Cho et al., EMNLP 2014",
        recipes="arbench_rnn.gru",
    ),
    ModelEntry(
        name="mingru",
        network="arbench_rnn.mingru.network:MinGRU",
        summary="a GRU whose gates see the input alone: trained by a parallel scan",
        paper="Feng et al., 2024",
        recipes="arbench_rnn.mingru",
    ),
]
