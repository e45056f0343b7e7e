"""The old `arbench.experiment.tasks`: its names are those of `arbench` now; goes in 0.3."""

from __future__ import annotations

from arbench.moved import moved

__getattr__ = moved(__name__, "SPLITS", "Split", "SplitName", "Task", "open_task")
