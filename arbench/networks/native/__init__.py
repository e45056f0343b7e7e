"""Parts of native steps that several networks share; a plugin may use them or not."""

from arbench.probability.native.step import numba_is_there

__all__ = ["numba_is_there"]
