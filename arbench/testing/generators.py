"""The global generators of torch, numpy and Python in another state than they were."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

import numpy as np
import torch


@contextlib.contextmanager
def other_global_generators() -> Iterator[None]:
    """Within, the global generators of torch, numpy and Python are in another state."""
    numpy_state, python_state = np.random.get_state(), random.getstate()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        np.random.seed(1)
        random.seed(1)
        try:
            yield
        finally:
            np.random.set_state(numpy_state)
            random.setstate(python_state)
