"""The tied NADE's recursion as one compiled loop, both ways. Importing this imports Numba.

A site costs one dot product of H numbers, and the hidden units change only where a feature is not
0. A few events go side by side, so that they read each site's weights together, and what a site's
weights get from them is added in a cache. The way back never undoes a sum: the hidden units of a
group of events are kept, one row for each time that they change, and the group is walked twice.

Loops over hidden units take four events or four sites at a time, so that each number that they load
meets several. They index whole arrays: to cut a row out of one costs as much as a short loop, since
it counts who holds the array. Hidden units are padded with zeros to whole vectors.

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
from torch.nn import functional as F

from arbench.networks.native import kept_on_disk

Array = NDArray[Any]
# Events that are walked together, multiples of four: what they need at a site fits into L1, and the
# rows that the way back keeps into L2.
GROUP, GROUP_BACK = 8, 4
# Hidden units are padded to a multiple of it: float32 numbers of the longest vectors.
LANES = 16
# No "nnan" and "ninf": a training that diverges must be seen to.
_REORDERED = {"reassoc", "contract", "nsz"}
_entry = functools.partial(kept_on_disk, fastmath=_REORDERED)
_compiled = numba.njit(nogil=True, error_model="numpy", fastmath=_REORDERED)
_inlined = numba.njit(nogil=True, error_model="numpy", fastmath=_REORDERED, forceinline=True)


@_inlined
def _last_told(features: Array, event: int, site: int) -> int:
    """The last feature of a site that is not 0; -1 if all are: then the hidden units stay."""
    last = -1
    for feature in range(features.shape[2]):
        if features[event, site, feature] != 0:
            last = feature
    return last


@_inlined
def _tell(
    features: Array,
    event: int,
    site: int,
    last: int,
    weight: Array,
    pre: Array,
    slot: int,
    hidden: Array,
    row: int,
) -> None:
    """Add a site's features, up to the last that is not 0, to `pre[slot]`; rectify to a row."""
    num_hidden, zero = pre.shape[1], pre.dtype.type(0)
    for feature in range(last):
        value = features[event, site, feature]
        if value != 0:
            for unit in range(num_hidden):
                pre[slot, unit] += value * weight[site, feature, unit]
    value = features[event, site, last]
    for unit in range(num_hidden):
        total = pre[slot, unit] + value * weight[site, last, unit]
        pre[slot, unit] = total
        hidden[row, unit] = max(total, zero)


@_inlined
def _read_out(hidden: Array, num_events: int, readout: Array, row: int, sums: Array) -> None:
    """Write the products of the events' hidden units with a row of the readout to `sums`."""
    num_hidden, zero = hidden.shape[1], hidden.dtype.type(0)
    for a in range(0, num_events, 4):
        sum_a, sum_b, sum_c, sum_d = zero, zero, zero, zero
        for unit in range(num_hidden):
            own = readout[row, unit]
            sum_a += hidden[a, unit] * own
            sum_b += hidden[a + 1, unit] * own
            sum_c += hidden[a + 2, unit] * own
            sum_d += hidden[a + 3, unit] * own
        sums[a], sums[a + 1], sums[a + 2], sums[a + 3] = sum_a, sum_b, sum_c, sum_d


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
    num_events, num_sites, num_params = params.shape
    num_hidden, zero = len(bias), bias.dtype.type(0)
    pre = np.empty((group, num_hidden), bias.dtype)
    hidden = np.empty((group, num_hidden), bias.dtype)
    sums = np.empty(group, bias.dtype)
    for first in range(0, num_events, group):
        count = min(group, num_events - first)
        for event in range(group):  # those that are too many know nothing, and nobody reads them
            for unit in range(num_hidden):
                pre[event, unit] = bias[unit]
                hidden[event, unit] = max(bias[unit], zero)
        for site in range(num_sites):
            for number in range(num_params):
                _read_out(hidden, count, readout, site * num_params + number, sums)
                for event in range(count):
                    params[first + event, site, number] = sums[event]
            for event in range(count):
                last = _last_told(features, first + event, site)
                if last >= 0:
                    _tell(features, first + event, site, last, weight, pre, event, hidden, event)


@_compiled
def _most_changes(features: Array) -> int:
    """How often the hidden units of an event change at most, the first ones among them."""
    num_events, num_sites, _ = features.shape
    most = 0
    for event in range(num_events):
        changes = 1
        for site in range(num_sites - 1):
            changes += _last_told(features, event, site) >= 0
        most = max(most, changes)
    return most


@_inlined
def _back_to_hidden(
    grad: Array, event: int, start: int, end: int, readout: Array, own_grad: Array, kept: Any
) -> None:
    """Times `kept`, plus what rows of the readout, of params that an event shares, mean for it."""
    num_hidden, zero, one = own_grad.shape[1], own_grad.dtype.type(0), own_grad.dtype.type(1)
    if end - start == 1:
        grad_a = grad[start, event]
        for unit in range(num_hidden):
            own_grad[event, unit] = kept * own_grad[event, unit] + grad_a * readout[start, unit]
        return
    for a in range(start, end, 4):
        # Where rows end, the first one is read again, and times 0.
        b, c, d = (a + 1 if a + 1 < end else a), (a + 2 if a + 2 < end else a), a
        if a + 3 < end:
            d = a + 3
        grad_a = grad[a, event]
        grad_b = grad[b, event] if b > a else zero
        grad_c = grad[c, event] if c > a else zero
        grad_d = grad[d, event] if d > a else zero
        for unit in range(num_hidden):
            own_grad[event, unit] = (
                kept * own_grad[event, unit] + grad_a * readout[a, unit] + grad_b * readout[b, unit]
            ) + (grad_c * readout[c, unit] + grad_d * readout[d, unit])
        kept = one


@_inlined
def _back_to_readout(
    grad: Array, row: int, num_events: int, rows: Array, used: Array, grad_readout: Array
) -> None:
    """Add to the gradient of a row of the readout what events with these hidden units mean."""
    for a in range(0, num_events, 4):
        grad_a, grad_b, grad_c, grad_d = (
            grad[row, a],
            grad[row, a + 1],
            grad[row, a + 2],
            grad[row, a + 3],
        )
        row_a, row_b, row_c, row_d = used[a], used[a + 1], used[a + 2], used[a + 3]
        for unit in range(rows.shape[1]):
            grad_readout[row, unit] += (grad_a * rows[row_a, unit] + grad_b * rows[row_b, unit]) + (
                grad_c * rows[row_c, unit] + grad_d * rows[row_d, unit]
            )


@_inlined
def _start_group(
    features: Array,
    first: int,
    count: int,
    weight: Array,
    bias: Array,
    pre: Array,
    rows: Array,
    used: Array,
) -> None:
    """Write the hidden units of a group of events to `rows`, their last row's number to `used`.

    Each event has its share of the rows. Those of the group that are no events have a first row.
    """
    num_sites, num_hidden, zero = features.shape[1], len(bias), bias.dtype.type(0)
    share = len(rows) // len(used)
    for event in range(len(used)):
        row = event * share
        for unit in range(num_hidden):
            pre[0, unit] = bias[unit]
            rows[row, unit] = max(bias[unit], zero)
        for site in range(num_sites - 1 if event < count else 0):
            last = _last_told(features, first + event, site)
            if last >= 0:
                row += 1
                _tell(features, first + event, site, last, weight, pre, 0, rows, row)
        used[event] = row


@_inlined
def _back_to_weight(
    features: Array,
    event: int,
    slot: int,
    site: int,
    rows: Array,
    row: int,
    grads: tuple[Array, Array],
    grad_weight: Array,
) -> None:
    """Go back over a site that changed an event's hidden units, from the row after it."""
    num_hidden, zero = rows.shape[1], rows.dtype.type(0)
    own_grad, later_grad = grads
    for unit in range(num_hidden):
        later_grad[slot, unit] += own_grad[slot, unit] if rows[row, unit] > zero else zero
    for feature in range(features.shape[2]):
        value = features[event, site, feature]
        if value != 0:
            for unit in range(num_hidden):
                grad_weight[site, feature, unit] += value * later_grad[slot, unit]


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
    """Add what the gradient `(T P, B)` of the parameters means for the weights to their grads.

    The events are a multiple of the group; those that features lack have a gradient of 0.
    """
    num_sites, num_hidden, zero = features.shape[1], len(bias), bias.dtype.type(0)
    num_params = len(readout) // num_sites
    # The hidden units, a row for each time that an event's change; which row is in use; and the
    # gradients of the row's units and, summed over all later rows, of the pre-activation. That of
    # the row has seen the sites from `end` on, and counts from when `kept` is 1.
    rows = np.empty((group * _most_changes(features), num_hidden), bias.dtype)
    used, end = np.zeros(group, np.int64), np.zeros(group, np.int64)
    kept, now = np.zeros(group, bias.dtype), np.zeros((len(readout), group), bias.dtype)
    pre = np.empty((1, num_hidden), bias.dtype)
    own_grad = np.zeros((group, num_hidden), bias.dtype)
    later_grad = np.empty((group, num_hidden), bias.dtype)
    for first in range(0, len(features), group):
        count = min(group, len(features) - first)
        _start_group(features, first, count, weight, bias, pre, rows, used)
        for event in range(group):
            kept[event], end[event] = zero, num_sites
            for unit in range(num_hidden):
                later_grad[event, unit] = zero
            for row in range(len(readout)):
                now[row, event] = grad[row, first + event]
        for site in range(num_sites - 1, -1, -1):
            for row in range(site * num_params, (site + 1) * num_params):
                _back_to_readout(now, row, count, rows, used, grad_readout)
            for event in range(count):
                last = _last_told(features, first + event, site - 1) if site > 0 else -1
                if last >= 0 or site % 4 == 0:
                    start, stop = site * num_params, end[event] * num_params
                    _back_to_hidden(now, event, start, stop, readout, own_grad, kept[event])
                    kept[event], end[event] = kept.dtype.type(1), site
                if last >= 0:
                    own, row = (own_grad, later_grad), used[event]
                    _back_to_weight(
                        features, first + event, event, site - 1, rows, row, own, grad_weight
                    )
                    kept[event], used[event] = zero, used[event] - 1
        for event in range(count):
            for unit in range(num_hidden):
                last_grad = own_grad[event, unit] if rows[used[event], unit] > zero else zero
                grad_bias[unit] += later_grad[event, unit] + last_grad


class _AllSites(torch.autograd.Function):
    """See `all_sites_compiled`."""

    @staticmethod
    def forward(ctx: Any, *inputs: Tensor) -> Tensor:
        features, weight, bias, readout, readout_bias = inputs
        ctx.num_hidden = len(bias)
        padding = (0, -len(bias) % LANES)
        weight, bias, readout = (F.pad(own, padding) for own in (weight, bias, readout))
        flat = readout.flatten(0, 1)
        ctx.save_for_backward(features, weight, bias, flat)
        params = readout.new_empty(*features.shape[:2], readout.shape[1])
        _forward(GROUP, features, weight, bias, flat, params)
        return params.add_(readout_bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        features, weight, bias, readout = ctx.saved_tensors
        num_events, num_sites, num_params = grad.shape
        grads = torch.zeros_like(weight), torch.zeros_like(bias), torch.zeros_like(readout)
        by_event = F.pad(grad.reshape(num_events, -1).T, (0, -num_events % GROUP_BACK))
        _backward(GROUP_BACK, features, weight, bias, readout, by_event, *grads)
        of_weight, of_bias, of_readout = (own[..., : ctx.num_hidden].contiguous() for own in grads)
        of_readout = of_readout.view(num_sites, num_params, -1)
        return None, of_weight, of_bias, of_readout, grad.sum(0)


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
