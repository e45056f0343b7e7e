"""The old `arbench.probability.metrics`: its names are those of `arbench` now; goes in 0.3."""

from __future__ import annotations

from arbench.moved import moved

__getattr__ = moved(__name__, "NLL", "PairedDifference", "paired_difference")
