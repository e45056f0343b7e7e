"""What the first block reads: vectors of values and of places."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from arbench.probability.events import Discrete
from arbench.probability.layouts import Layout


class ValueVectors(nn.Module):
    """The vector `(H,)` that stands for the value of a site, and the one for the beginning.

    Discrete dims have a row of a table each, and the rows of a site's dims are added; real ones go
    through a linear map.

    Args:
        layout: of the sites.
        width: H.
    """

    def __init__(self, layout: Layout, width: int) -> None:
        super().__init__()
        self.start = nn.Parameter(torch.zeros(width))
        self.size = layout.domain.size if isinstance(layout.domain, Discrete) else 0
        self.table = nn.Embedding(layout.site_dim * self.size, width) if self.size else None
        self.linear = None if self.size else nn.Linear(layout.site_dim, width)

    def forward(self, values: Tensor) -> Tensor:
        """Vectors `(..., H)` of site values `(..., site_dim)`."""
        if self.table is None:
            assert self.linear is not None
            vectors: Tensor = self.linear(values)
            return vectors
        # The dims of one site have a part of the table each.
        parts = range(0, self.table.num_embeddings, self.size)
        vectors = self.table(values[..., 0])
        for dim, part in enumerate(parts[1:], start=1):
            vectors = vectors + self.table(values[..., dim] + part)
        return vectors


class CoordinateVectors(nn.Module):
    """The sum of one vector `(H,)` per coordinate of a site: row, column and channel, say.

    It says where sites lie in the event whatever the order is.

    Args:
        layout: of the sites.
        width: H.
    """

    def __init__(self, layout: Layout, width: int) -> None:
        super().__init__()
        coordinates = layout.coordinates
        lengths = (coordinates.amax(0) + 1).tolist()
        offsets = torch.tensor([0, *lengths[:-1]], device="cpu").cumsum(0)
        self.table = nn.Embedding(sum(lengths), width)
        self.rows: Tensor
        self.register_buffer("rows", coordinates + offsets, persistent=False)

    def forward(self) -> Tensor:
        """Vectors of all sites, `(T, H)`."""
        vectors: Tensor = self.table(self.rows).sum(1)
        return vectors


class PlaceVectors(nn.Module):
    """What is added to the input at every site for where it is.

    Args:
        layout: of the sites.
        width: H.
        learned: a vector of its own for every place in the order.
        coordinates: vectors for the coordinates of the site that comes next, and others for those
            of the site whose value is read; instead of a vector of its own.
    """

    def __init__(self, layout: Layout, width: int, *, learned: bool, coordinates: bool) -> None:
        super().__init__()
        own = learned and not coordinates
        self.own = nn.Parameter(torch.zeros(layout.num_sites, width)) if own else None
        self.next = CoordinateVectors(layout, width) if coordinates else None
        # A single site reads no value.
        has_read = coordinates and layout.num_sites > 1
        self.read = CoordinateVectors(layout, width) if has_read else None

    def forward(self) -> Tensor | None:
        """Vectors of all sites, `(T, H)`, or None when nothing is added."""
        vectors: Tensor | None = self.own if self.next is None else self.next()
        if vectors is not None and self.read is not None:
            vectors = vectors + nn.functional.pad(self.read()[:-1], (0, 0, 1, 0))
        return vectors
