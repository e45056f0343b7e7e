"""A faster dropout for the CPU."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

_LEVELS = 1 << 16  # of 16 random bits


def unit_dropout(x: Tensor, probability: float, training: bool) -> Tensor:
    """Leave each number out with a probability, and scale the others so that the mean stays.

    On a CPU, torch takes 12 to 18 ns for the random decision on a number, as long as a layer of a
    few hundred units takes for its products. Here 16 random bits decide, in a quarter of the time.
    The probability is therefore rounded to a multiple of 2^-16, and the scale fits the rounded one.

    Source: Srivastava et al., "Dropout", JMLR 15, 2014, in the form that scales in training.

    Args:
        x: any shape and floating-point type.
        probability: in [0, 1), of leaving out.
        training: whether to; otherwise x is returned as it is.

    Returns:
        The shape, type and memory format of x. Which numbers are left out depends on torch's
        default generator.
    """
    if not training or probability == 0:
        return x
    if x.device.type != "cpu" or torch.compiler.is_compiling():
        return F.dropout(x, probability)
    num_dropped = min(round(probability * _LEVELS), _LEVELS - 1)
    kept = _random_levels(x).ge_(num_dropped - _LEVELS // 2)
    return x * kept.mul_(_LEVELS / (_LEVELS - num_dropped)).to(x.dtype)


def _random_levels(like: Tensor) -> Tensor:
    """Uniform whole numbers in [-2^15, 2^15) as float32, in the shape and memory format of x."""
    strides = torch.empty_like(like, device="meta").stride()
    words = torch.empty(-(-like.numel() // 4), dtype=torch.int64)
    levels = words.random_(-(2**63), None).view(torch.int16)
    return levels.as_strided(like.shape, strides).float()
