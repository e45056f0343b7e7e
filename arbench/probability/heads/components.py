"""Parts of the heads: a softmax at one value, choice of a component, smallest scale."""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from arbench.probability.precision import widen


def choose(logits: Tensor, noise: Tensor) -> Tensor:
    """The first of K choices whose cumulative probability exceeds the uniform, in float64.

    Args:
        logits: `(..., K)` floating point, of `softmax(logits)`.
        noise: `(..., 1)` uniform in [0, 1), float64.

    Returns:
        `(..., 1)` int64 in [0, K).
    """
    cumulative = widen(logits).softmax(-1).cumsum(-1)
    # The last edge is 1 by definition; leaving it out keeps rounding from inventing choice K.
    # Dividing by the rounded total makes the edges before impossible last choices exactly 1.
    edges = cumulative[..., :-1] / cumulative[..., -1:]
    return (noise >= edges).sum(-1, keepdim=True)


class _LogSoftmaxAt(torch.autograd.Function):
    """`log_softmax(logits)[value]`, whose gradient takes no more memory than it has numbers.

    What torch differentiates by itself writes the gradient of the choice, all zeros but one per
    row, before that of the softmax. Of 32 images in 256 levels that is another 26 MB.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, value: Tensor) -> Tensor:
        log_probs = logits.log_softmax(-1)
        ctx.save_for_backward(log_probs, value)
        return log_probs.gather(-1, value)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        log_probs, value = ctx.saved_tensors
        return log_probs.exp().mul_(-gradient).scatter_add_(-1, value, gradient), None


def log_softmax_at(logits: Tensor, value: Tensor) -> Tensor:
    """`log_softmax(logits)[value]` of each row, nats.

    Args:
        logits: `(..., K)` floating point.
        value: `(..., 1)` int64 in [0, K).

    Returns:
        `(..., 1)`; differentiable once.
    """
    return cast(Tensor, _LogSoftmaxAt.apply(logits, value))  # type: ignore[no-untyped-call]


def log_mean_exp(x: Tensor) -> Tensor:
    """`log(mean(exp(x)))` over the first dimension."""
    return x.logsumexp(0) - math.log(len(x))


def floored(log_scale: Tensor, floor: float) -> Tensor:
    """`log(exp(floor) + exp(log_scale))`: the logarithm of a scale that is above `exp(floor)`.

    Well above the floor the argument comes back as it is; below, the result tends to the floor with
    a gradient that is never zero, so that a scale can find its way back.

    Args:
        log_scale: any shape, nats.
        floor: nats.
    """
    return F.softplus(log_scale - floor) + floor


def floored_scale(log_scale: Tensor, floor: float) -> Tensor:
    """The scale itself, `exp(floored(log_scale, floor))`."""
    return log_scale.exp() + math.exp(floor)
