"""Synthetic tasks whose entropy is known."""

from __future__ import annotations

from arbench import TaskEntry

arbench_entries = [
    TaskEntry(
        name="toy-parity",
        task="arbench_toys.tasks:ParityTask",
        summary="synthetic: every fourth of 24 bits is a noisy parity, entropy known",
    ),
    TaskEntry(
        name="toy-markov",
        task="arbench_toys.tasks:MarkovTask",
        summary="synthetic: a binary Markov chain of length 32, entropy known",
    ),
    TaskEntry(
        name="toy-ising",
        task="arbench_toys.tasks:IsingTask",
        summary="synthetic: an 8x8 Ising lattice sampled exactly, entropy known",
    ),
    TaskEntry(
        name="toy-ar1",
        task="arbench_toys.tasks:AR1Task",
        summary="synthetic: a Gaussian autoregression of 24 real values, entropy known",
    ),
]
