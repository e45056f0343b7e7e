"""The old `arbench.experiment.data`: its names are those of `arbench` now; goes in 0.3."""

from __future__ import annotations

from arbench.moved import moved

__getattr__ = moved(
    __name__,
    "SourceFile",
    "cache_dir",
    "data_dir",
    "fetch",
    check="check_source",
    writing="writing_cache",
)
