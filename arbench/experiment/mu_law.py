"""The old `arbench.experiment.mu_law`: its names are those of `arbench` now; goes in 0.3."""

from __future__ import annotations

from arbench.moved import moved

__getattr__ = moved(
    __name__,
    MU="mu_law.MU",
    NUM_LEVELS="mu_law.NUM_LEVELS",
    SILENCE="mu_law.SILENCE",
    encode="mu_law.encode",
    decode="mu_law.decode",
)
