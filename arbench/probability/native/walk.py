"""Goes through all sites of a batch in compiled code. Importing this imports Numba.

One loop serves all networks. For each it is compiled together with the network's step, once per
dtype, in a second or two, and what comes out is kept on disk: beside the step's own file, or in the
user's cache where that may not be written, or nowhere.
"""

from __future__ import annotations

import functools
import math
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FunctionType
from typing import Any, TypeVar, cast

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from arbench.probability.native.step import (
    NativeDraw,
    NativeStep,
    dtype_of,
    kept_on_disk,
    num_threads,
)

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])
_KINDS = {"bernoulli": 0, "categorical": 1}
# With somebody watching, a walk is interrupted that often, to say how far it is.
_NUM_REPORTS = 50


def _compiled(function: AnyFunction) -> AnyFunction:
    made: Any = numba.njit(nogil=True, error_model="numpy")(function)
    return cast(AnyFunction, made)


def sample_natively(
    native: NativeStep,
    draw: NativeDraw,
    num_params: int,
    prepared: Tensor,
    sites: Tensor,
    num_given: int,
    progress: Callable[[int, int], None] | None,
) -> Tensor:
    """Samples with a network's native step; arguments and result as for `sample_whole`.

    Batches of `NativeStep.num_events` events go one after the other, or side by side in as
    many threads as torch has; what an event gets does not depend on their number.

    Args:
        native: of the network.
        draw: of the head.
        num_params: P.
        prepared: `(B, T, 1)` float64, noise as the head prepares it.
        sites: `(B, T, 1)` int64.
        num_given: how many sites are given.
        progress: called with (sites done, T).
    """
    num_events, num_sites = sites.shape[:2]
    weights, walk = _arrays(native.weights), _walk_with(native.step)
    noise, drawn = prepared.squeeze(2).numpy(), sites.squeeze(2).contiguous().numpy()
    dtype = np.dtype(str(dtype_of(native.weights)).removeprefix("torch."))
    starts = range(0, num_events, native.num_events)
    piece = num_sites if progress is None else max(1, num_sites * len(starts) // _NUM_REPORTS)
    kind, temperature = _KINDS[draw.kind], dtype.type(draw.temperature)
    prefill = native.prefill if 1 < num_given < num_sites else None
    begin = 0 if prefill is None else num_given
    reached = np.full(num_events, begin)

    def run(start: int, watched: bool) -> None:
        own = slice(start, min(start + native.num_events, num_events))
        count = own.stop - own.start
        state = tuple(np.zeros((count, *shape), dtype) for shape in native.state)
        room = (np.empty((count, num_params), dtype), np.empty(num_params))
        batch = (weights, state, noise[own], drawn[own], *room)
        if prefill is not None:
            prefill(tuple(map(torch.from_numpy, state)), sites[own, :num_given])
        for first in range(begin, num_sites, piece):
            last = min(first + piece, num_sites)
            walk(*batch, first, last, num_given, kind, temperature)
            reached[own] = last
            if watched and progress is not None:
                progress(int(reached.sum()) // num_events, num_sites)

    threads = min(num_threads(), len(starts))
    _share_out(starts, threads, run)
    if progress is not None and threads > 1:
        progress(num_sites, num_sites)
    return torch.from_numpy(drawn).view_as(sites)


def _share_out(starts: range, threads: int, run: Callable[[int, bool], None]) -> None:
    """Runs all batches in so many threads, this one among them, which alone is watched.

    To start one more thread takes as long as several events.
    """
    pending = iter(starts)

    def work(watched: bool) -> None:
        for start in pending:
            run(start, watched)

    with ThreadPoolExecutor(threads) as pool:
        others = [pool.submit(work, False) for _ in range(threads - 1)]
        try:
            work(True)
        finally:
            for _ in pending:  # after an error or an interrupt nobody begins another batch
                pass
    for other in others:
        other.result()


def _arrays(weights: tuple[Any, ...]) -> tuple[Any, ...]:
    """The weights as arrays, without a copy where they are contiguous."""
    return tuple(
        _arrays(own)
        if isinstance(own, tuple)
        else own.detach().contiguous().numpy()
        if isinstance(own, Tensor)
        else own
        for own in weights
    )


@functools.cache
def _walk_with(step: Callable[..., None]) -> Callable[..., None]:
    """`_walk` of one network's step, compiled when it is first called with a dtype.

    It is the same code as `_walk` with another global and another name. For Numba it lies in the
    step's own file, so that it is compiled anew when that changes; the name changes when this file
    does.
    """
    original: Any = getattr(step, "py_func", step)
    name = f"walk_{original.__name__}_{zlib.crc32(Path(__file__).read_bytes()):08x}"
    code = _walk.__code__.replace(
        co_filename=original.__code__.co_filename, co_name=name, co_qualname=name
    )
    function = FunctionType(code, {**globals(), "_step": step}, name)
    function.__module__ = original.__module__
    return kept_on_disk(function)


def _walk(
    weights: Any,
    state: Any,
    noise: NDArray[np.float64],
    sites: NDArray[np.int64],
    params: NDArray[Any],
    cumulative: NDArray[np.float64],
    first: int,
    last: int,
    num_given: int,
    kind: int,
    temperature: Any,
) -> None:
    """From one site to another: a step each, and a draw unless the site is given.

    Args:
        weights: see `NativeStep`.
        state: see `NativeStep`; what the sites before `first` have left.
        noise: `(n, T)`, prepared.
        sites: `(n, T)`, written from `num_given` on.
        params: `(n, P)`, room for those of a site.
        cumulative: `(P,)`, room for the draw.
        first: number of a site.
        last: number of the site behind the last one.
        num_given: how many sites are given.
        kind: of the draw.
        temperature: of the draw, in the dtype of the weights.
    """
    for site in range(first, last):
        _step(weights, state, sites[:, max(site - 1, 0)], site, params)  # type: ignore[name-defined]  # noqa: F821
        if site >= num_given:
            for event in range(len(sites)):
                own = params[event]
                if temperature != 1:
                    own /= temperature
                uniform = noise[event, site]
                if kind == 0:
                    sites[event, site] = 1 if own[0] >= uniform else 0
                else:
                    sites[event, site] = _chosen(own, uniform, cumulative)


@_compiled
def _chosen(logits: NDArray[Any], uniform: float, cumulative: NDArray[np.float64]) -> int:
    """`arbench.probability.heads.components.choose` of one site, with the same edges."""
    most = float(logits.max())
    total = 0.0
    for value in range(len(logits)):
        total += math.exp(float(logits[value]) - most)
        cumulative[value] = total
    chosen = 0
    while chosen < len(logits) - 1 and uniform >= cumulative[chosen] / total:
        chosen += 1
    return chosen
