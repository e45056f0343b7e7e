"""Sums over vectors, compiled: what native steps are made of. Importing this imports Numba.

Sums may be reordered, so that vector units make them: each lane sums a part, as in torch's own
products, and rounding does not grow with the length as it does where one number takes them all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
from numpy.typing import NDArray

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])
Vector = NDArray[Any]  # all of one floating-point type
# No "nnan" and "ninf": what a trained network never has, an untrained one may.
_REORDERED = {"reassoc", "contract", "nsz", "arcp"}
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": _REORDERED}


def compiled(function: AnyFunction) -> AnyFunction:
    """The function as Numba compiles it, as a part of what calls it.

    A call costs as much as a short sum, because it counts who holds the arrays; so there is none.
    """
    made: Any = numba.njit(**_OPTIONS, forceinline=True)(function)
    return cast(AnyFunction, made)


def compiled_once(function: AnyFunction) -> AnyFunction:
    """The same for what is long and called from several places: every copy takes a second."""
    made: Any = numba.njit(**_OPTIONS)(function)
    return cast(AnyFunction, made)


@compiled
def dot(left: Vector, right: Vector) -> Any:
    """`sum_i left_i right_i`, over the shorter one."""
    total = left.dtype.type(0)
    for i in range(min(len(left), len(right))):
        total += left[i] * right[i]
    return total


@compiled
def rectified_dot(left: Vector, right: Vector) -> Any:
    """`sum_i max(left_i, 0) right_i`."""
    zero = left.dtype.type(0)
    total = zero
    for i in range(len(left)):
        total += (left[i] if left[i] > zero else zero) * right[i]
    return total


@compiled
def add(total: Vector, term: Vector) -> None:
    """`total_i += term_i`."""
    for i in range(len(total)):
        total[i] += term[i]


@compiled_once
def matrix_add(total: Vector, matrix: Vector, vector: Vector) -> None:
    """`total_i += sum_j matrix_ij vector_j`.

    Four rows at a time, so that short ones pay, too: the rows lie a quarter of the matrix apart,
    because a processor fetches four long streams ahead, and not one that pauses at every row.
    """
    apart = len(total) // 4
    zero = total.dtype.type(0)
    for row in range(apart):
        first, second, third, fourth = zero, zero, zero, zero
        for j in range(len(vector)):
            first += matrix[row, j] * vector[j]
            second += matrix[row + apart, j] * vector[j]
            third += matrix[row + 2 * apart, j] * vector[j]
            fourth += matrix[row + 3 * apart, j] * vector[j]
        total[row] += first
        total[row + apart] += second
        total[row + 2 * apart] += third
        total[row + 3 * apart] += fourth
    for row in range(4 * apart, len(total)):
        total[row] += dot(matrix[row], vector)


@compiled_once
def matrix_add_each(totals: Vector, matrix: Vector, vectors: Vector) -> None:
    """`totals_ei += sum_j matrix_ij vectors_ej`: events e share what is read of a matrix.

    It is a product of matrices: four rows and four events at a time keep their sixteen sums in
    registers. Events that are left over go one by one, as in `matrix_add`.
    """
    num_events, apart = len(totals), len(matrix) // 4
    together = num_events - num_events % 4
    zero = totals.dtype.type(0)
    for a in range(apart):
        b, c, d = a + apart, a + 2 * apart, a + 3 * apart
        for e in range(0, together, 4):
            a0, b0, c0, d0 = zero, zero, zero, zero
            a1, b1, c1, d1 = zero, zero, zero, zero
            a2, b2, c2, d2 = zero, zero, zero, zero
            a3, b3, c3, d3 = zero, zero, zero, zero
            for j in range(matrix.shape[1]):
                wa, wb, wc, wd = matrix[a, j], matrix[b, j], matrix[c, j], matrix[d, j]
                x = vectors[e, j]
                a0, b0, c0, d0 = a0 + wa * x, b0 + wb * x, c0 + wc * x, d0 + wd * x
                x = vectors[e + 1, j]
                a1, b1, c1, d1 = a1 + wa * x, b1 + wb * x, c1 + wc * x, d1 + wd * x
                x = vectors[e + 2, j]
                a2, b2, c2, d2 = a2 + wa * x, b2 + wb * x, c2 + wc * x, d2 + wd * x
                x = vectors[e + 3, j]
                a3, b3, c3, d3 = a3 + wa * x, b3 + wb * x, c3 + wc * x, d3 + wd * x
            _add_four(totals[e], a, apart, a0, b0, c0, d0)
            _add_four(totals[e + 1], a, apart, a1, b1, c1, d1)
            _add_four(totals[e + 2], a, apart, a2, b2, c2, d2)
            _add_four(totals[e + 3], a, apart, a3, b3, c3, d3)
        for e in range(together, num_events):
            a0, b0, c0, d0 = zero, zero, zero, zero
            for j in range(matrix.shape[1]):
                x = vectors[e, j]
                a0, b0 = a0 + matrix[a, j] * x, b0 + matrix[b, j] * x
                c0, d0 = c0 + matrix[c, j] * x, d0 + matrix[d, j] * x
            _add_four(totals[e], a, apart, a0, b0, c0, d0)
    for row in range(4 * apart, len(matrix)):
        for e in range(num_events):
            totals[e, row] += dot(matrix[row], vectors[e])


@compiled
def _add_four(total: Vector, row: int, apart: int, a: Any, b: Any, c: Any, d: Any) -> None:
    total[row] += a
    total[row + apart] += b
    total[row + 2 * apart] += c
    total[row + 3 * apart] += d


@compiled_once
def rows_add(total: Vector, matrix: Vector, weights: Vector) -> None:
    """`total_j += sum_i weights_i matrix_ij`: four rows at a time."""
    together = len(weights) - len(weights) % 4
    for i in range(0, together, 4):
        a, b, c, d = weights[i], weights[i + 1], weights[i + 2], weights[i + 3]
        for j in range(len(total)):
            left = a * matrix[i, j] + b * matrix[i + 1, j]
            total[j] += left + c * matrix[i + 2, j] + d * matrix[i + 3, j]
    for i in range(together, len(weights)):
        for j in range(len(total)):
            total[j] += weights[i] * matrix[i, j]


@compiled
def copy(vector: Vector, out: Vector) -> None:
    """`out_i = vector_i`; `out[:] = vector` takes longer to compile."""
    for i in range(len(out)):
        out[i] = vector[i]


@compiled
def rectify(vector: Vector, out: Vector) -> None:
    """`out_i = max(vector_i, 0)`; both may be the same."""
    zero = vector.dtype.type(0)
    for i in range(len(vector)):
        out[i] = vector[i] if vector[i] > zero else zero
