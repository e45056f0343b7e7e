"""Parts of native steps that several networks share; a plugin may use them or not."""

from arbench.networks.native.eager import is_eager
from arbench.probability.native.step import (
    kept_on_disk,
    native_is_wanted,
    num_threads,
    numba_is_there,
)

__all__ = ["is_eager", "kept_on_disk", "native_is_wanted", "num_threads", "numba_is_there"]
