"""Tiles of products against whole products, as compiled and as Python reads them."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pytest
from numpy.typing import NDArray

from arbench.networks.native import tiles
from arbench.networks.native.tiles import FEW_LANES, LANES, write_products

Array = NDArray[Any]


def many(out: Array, left: Array, right: Array, start: Array, by: Array, floor: Any) -> None:
    """Products of one row of blocks; then of the left factor turned over, added to themselves."""
    rows, steps = left.shape
    columns = right.shape[1]
    to, begin = (out, 0, columns), (start, 0, columns)
    read, is_open = (left, 0, steps, 1), (by, 0, columns)
    write_products(rows, columns, steps, to, read, (right, 0, columns), begin, is_open, floor)
    after = (out, rows * columns, columns)
    lowest = left.dtype.type(-np.inf)
    turned = (left, 0, 1, steps)
    write_products(steps, columns, rows, after, turned, (out, 0, columns), None, None, lowest)
    write_products(steps, columns, rows, after, turned, (out, 0, columns), after, None, lowest)
    # A row of start at a distance of 0 is a bias.
    after = (out, (rows + steps) * columns, columns)
    bias = (start, 0, 0)
    write_products(rows, columns, steps, after, read, (right, 0, columns), bias, None, lowest)


@pytest.mark.parametrize("is_compiled", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_tiles_are_products(
    is_compiled: bool, dtype: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = np.random.default_rng(0)
    rows, steps, columns = 7, 5, LANES + FEW_LANES  # a tile and three rows, twice

    def drawn(*shape: int) -> Array:
        return draw.normal(size=shape).astype(dtype)

    left, right, start, by = (
        drawn(rows, steps), drawn(steps, columns), drawn(rows, columns), drawn(rows, columns)
    )  # fmt: skip
    left[3, 2], by[2] = np.nan, 0
    out = np.full((2 * rows + steps, columns), 7, dtype)
    if is_compiled:
        run = numba.njit(many)
    else:
        run = many
        monkeypatch.setitem(many.__globals__, "write_products", tiles.write_products.py_func)
    run(out, left, right, start, by, dtype(-0.5))
    first = start + np.where(by > 0, left @ right, 0)
    expected = np.where(first < -0.5, -0.5, first)
    again = 2 * left.T @ expected
    biased = start[0] + left @ right
    tolerance = 1e-5 if dtype == np.float32 else 1e-13
    np.testing.assert_allclose(out, np.vstack([expected, again, biased]), rtol=0, atol=tolerance)
    assert np.isnan(out[3]).any()  # a training that diverges is seen to
    assert (out[:rows] == -0.5).any()
