"""Linear recurrences `h_t = a_t h_{t-1} + b_t`, for all t at once."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


def scan(keep: Tensor, add: Tensor, first: Tensor) -> Tensor:
    """States `h_t = keep_t h_{t-1} + add_t` of linear recurrences, differentiable.

    The scan cuts the sites into about sqrt(T) pieces of about sqrt(T) sites. It computes all pieces
    at the same time, as if each began at 0, and then carries the states from piece to piece. That
    takes 2 sqrt(T) steps one after the other. With keep in [0, 1], no intermediate number is larger
    than the states, and nothing is divided, so the scan is stable without logarithms.

    Source: Blelloch, "Prefix sums and their applications", 1990, section 1.4, for first-order
    recurrences as scans; here with one level of blocks instead of a tree.

    Args:
        keep: `(B, T, H)`, in [0, 1].
        add: `(B, T, H)`.
        first: `(B, H)`, the state before site 0.

    Returns:
        `(B, T, H)`.
    """
    states: Tensor = _Scan.apply(keep, add, first)  # type: ignore[no-untyped-call]
    return states


class _Scan(torch.autograd.Function):
    """The scan; its gradient is a scan backwards, so nothing else must be kept."""

    @staticmethod
    def forward(ctx: Any, keep: Tensor, add: Tensor, first: Tensor) -> Tensor:
        states = _scan(keep, add, first)
        ctx.save_for_backward(keep, first, states)
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        keep, first, states = ctx.saved_tensors
        # What is added at t is in all states from t on, as far as it is kept. So the gradient is a
        # recurrence from the last site to the first.
        later = F.pad(keep[:, 1:], (0, 0, 0, 1))
        none = torch.zeros_like(first)
        to_add = _scan(later.flip(1), gradient.flip(1), none).flip(1)
        before = torch.cat((first.unsqueeze(1), states[:, :-1]), 1)
        return to_add * before, to_add, to_add[:, 0] * keep[:, 0]


def _scan(keep: Tensor, add: Tensor, first: Tensor) -> Tensor:
    num_sites = keep.shape[1]
    length = math.isqrt(num_sites - 1) + 1
    num_pieces = -(-num_sites // length)
    shape = (len(keep), num_pieces, length, keep.shape[2])
    kept, states = keep.new_zeros(shape), add.new_zeros(shape)
    kept.flatten(1, 2)[:, :num_sites] = keep
    states.flatten(1, 2)[:, :num_sites] = add
    kept_at, states_at = kept.unbind(2), states.unbind(2)
    for t in range(1, length):
        states_at[t].addcmul_(kept_at[t], states_at[t - 1])
        kept_at[t].mul_(kept_at[t - 1])
    before = [first]
    for kept_through, last in zip(
        kept_at[-1].unbind(1)[:-1], states_at[-1].unbind(1)[:-1], strict=True
    ):
        before.append(torch.addcmul(last, kept_through, before[-1]))
    states.addcmul_(kept, torch.stack(before, 1).unsqueeze(2))
    found: Tensor = states.flatten(1, 2)[:, :num_sites]
    return found
