"""The widest floating-point type of a device: float64 wherever the hardware has it."""

from __future__ import annotations

import torch
from torch import Tensor


def widest_dtype(device: torch.device) -> torch.dtype:
    """float64, or float32 on Apple's MPS, which has no float64."""
    return torch.float32 if device.type == "mps" else torch.float64


def widen(tensor: Tensor) -> Tensor:
    """The tensor in the widest floating-point type of its device."""
    return tensor.to(widest_dtype(tensor.device))
