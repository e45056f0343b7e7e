"""Parts of native steps that several networks share; a plugin may use them or not."""

from arbench.probability.native.step import kept_on_disk, numba_is_there

__all__ = ["kept_on_disk", "numba_is_there"]
