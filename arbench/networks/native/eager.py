"""Where a loop of one's own may take the place of torch's."""

from __future__ import annotations

import torch
from torch import Tensor


def is_eager(values: Tensor) -> bool:
    """Whether what is written is computed: float32 or float64 on a CPU, no autocast or compiler."""
    is_written = values.device.type == "cpu" and values.dtype in (torch.float32, torch.float64)
    return is_written and not torch.is_autocast_enabled("cpu") and not torch.compiler.is_compiling()
