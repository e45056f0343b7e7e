"""What MADE keeps while it draws one batch: weights in order of degree, and final units."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class MADEState(NamedTuple):
    """What `MADE.step` keeps for one batch; in every layer units are in order of degree.

    Attributes:
        weights: per layer `(units, units of the layer before)`.
        biases: per layer `(units, 1)`.
        direct: `(T * P, T * I)`, or None.
        starts: per layer, the input first; entry d is the number of units of degree below d.
        values: per layer but the last, the input first: `(units, B)`, filled as units become final.
        order: canonical site of each position.
    """

    weights: list[Tensor]
    biases: list[Tensor]
    direct: Tensor | None
    starts: list[list[int]]
    values: list[Tensor]
    order: list[int]
