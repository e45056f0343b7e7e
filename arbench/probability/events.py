"""`EventSpec` and its domains, `Discrete` and `Real`.

An event is one data item: an image `(C, H, W)`, a sequence `(T,)`, a table row `(D,)`.
A dim is one scalar of it. The domain is a fact about the data, so a task states it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor


@dataclass(frozen=True)
class Discrete:
    """Dims are integers in `[0, size)`; binary data has size 2.

    Attributes:
        size: how many values there are.
        bin_width: a value stands for a region of width 1.
    """

    size: int
    bin_width: ClassVar[float] = 1.0


@dataclass(frozen=True)
class Real:
    """Dims are real numbers.

    Attributes:
        bin_width: width of the quantisation bin when the reals stand for rounded values, else
            None. With it a density in nats can also be stated in bits per dim.
    """

    bin_width: float | None = None


Domain = Discrete | Real
"""What a dim may be."""


@dataclass(frozen=True)
class EventSpec:
    """Shape and domain of the events of one task.

    Attributes:
        shape: `(C, H, W)` for images, `(T,)` for sequences, `(D,)` for table rows.
        domain: what every dim may be.
        num_dims: number of scalars D in one event, colour channels included.

    Raises:
        ValueError: if there is no event of this shape, a dim has fewer than 2 values, or a bin
            has no width.
    """

    shape: tuple[int, ...]
    domain: Domain
    num_dims: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.shape) not in (1, 3) or any(n < 1 for n in self.shape):
            raise ValueError(
                f"an event has shape (C, H, W), (T,) or (D,) with positive sizes, got {self.shape}"
            )
        if isinstance(self.domain, Discrete) and self.domain.size < 2:
            raise ValueError(f"a discrete domain needs at least 2 values, got {self.domain.size}")
        width = self.domain.bin_width
        if width is not None and not width > 0:
            raise ValueError(f"a bin width is positive, got {width}")
        object.__setattr__(self, "num_dims", math.prod(self.shape))  # it is frozen

    def validate(self, events: Tensor) -> None:
        """Check that a batch of events has this shape and stays inside the domain.

        Args:
            events: `(B, *shape)`, any dtype.

        Raises:
            ValueError: with the index of the first offending event, what was found and what was
                expected.
        """
        if tuple(events.shape[1:]) != self.shape:
            raise ValueError(
                f"expected events of shape (B, {', '.join(map(str, self.shape))}), "
                f"got {tuple(events.shape)}"
            )
        flat = events.reshape(events.shape[0], self.num_dims)
        if isinstance(self.domain, Discrete):
            # Comparing uint8 with 256 would wrap round to a comparison with 0.
            flat = flat if flat.is_floating_point() else flat.long()
            bad = (flat < 0) | (flat >= self.domain.size)
            if flat.is_floating_point():
                bad |= flat != flat.floor()
            expected = f"integers in [0, {self.domain.size})"
        else:
            bad = ~torch.isfinite(flat)
            expected = "finite numbers"
        if bool(bad.any()):
            row, dim = (int(i) for i in bad.nonzero()[0])
            raise ValueError(
                f"event {row}, dim {dim}: found {flat[row, dim].item()}, expected {expected}"
            )
