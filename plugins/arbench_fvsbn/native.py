"""FVSBN's step in compiled code; see `NativeStep`."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from arbench.networks.native.vectors import compiled, copy, dot


@compiled
def step(
    weights: tuple[Any, ...],
    state: tuple[NDArray[Any], ...],
    previous: NDArray[Any],
    site: int,
    params: NDArray[Any],
) -> None:
    """See `FVSBN.step`.

    Args:
        weights: of all pairs of sites `(T (T - 1) / 2, P, F)`, b `(T, P)`, and K.
        state: centred features `(n, T, F)`.
        previous: `(n,)`.
        site: t.
        params: `(n, P)`.
    """
    pairs, bias, alphabet_size = weights
    (features,) = state
    width = features.shape[2]
    if site > 0:
        for event in range(len(previous)):
            told = features[event, site - 1]
            if width == 1:
                told[0] = previous[event] - 0.5
            else:
                for value in range(width):
                    told[value] = -1 / alphabet_size
                told[previous[event]] += 1
    # The pairs of a later site with all earlier ones follow each other.
    rows = pairs[site * (site - 1) // 2 : site * (site + 1) // 2]
    for event in range(len(params)):
        copy(bias[site], params[event])
        if width == 1 and params.shape[1] == 1:
            known = features[event, :site].reshape(site)
            params[event, 0] += dot(rows.reshape(site), known)
            continue
        for earlier in range(site):
            for number in range(params.shape[1]):
                params[event, number] += dot(rows[earlier, number], features[event, earlier])
