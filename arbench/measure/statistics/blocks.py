"""Blocks of a stream for its standard error: their length, `still_growing`.

Symbols of a text depend on each other over hundreds of characters: a hard scene is hard from end to
end. A standard error over single windows takes them as independent and comes out too small, by a
factor of four where scenes are long.

How long a block is, is decided by the values themselves and by no setting:

1. The windows are joined to cells, between 1,000 and 2,000 of them where there are that many
   windows. So a window may be of one symbol or of a hundred: the question is asked of stretches of
   about the same length.
2. Politis and White's rule gives the length whose bootstrap variance has the smallest mean squared
   error. Where it gives less than one cell, or nothing (values that never vary), it is one cell.
3. There are at least 20 blocks, and a multiple of 20.
4. The plateau is tested: if the blocks were independent, their sums would scatter within each
   twentieth of the stream as they do between twentieths (one-way analysis of variance, F test at
   5 %; of at least 80 blocks where there are so many cells). If they scatter more between them, or
   the rule wants fewer than 20 blocks, or there are too few windows to see, then the error still
   grows with the length of the blocks: it is taken at 20 blocks, which is the most that can be
   measured, and is a lower bound.

Source: Politis and White, "Automatic block-length selection for the dependent bootstrap",
    Econometric Reviews 23(1), 2004, with the correction of Patton, Politis and White, Econometric
    Reviews 28(4), 2009; the length for the circular block bootstrap. Points 1, 3 and 4 are ours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from scipy import special
from torch import Tensor

FEWEST_BLOCKS = 20
_MOST_CELLS = 1000  # fewer than twice as many
_TESTED_BLOCKS = 4 * FEWEST_BLOCKS
_LEVEL = 0.05


@dataclass(frozen=True)
class Blocks:
    """Contiguous blocks over the windows of a stream.

    Attributes:
        of_window: `(N,)` int64, the block of each window, counted from 0.
        length: scored symbols per block, rounded.
        num_blocks: how many there are.
        still_growing: whether longer blocks would show a larger error, as far as anybody can tell:
            then the error over these blocks is a lower bound.
        rule: by which their length is chosen.
    """

    rule: ClassVar[str] = "politis-white, at least 20 blocks"
    of_window: Tensor
    length: int
    num_blocks: int
    still_growing: bool


def blocks_of(residuals: Tensor, dims: Tensor) -> Blocks:
    """Blocks over which the sum of a stream's residuals has an honest error; see the module.

    Args:
        residuals: `(N,)` nats of each window less what its symbols cost on average, in the order of
            the stream.
        dims: `(N,)` scored symbols of each window.
    """
    num_windows = len(residuals)
    num_cells = num_windows // max(1, num_windows // _MOST_CELLS)
    cells = _sums(residuals.double(), num_cells)
    wanted = max(1.0, optimal_block_length(cells))
    num_blocks = min(num_cells, FEWEST_BLOCKS * max(1, int(num_cells / wanted) // FEWEST_BLOCKS))
    tested = FEWEST_BLOCKS * (min(num_cells, _TESTED_BLOCKS) // FEWEST_BLOCKS)
    still_growing = (
        num_cells < 2 * FEWEST_BLOCKS
        or num_cells / wanted < FEWEST_BLOCKS
        or _grows(_sums(cells, max(tested, num_blocks)))
    )
    if still_growing:
        num_blocks = min(num_cells, FEWEST_BLOCKS)
    # By way of the cells: a block never ends within one.
    of_window = _parts(num_cells, num_blocks)[_parts(num_windows, num_cells)]
    length = max(1, round(dims.sum().item() / num_blocks))
    return Blocks(of_window, length, num_blocks, still_growing)


def optimal_block_length(values: Tensor) -> float:
    """The block length for the circular block bootstrap of a mean, in values; 0 if there is none.

    The flat-top window is twice as wide as the first lag from which on K autocorrelations in a row
    are insignificant, `2 sqrt(log10 N / N)`; K is `max(5, log10 N)`. (The paper counts from the lag
    before; its authors' program, and the `arch` package after it, count as we do.)

    Args:
        values: `(N,)` in order.

    Source: see the module; section 3 and appendix of the first paper.
    """
    count = len(values)
    if count < 2 * FEWEST_BLOCKS:  # not worth its name, and the window would not fit
        return 0.0
    centred = values.double() - values.double().mean()
    in_a_row = max(5, int(math.log10(count)))
    most_lags = math.ceil(math.sqrt(count)) + in_a_row
    threshold = 2 * math.sqrt(math.log10(count) / count)
    covariances, significant = [], []
    for lag in range(most_lags + 1):
        product = (centred[lag:] @ centred[: count - lag]).item()
        # The scale of either end alone: what its last value adds may be large.
        scale = (centred[lag + 1 :].square().sum() * centred[: -(lag + 1)].square().sum()).item()
        covariances.append(product / count)
        significant.append(not abs(product) < threshold * math.sqrt(scale))
    first = next(
        (
            lag
            for lag in range(most_lags - in_a_row + 1)
            if not any(significant[lag : lag + in_a_row])
        ),
        None,
    )
    width = most_lags if first is None else min(2 * max(first, 1), most_lags)
    spectrum, slope = covariances[0], 0.0
    for lag in range(1, width + 1):
        weight = min(1.0, 2 * (1 - lag / width))
        spectrum += 2 * weight * covariances[lag]
        slope += 2 * weight * lag * covariances[lag]
    if spectrum == 0:
        return 0.0
    length = (2 * slope**2 / (4 / 3 * spectrum**2) * count) ** (1 / 3)
    return float(min(length, math.ceil(min(3 * math.sqrt(count), count / 3))))


def _grows(sums: Tensor) -> bool:
    """Whether sums of blocks `(20 m,)` scatter more between twentieths than within them."""
    table = sums.view(FEWEST_BLOCKS, -1)
    per_part = table.shape[1]
    between = per_part * table.mean(1).var().item()
    within = table.var(1).mean().item()
    if within == 0:
        return between > 0
    p_value = special.fdtrc(FEWEST_BLOCKS - 1, FEWEST_BLOCKS * (per_part - 1), between / within)
    return bool(p_value < _LEVEL)


def _parts(count: int, num_parts: int) -> Tensor:
    """Which of so many contiguous parts, as equal as can be, each of `count` items is in."""
    return torch.arange(count) * num_parts // count


def _sums(values: Tensor, num_parts: int) -> Tensor:
    """Sums over contiguous parts."""
    sums = values.new_zeros(num_parts)
    return sums.index_add_(0, _parts(len(values), num_parts), values)
