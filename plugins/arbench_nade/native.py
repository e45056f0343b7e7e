"""The tied NADE's step in compiled code; see `NativeStep`."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from arbench.networks.native.functions import sigmoid
from arbench.networks.native.vectors import add, compiled, dot, rectified_dot


@compiled
def step(
    weights: tuple[Any, ...],
    state: tuple[NDArray[Any], ...],
    previous: NDArray[Any],
    site: int,
    params: NDArray[Any],
) -> None:
    """See `NADE.step`. For every event, `pre` is the pre-activation of the site's hidden units.

    Args:
        weights: V `(T, F, H)`, c `(H,)`, U `(T, P, H)`, b `(T, P)`, and whether to rectify.
        state: pre `(n, H)`, hidden `(n, H)`.
        previous: `(n,)`.
        site: t.
        params: `(n, P)`.
    """
    weight, bias, readout, readout_bias, rectifies = weights
    pre, hidden = state
    for event in range(len(pre)):
        own = pre[event]
        if site == 0:
            add(own, bias)
        elif weight.shape[1] > 1:
            add(own, weight[site - 1, previous[event]])
        elif previous[event] == 1:
            add(own, weight[site - 1, 0])
        if not rectifies:
            for unit in range(len(own)):
                hidden[event, unit] = sigmoid(own[unit])
    for number in range(params.shape[1]):
        row = readout[site, number]
        for event in range(len(pre)):
            heard = rectified_dot(pre[event], row) if rectifies else dot(hidden[event], row)
            params[event, number] = heard + readout_bias[site, number]
