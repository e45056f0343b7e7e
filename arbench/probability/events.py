"""`EventSpec` and its domains, `Discrete`, `Real` and `Mixed`.

An event is one data item: an image `(C, H, W)`, a sequence `(T,)`, a table row `(D,)`.
A dim is one scalar of it. The domain is a fact about the data, so a task states it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

_MOST_VALUES = 1 << 24  # whole numbers below this are exact in float32
_CHECKED_AT_ONCE = 1 << 20  # dims


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


@dataclass(frozen=True)
class Mixed:
    """The dims of a table's row, each with a domain of its own.

    Events are floating point; what is discrete is a whole number among them.

    Attributes:
        dims: the domain of every dim, at least two different ones.

    Raises:
        ValueError: if all dims are alike, so that one domain says it, or a dim has more values than
            float32 can count.
    """

    dims: tuple[Discrete | Real, ...]

    def __post_init__(self) -> None:
        if len(set(self.dims)) < 2:
            raise ValueError("a mixed domain has dims that differ; say the one domain of all")
        if max(self.sizes) > _MOST_VALUES:
            raise ValueError(
                f"a dim of a mixed domain has at most {_MOST_VALUES:,} values, got "
                f"{max(self.sizes):,}"
            )

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many values each dim may have; 0 for real ones."""
        return tuple(dim.size if isinstance(dim, Discrete) else 0 for dim in self.dims)

    @property
    def bin_width(self) -> float | None:
        """That of all dims, if they have the same."""
        widths = {dim.bin_width for dim in self.dims}
        return widths.pop() if len(widths) == 1 else None

    def __str__(self) -> str:
        sizes = self.sizes
        counts = {
            "real": sizes.count(0),
            "binary": sizes.count(2),
            "categorical": sum(size > 2 for size in sizes),
        }
        return f"mixed ({', '.join(f'{n} {name}' for name, n in counts.items() if n)})"


Domain = Discrete | Real | Mixed
"""What the dims of an event may be: one domain for all, or one for each."""


def joined(dims: Sequence[Discrete | Real]) -> Domain:
    """The domain of dims with these domains: theirs, if it is the same for all."""
    return dims[0] if len(set(dims)) == 1 else Mixed(tuple(dims))


@dataclass(frozen=True)
class EventSpec:
    """Shape and domain of the events of one task.

    Attributes:
        shape: `(C, H, W)` for images, `(T,)` for sequences, `(D,)` for table rows.
        domain: what the dims may be.
        num_dims: number of scalars D in one event, colour channels included.

    Raises:
        ValueError: if there is no event of this shape, a dim has fewer than 2 values, a bin has no
            width, or a mixed domain has other dims than the rows of a table.
    """

    shape: tuple[int, ...]
    domain: Domain
    num_dims: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.shape) not in (1, 3) or any(n < 1 for n in self.shape):
            raise ValueError(
                f"an event has shape (C, H, W), (T,) or (D,) with positive sizes, got {self.shape}"
            )
        for domain in set(self.dim_domains):
            if isinstance(domain, Discrete) and domain.size < 2:
                raise ValueError(f"a discrete domain needs at least 2 values, got {domain.size}")
            if domain.bin_width is not None and not domain.bin_width > 0:
                raise ValueError(f"a bin width is positive, got {domain.bin_width}")
        if isinstance(self.domain, Mixed) and self.shape != (len(self.domain.dims),):
            raise ValueError(
                f"a mixed domain of {len(self.domain.dims)} dims is of rows "
                f"({len(self.domain.dims)},), not of events {self.shape}"
            )
        object.__setattr__(self, "num_dims", math.prod(self.shape))  # it is frozen

    @property
    def dim_domains(self) -> tuple[Discrete | Real, ...]:
        """The domains of the dims: one for all of them, or one for each."""
        return self.domain.dims if isinstance(self.domain, Mixed) else (self.domain,)

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
        rows = max(1, _CHECKED_AT_ONCE // self.num_dims)
        for start in range(0, len(events), rows):
            self._validate_domain(events[start : start + rows], start)

    def _validate_domain(self, events: Tensor, start: int) -> None:
        """Check some of the events, from this number on: a check makes them ten times as large."""
        flat = events.reshape(events.shape[0], self.num_dims)
        # Comparing uint8 with 256 would wrap round to a comparison with 0.
        flat = flat if flat.is_floating_point() else flat.long()
        sizes = torch.tensor([getattr(domain, "size", 0) for domain in self.dim_domains])
        sizes = sizes.to(flat.device)
        bad = (sizes > 0) & ((flat < 0) | (flat >= sizes))
        if flat.is_floating_point():
            bad |= ~torch.isfinite(flat) | ((sizes > 0) & (flat != flat.floor()))
        if bool(bad.any()):
            row, dim = (int(i) for i in bad.nonzero()[0])
            size = int(sizes.expand(self.num_dims)[dim])
            raise ValueError(
                f"event {start + row}, dim {dim}: found {flat[row, dim].item()}, expected "
                f"{f'integers in [0, {size})' if size else 'finite numbers'}"
            )
