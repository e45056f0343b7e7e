"""Values of dims as the units that the first convolutions read."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from arbench import Discrete, Layout
from arbench.networks.masked import colours_of
from arbench.networks.raster import RasterDims

Encoding = Literal["scalar", "one-hot", "ramps"]


class Inputs(RasterDims):
    """Units of images that are drawn dim by dim in raster order.

    "scalar" is one unit per dim, its number. "one-hot" is one unit per value: it tells neighbouring
    values apart, and knows nothing of values that training has not seen. "ramps" does both: a unit
    per interval between the lowest value, the `knots` and the highest is -1 below it, 1 above it,
    and a straight line in it. That is a thermometer code (Buckman et al., "Thermometer encoding:
    one hot way to resist adversarial examples", ICLR 2018), fine where the knots are close.

    Args:
        layout: of such images.
        encoding: one of these.
        knots: for "ramps", rising, between 0 and K - 1; None takes `doubling_knots`.

    Attributes:
        num_values: K, of discrete dims; 0 for real ones.
        colours: the colour of every unit of a picture, `(num_colours * E,)`.

    Raises:
        ValueError: for any other layout or encoding, or knots that are none.
    """

    def __init__(
        self, layout: Layout, encoding: Encoding, knots: Sequence[int] | None = None
    ) -> None:
        super().__init__(layout)
        if encoding not in ("scalar", "one-hot", "ramps"):
            raise ValueError(f"encoding must be 'scalar', 'one-hot' or 'ramps', got {encoding!r}")
        if knots is not None and encoding != "ramps":
            raise ValueError(f"knots are for encoding='ramps', got {encoding!r}")
        self._is_one_hot = encoding == "one-hot"
        is_discrete = self._is_one_hot or isinstance(layout.domain, Discrete)
        self.num_values = layout.alphabet_size if is_discrete else 0
        self._ramps: Tensor | None = None
        if encoding == "ramps":
            last = layout.alphabet_size - 1
            ends = [0, *(doubling_knots(last + 1) if knots is None else knots), last]
            if any(low >= high for low, high in itertools.pairwise(ends)):
                raise ValueError(f"knots rise between 0 and {last}, got {ends[1:-1]}")
            self._ramps = torch.tensor(ends, device="cpu")
        num_units = (
            self.num_values
            if self._is_one_hot
            else (1 if self._ramps is None else len(self._ramps) - 1)
        )
        self.colours = colours_of(self.num_colours, self.num_colours).repeat_interleave(num_units)

    def encoded(self, values: Tensor, dtype: torch.dtype) -> Tensor:
        """Units `(..., E)` of values `(..., 1)`."""
        if self._is_one_hot:
            return F.one_hot(values[..., 0], self.num_values).to(dtype)
        if self._ramps is not None:
            self._ramps = ends = self._ramps.to(values.device)  # moved once
            low, high = ends[:-1].to(dtype), ends[1:].to(dtype)
            return ((values.to(dtype) - low) / (high - low)).clamp(0, 1) * 2 - 1
        return self.scaled(values, dtype)


def perturbed(values: Tensor, num_values: int, most: float) -> Tensor:
    """Values of a batch in which half of the events are disturbed.

    A disturbed event has a radius, uniform up to `most` of the range; each of its values moves by
    a uniform number of levels within that, and stays in the range.

    Args:
        values: `(B, T, 1)` int64.
        num_values: K, that a value may take.
        most: in [0, 1].

    Returns:
        The shape and type of values. What moves depends on torch's default generator.
    """
    last = num_values - 1
    chance = torch.rand(len(values), 1, 1, device=values.device)
    radius = (2 * chance - 1).clamp(min=0) * (most * last)
    moves = (2 * torch.rand(values.shape, device=values.device) - 1) * radius
    return (values + moves.round().long()).clamp(0, last)


def doubling_knots(num_values: int) -> list[int]:
    """Values whose distance from the nearer end doubles: 1, 2, 4, ..., K - 3, K - 2."""
    last = num_values - 1
    inner = [1 << power for power in range(num_values.bit_length()) if 4 << power <= num_values]
    return sorted({*inner, *(last - value for value in inner)})
