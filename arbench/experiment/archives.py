"""The old `arbench.experiment.archives`: its names are those of `arbench` now; goes in 0.3."""

from __future__ import annotations

from arbench.moved import moved

__getattr__ = moved(__name__, "read_members", "read_zip_member")
