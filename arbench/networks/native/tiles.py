"""Products of matrices, a tile at a time with its sums in registers. Importing this imports Numba.

LLVM keeps no tile of sums in registers if it is written as loops: the sums go to memory and back
with every product. So it is written here as vectors of LLVM's own. On what a cache holds, a tile
runs at the peak of the processor.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, overload
from numpy.typing import NDArray
from torch import Tensor

from arbench.networks.native.memory import fresh_tensor
from arbench.networks.native.vectors import matrix_add_each
from arbench.probability.native.step import num_threads

# Columns of a tile: float32 numbers of the longest vectors; shorter vectors go several together.
LANES = 16
FEW_LANES = 8  # those of a last tile that is half as wide
# Rows of a tile: enough sums to hide how long a product takes, and few enough for the registers of
# every processor.
ROWS = 4
# Events whose own numbers, such as keys and values, still leave caches to the weights.
MOST_TOGETHER = 64

Place = tuple[NDArray[Any], int, int]  # an array, where it begins, and the distance of two rows
Steps = tuple[NDArray[Any], int, int, int]  # the same, and the distance of two steps
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}


@numba.njit(**_OPTIONS)  # type: ignore[untyped-decorator]
def write_products(
    num_rows: int,
    num_columns: int,
    num_steps: int,
    out: Place,
    left: Steps,
    right: tuple[NDArray[Any], int, int],
    start: Place | None,
    by: Place | None,
    floor: Any,
) -> None:
    """`out_rc = max(start_rc + sum_n left_rn right_nc, floor)`, the sum 0 where `by_rc <= 0`.

    Arrays are contiguous, of one floating-point type, and read as if they were flat: `left_rn` is
    number `begin + r row + n step`, `right_nc` is `begin + n step + c`, and the others are at
    `begin + r row + c`. So rows may be pixels and steps units, or the other way round; a row of
    `start` at a distance of 0 is a bias. `out` may be `start`. Nothing checks bounds.

    Args:
        num_rows: r.
        num_columns: c, a multiple of `FEW_LANES`.
        num_steps: n.
        out: what is written.
        left: the first factor.
        right: the second one: an array, where it begins, and the distance of two steps.
        start: what is added to; None for 0.
        by: what has to be positive; None for no such condition.
        floor: the least that is written. What is not a number stays so.
    """
    tiles, whole = num_columns // LANES, num_rows - num_rows % ROWS
    for tile in range(tiles + (num_columns % LANES != 0)):
        column = tile * LANES
        panel = (right[0], right[1] + column, right[2])
        for row in range(0, whole, ROWS):
            own = (left[0], left[1] + row * left[2], left[2], left[3])
            to, begin = moved(out, row, column), moved(start, row, column)
            if tile < tiles:
                write_tile(num_steps, to, own, panel, begin, moved(by, row, column), floor)
            else:
                write_narrow(num_steps, to, own, panel, begin, moved(by, row, column), floor)
        for row in range(whole, num_rows):
            own = (left[0], left[1] + row * left[2], left[2], left[3])
            to, begin = moved(out, row, column), moved(start, row, column)
            if tile < tiles:
                write_row(num_steps, to, own, panel, begin, moved(by, row, column), floor)
            else:
                write_narrow_row(num_steps, to, own, panel, begin, moved(by, row, column), floor)


@numba.njit(**_OPTIONS)  # type: ignore[untyped-decorator]
def products_add(totals: NDArray[Any], matrix: NDArray[Any], vectors: NDArray[Any]) -> None:
    """`totals_ei += sum_j matrix_ij vectors_ej`: events e share what is read of a matrix.

    What an event gets depends neither on the others nor on their number.

    Args:
        totals: `(E, I)`.
        matrix: `(I, J)`, or what `in_panels` makes of it.
        vectors: `(E, J)`, or longer.
    """
    if matrix.ndim == 2:
        matrix_add_each(totals, matrix, vectors)
    else:
        lowest = totals.dtype.type(-np.inf)
        for number in range(len(matrix)):
            to = (totals, number * LANES, totals.shape[1])
            panel = (matrix, number * matrix.shape[1] * LANES, LANES)
            read = (vectors, 0, vectors.shape[1], 1)
            write_products(len(totals), LANES, matrix.shape[1], to, read, panel, to, None, lowest)


def in_panels(matrices: Tensor) -> Tensor:
    """`(..., I, J)` as `products_add` reads them fast for several events, in huge pages.

    Returns:
        `(..., I / LANES, J, LANES)`, or the same matrices if I is no multiple of `LANES`.
    """
    if matrices.shape[-2] % LANES:
        return matrices
    *others, num_rows, num_columns = matrices.shape
    split = matrices.view(*others, num_rows // LANES, LANES, num_columns)
    panels = split.transpose(-1, -2)
    return fresh_tensor(tuple(panels.shape), matrices).copy_(panels)


def num_together(batch_size: int) -> int:
    """How many events share what is read of weights, so that every thread has some."""
    share = -(-batch_size // num_threads())
    return min(share + -share % ROWS, MOST_TOGETHER)


def moved(place: Any, row: int, column: int) -> Any:
    """Where a tile of a matrix begins."""
    if place is None:
        return None
    return (place[0], place[1] + row * place[2] + column, place[2])


def write_tile(
    num_steps: int, out: Any, left: Any, right: Any, start: Any, by: Any, floor: Any
) -> None:
    """`write_products` of `ROWS` rows and `LANES` columns, as Python reads it."""
    _write(ROWS, LANES, num_steps, out, left, right, start, by, floor)


def write_row(
    num_steps: int, out: Any, left: Any, right: Any, start: Any, by: Any, floor: Any
) -> None:
    """`write_products` of one row and `LANES` columns, as Python reads it."""
    _write(1, LANES, num_steps, out, left, right, start, by, floor)


def write_narrow(
    num_steps: int, out: Any, left: Any, right: Any, start: Any, by: Any, floor: Any
) -> None:
    """`write_products` of `ROWS` rows and `FEW_LANES` columns, as Python reads it."""
    _write(ROWS, FEW_LANES, num_steps, out, left, right, start, by, floor)


def write_narrow_row(
    num_steps: int, out: Any, left: Any, right: Any, start: Any, by: Any, floor: Any
) -> None:
    """`write_products` of one row and `FEW_LANES` columns, as Python reads it."""
    _write(1, FEW_LANES, num_steps, out, left, right, start, by, floor)


def _write(
    rows: int,
    lanes: int,
    num_steps: int,
    out: Any,
    left: Any,
    right: Any,
    start: Any,
    by: Any,
    floor: Any,
) -> None:
    for row in range(rows):
        for column in range(lanes):
            total = out[0].dtype.type(0)
            for n in range(num_steps):
                product = left[0].flat[left[1] + row * left[2] + n * left[3]]
                total += product * right[0].flat[right[1] + n * right[2] + column]
            if by is not None and by[0].flat[by[1] + row * by[2] + column] <= 0:
                total = out[0].dtype.type(0)
            if start is not None:
                total += start[0].flat[start[1] + row * start[2] + column]
            out[0].flat[out[1] + row * out[2] + column] = floor if total < floor else total


def _written(rows: int, lanes: int) -> Any:
    """The tile of so many rows and columns, for a compiler."""

    @intrinsic
    def tile(
        typing: Any,
        num_steps: Any,
        out: Any,
        left: Any,
        right: Any,
        start: Any,
        by: Any,
        floor: Any,
    ) -> Any:
        kinds = (num_steps, out, left, right, start, by, floor)

        def written(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return _Tile(context, builder, out.types[0].dtype, rows, lanes).write(kinds, arguments)

        return types.void(*kinds), written

    return tile


class _Tile:
    """Writes the instructions of one tile."""

    def __init__(self, context: Any, builder: Any, number: Any, rows: int, lanes: int) -> None:
        self.context, self.builder, self.rows, self.lanes = context, builder, rows, lanes
        self.number = context.get_value_type(number)
        self.size = context.get_abi_sizeof(self.number)
        self.vector = ir.VectorType(self.number, lanes)

    def write(self, kinds: Any, arguments: Any) -> Any:
        """The tile: sums of products, what they add to, and where they go."""
        builder = self.builder
        num_steps, *places, floor = arguments
        out, left, right, start, by = map(self.opened, kinds[1:-1], places)
        zero = ir.Constant(self.vector, None)
        room: Any = cgutils.alloca_once_value
        sums = [room(builder, zero) for _ in range(self.rows)]
        with cgutils.for_range(builder, num_steps) as loop:
            columns = self.loaded(right, loop.index)
            begin = builder.gep(left[0], [builder.mul(loop.index, left[2])])
            for row, total in enumerate(sums):
                value = builder.load(self.at((begin, left[1]), row))
                product = builder.fmul(self.spread(value), columns, flags=["contract"])
                added = builder.fadd(builder.load(total), product, flags=["contract"])
                builder.store(added, total)
        floor = self.spread(floor)
        for row, total in enumerate(sums):
            value = builder.load(total)
            if by is not None:
                is_open = builder.fcmp_unordered(">", self.loaded(by, row), zero)
                value = builder.select(is_open, value, zero)
            if start is not None:
                value = builder.fadd(self.loaded(start, row), value)
            is_low = builder.fcmp_ordered("<", value, floor)
            value = builder.select(is_low, floor, value)
            place = builder.bitcast(self.at(out, row), self.vector.as_pointer())
            builder.store(value, place, align=self.size)
        return self.context.get_dummy_value()

    def opened(self, kind: Any, place: Any) -> Any:
        """Where a place begins, and its distances; None for None."""
        if isinstance(kind, types.NoneType):
            return None
        unpacked: Any = cgutils.unpack_tuple
        array, begin, *steps = unpacked(self.builder, place)
        data = self.context.make_array(kind.types[0])(self.context, self.builder, array).data
        return (self.builder.gep(data, [begin]), *steps)

    def at(self, place: Any, row: Any) -> Any:
        """Where a row of a place begins."""
        distance = place[1]
        if isinstance(row, int):
            row = ir.Constant(distance.type, row)
        return self.builder.gep(place[0], [self.builder.mul(distance, row)])

    def loaded(self, place: Any, row: Any) -> Any:
        """The columns of a row."""
        pointer = self.builder.bitcast(self.at(place, row), self.vector.as_pointer())
        return self.builder.load(pointer, align=self.size)

    def spread(self, value: Any) -> Any:
        """A number in all lanes."""
        whole = ir.IntType(32)
        empty = ir.Constant(self.vector, ir.Undefined)
        one = self.builder.insert_element(empty, value, ir.Constant(whole, 0))
        lanes = ir.Constant(ir.VectorType(whole, self.lanes), None)
        return self.builder.shuffle_vector(one, empty, lanes)


@overload(moved)
def _(place, row, column):  # type: ignore[no-untyped-def]
    if isinstance(place, types.NoneType):
        return lambda place, row, column: None
    return lambda place, row, column: (place[0], place[1] + row * place[2] + column, place[2])


def _compile_by(name: Any, tile: Any) -> None:
    """Have a compiler take a tile where Python takes the function."""

    @overload(name)
    def _(num_steps, out, left, right, start, by, floor):  # type: ignore[no-untyped-def]
        def compiled(num_steps, out, left, right, start, by, floor):  # type: ignore[no-untyped-def]
            tile(num_steps, out, left, right, start, by, floor)

        return compiled


_compile_by(write_tile, _written(ROWS, LANES))
_compile_by(write_row, _written(1, LANES))
_compile_by(write_narrow, _written(ROWS, FEW_LANES))
_compile_by(write_narrow_row, _written(1, FEW_LANES))
