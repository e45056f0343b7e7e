"""Sums over vectors, compiled: what native steps are made of. Importing this imports Numba.

Sums may be reordered, so that vector units make them: each lane sums a part, as in torch's own
products, and rounding does not grow with the length as it does where one number takes them all.
"""

from __future__ import annotations

import math
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
    """`total_i += sum_j matrix_ij vector_j`: four rows at a time, so that short ones pay, too."""
    together = len(total) - len(total) % 4
    zero = total.dtype.type(0)
    for row in range(0, together, 4):
        first, second, third, fourth = zero, zero, zero, zero
        for j in range(len(vector)):
            first += matrix[row, j] * vector[j]
            second += matrix[row + 1, j] * vector[j]
            third += matrix[row + 2, j] * vector[j]
            fourth += matrix[row + 3, j] * vector[j]
        total[row] += first
        total[row + 1] += second
        total[row + 2] += third
        total[row + 3] += fourth
    for row in range(together, len(total)):
        total[row] += dot(matrix[row], vector)


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


@compiled
def sigmoid(x: Any) -> Any:
    """`1 / (1 + exp(-x))`."""
    return 1 / (1 + math.exp(-x))


@compiled
def tanh(x: Any) -> Any:
    """The hyperbolic tangent."""
    return 1 - 2 / (1 + math.exp(2 * x))
