"""The tied NADE's recursion as one compiled loop, both ways. Importing this imports Numba.

A site costs one dot product of H numbers, and a pre-activation moves only where a feature is not 0.
A few events go side by side, so that they read each site's weights together; what a site's weights
get from them is then added in a cache. The way back never undoes a sum: the hidden units of a group
of events are kept, one row for each time that they change, and the group is walked twice.

Rectified hidden units alone: Numba's sigmoid is no faster than torch's.
"""

from __future__ import annotations

import functools
from typing import Any

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from arbench.networks.native import kept_on_disk

Array = NDArray[Any]
# Events that are walked together: their rows of hidden units still fit into a core's caches.
GROUP = 8
# No "nnan" and "ninf": a training that diverges must be seen to.
_REORDERED = {"reassoc", "contract", "nsz"}
_entry = functools.partial(kept_on_disk, fastmath=_REORDERED)
_compiled = numba.njit(nogil=True, error_model="numpy", fastmath=_REORDERED)


@_entry
def _forward(
    group: int,
    features: Array,
    weight: Array,
    bias: Array,
    readout: Array,
    params: Array,
) -> None:
    """Write `readout_t relu(bias + sum_{s<t} features_s weight_s)` to `params`."""
    num_events, num_sites, num_features = features.shape
    num_hidden, zero = len(bias), bias.dtype.type(0)
    pre = np.empty((group, num_hidden), bias.dtype)
    for first in range(0, num_events, group):
        count = min(group, num_events - first)
        for event in range(count):
            for unit in range(num_hidden):
                pre[event, unit] = bias[unit]
        for site in range(num_sites):
            for number in range(readout.shape[1]):
                row = readout[site, number]
                for event in range(count):
                    own, total = pre[event], zero
                    for unit in range(num_hidden):
                        total += max(own[unit], zero) * row[unit]
                    params[first + event, site, number] = total
            for event in range(count):
                for feature in range(num_features):
                    value = features[first + event, site, feature]
                    if value != 0:
                        own, row = pre[event], weight[site, feature]
                        for unit in range(num_hidden):
                            own[unit] += value * row[unit]


@_compiled
def _most_changes(features: Array) -> int:
    """How often the hidden units of an event change at most, the first ones among them."""
    num_events, num_sites, num_features = features.shape
    most = 0
    for event in range(num_events):
        changes = 1
        for site in range(num_sites - 1):
            for feature in range(num_features):
                if features[event, site, feature] != 0:
                    changes += 1
                    break
        most = max(most, changes)
    return most


@_compiled
def _write_rows(
    features: Array, weight: Array, bias: Array, pre: Array, rows: Array, used: Array
) -> None:
    """Write the hidden units of a group of events to `rows`, their last row's number to `used`."""
    num_events, num_sites, num_features = features.shape
    num_hidden, zero = len(bias), bias.dtype.type(0)
    for event in range(num_events):
        used[event] = 0
        hidden = rows[event, 0]
        for unit in range(num_hidden):
            pre[unit] = bias[unit]
            hidden[unit] = max(pre[unit], zero)
        for site in range(num_sites - 1):
            changes = False
            for feature in range(num_features):
                value = features[event, site, feature]
                if value != 0:
                    changes = True
                    row = weight[site, feature]
                    for unit in range(num_hidden):
                        pre[unit] += value * row[unit]
            if changes:
                used[event] += 1
                hidden = rows[event, used[event]]
                for unit in range(num_hidden):
                    hidden[unit] = max(pre[unit], zero)


@_compiled
def _back_to_weights(
    features: Array,
    rows: Array,
    used: Array,
    own_grad: Array,
    later_grad: Array,
    grad_weight: Array,
) -> None:
    """Before a site: back to the row before, and add to the gradient `(F, H)` of its weights."""
    num_events, num_features = features.shape
    num_hidden, zero = rows.shape[2], rows.dtype.type(0)
    for event in range(num_events):
        later, own, hidden = later_grad[event], own_grad[event], rows[event, used[event]]
        changes = False
        for feature in range(num_features):
            value = features[event, feature]
            if value != 0:
                if not changes:
                    changes = True
                    used[event] -= 1
                    for unit in range(num_hidden):
                        later[unit] += own[unit] if hidden[unit] > zero else zero
                        own[unit] = zero
                row = grad_weight[feature]
                for unit in range(num_hidden):
                    row[unit] += value * later[unit]


@_compiled
def _back_to_readout(
    grad: Array, readout: Array, rows: Array, used: Array, own_grad: Array, grad_readout: Array
) -> None:
    """At a site: add to the gradients of its readout weights `(P, H)` and of its hidden units."""
    num_events, num_params = grad.shape
    num_hidden = readout.shape[1]
    for number in range(num_params):
        row, grad_row = readout[number], grad_readout[number]
        for event in range(num_events):
            own, value = own_grad[event], grad[event, number]
            for unit in range(num_hidden):
                own[unit] += value * row[unit]
        # Four at a time: each reads and writes the weights' gradient once.
        event = 0
        while event + 3 < num_events:
            hidden0, hidden1 = rows[event, used[event]], rows[event + 1, used[event + 1]]
            hidden2, hidden3 = rows[event + 2, used[event + 2]], rows[event + 3, used[event + 3]]
            value0, value1 = grad[event, number], grad[event + 1, number]
            value2, value3 = grad[event + 2, number], grad[event + 3, number]
            for unit in range(num_hidden):
                grad_row[unit] += (
                    value0 * hidden0[unit]
                    + value1 * hidden1[unit]
                    + value2 * hidden2[unit]
                    + value3 * hidden3[unit]
                )
            event += 4
        while event < num_events:
            hidden, value = rows[event, used[event]], grad[event, number]
            for unit in range(num_hidden):
                grad_row[unit] += value * hidden[unit]
            event += 1


@_entry
def _backward(
    group: int,
    features: Array,
    weight: Array,
    bias: Array,
    readout: Array,
    grad: Array,
    grad_weight: Array,
    grad_bias: Array,
    grad_readout: Array,
) -> None:
    """Add what the gradient `(B, T, P)` of the parameters means for the weights to their grads."""
    num_events, num_sites, _ = features.shape
    num_hidden, zero = len(bias), bias.dtype.type(0)
    # The hidden units, a row for each time that an event's change; which row is in use; and the
    # gradients of the row's units and, summed over all later rows, of the pre-activation.
    rows = np.empty((group, _most_changes(features), num_hidden), bias.dtype)
    pre = np.empty(num_hidden, bias.dtype)
    used = np.zeros(group, np.int64)
    own_grad = np.empty((group, num_hidden), bias.dtype)
    later_grad = np.empty((group, num_hidden), bias.dtype)
    for first in range(0, num_events, group):
        own = slice(first, min(first + group, num_events))
        count = own.stop - own.start
        own_grad[:] = zero
        later_grad[:] = zero
        _write_rows(features[own], weight, bias, pre, rows, used)
        for site in range(num_sites - 1, -1, -1):
            if site + 1 < num_sites:  # the last site tells nobody
                now = features[own, site]
                _back_to_weights(now, rows, used, own_grad, later_grad, grad_weight[site])
            _back_to_readout(
                grad[own, site], readout[site], rows, used, own_grad, grad_readout[site]
            )
        for event in range(count):
            later, last, hidden = later_grad[event], own_grad[event], rows[event, 0]
            for unit in range(num_hidden):
                grad_bias[unit] += later[unit] + (last[unit] if hidden[unit] > zero else zero)


class _AllSites(torch.autograd.Function):
    """See `all_sites_compiled`."""

    @staticmethod
    def forward(ctx: Any, *inputs: Tensor) -> Tensor:
        features, weight, bias, readout, readout_bias = inputs
        ctx.save_for_backward(features, weight, bias, readout)
        params = readout.new_empty(*features.shape[:2], readout.shape[1])
        _forward(GROUP, features, weight, bias, readout, params)
        return params.add_(readout_bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        features, weight, bias, readout = ctx.saved_tensors
        grads = torch.zeros_like(weight), torch.zeros_like(bias), torch.zeros_like(readout)
        _backward(GROUP, features, weight, bias, readout, grad, *grads)
        return None, *grads, grad.sum(0)


@torch.compiler.disable  # type: ignore[untyped-decorator]
def all_sites_compiled(
    features: Tensor, weight: Tensor, bias: Tensor, readout: Tensor, readout_bias: Tensor
) -> Tensor:
    """Parameters of every site, `(B, T, P)`, as `all_sites` with rectified hidden units gives them.

    Args:
        features: `(B, T, F)`, in the dtype of the weights. They get no gradient.
        weight: V, `(T, F, H)`.
        bias: c, `(H,)`.
        readout: U, `(T, P, H)`.
        readout_bias: b, `(T, P)`.
    """
    params: Tensor = _AllSites.apply(  # type: ignore[no-untyped-call]
        features, weight, bias, readout, readout_bias
    )
    return params
