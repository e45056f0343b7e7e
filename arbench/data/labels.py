"""The classes of a split's events, such as digits (`Labels`)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Labels:
    """The classes of the events of a split, such as digits.

    Attributes:
        values: `(N,)` int64, one for each event of the split, in its order; a number from 0 on.
        names: of these numbers.
    """

    values: Tensor
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        """Check that every number has a name.

        Raises:
            ValueError: if one has none, or they are no whole numbers.
        """
        if self.values.dim() != 1 or self.values.dtype != torch.int64:
            raise ValueError(
                f"labels are int64 (N,); got {tuple(self.values.shape)} {self.values.dtype}"
            )
        wrong = (self.values < 0) | (self.values >= len(self.names))
        if bool(wrong.any()):
            first = int(wrong.nonzero()[0])
            raise ValueError(
                f"event {first} has the label {int(self.values[first])}, and there are "
                f"{len(self.names)} names"
            )

    def __len__(self) -> int:
        return len(self.values)

    def first(self, limit: int | None) -> Labels:
        """Those of the first `limit` events, or of all."""
        return Labels(self.values[:limit], self.names)
