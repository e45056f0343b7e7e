"""Embeds sites as vectors: each site gets the value of the one before."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from arbench.networks.site_features import MixedVectors
from arbench.probability.events import Discrete, Mixed
from arbench.probability.layouts import Layout


class SiteVectors(nn.Module):
    """At every site a vector `(H,)` for the value of the site before, a learned one at the first.

    Discrete dims have a row of a table each, and the rows of a site's dims are added; real ones go
    through a linear map; the dims of a mixed table have `MixedVectors`. Tables start standard
    normal, the first vector at 0.

    Args:
        layout: any order.
        width: H.
        ordinal: add to the vector of a discrete value a multiple of the value itself, so that
            neighbouring values start alike; real ones always do.
        coordinates: add vectors for where in the event the site lies whose turn it is: its row,
            column and channel, say.

    Raises:
        ValueError: if real or mixed values are to be ordinal.
    """

    def __init__(
        self, layout: Layout, width: int, *, ordinal: bool = False, coordinates: bool = False
    ) -> None:
        super().__init__()
        self.site_dim = layout.site_dim
        self.size = layout.domain.size if isinstance(layout.domain, Discrete) else 0
        if ordinal and not self.size:
            raise ValueError(
                "ordinal is for discrete values of one alphabet; real ones enter as they are"
            )
        self.start = nn.Parameter(torch.zeros(width))
        self.table = nn.Embedding(self.site_dim * self.size, width) if self.size else None
        self.mixed = MixedVectors(layout, width) if isinstance(layout.domain, Mixed) else None
        self.linear: nn.Linear | None = None
        if ordinal or not (self.size or self.mixed):
            self.linear = nn.Linear(self.site_dim, width, bias=not self.size)
        self.places: nn.Embedding | None = None
        if coordinates:
            axes = layout.coordinates
            lengths = axes.amax(0) + 1
            self.places = nn.Embedding(int(lengths.sum()), width)
            # Each axis has a part of the table. Not state: it follows from the layout.
            self.place_rows: Tensor
            rows = axes + lengths.cumsum(0) - lengths
            self.register_buffer("place_rows", rows, persistent=False)

    def forward(self, sites: Tensor) -> Tensor:
        """Vectors `(B, T, H)` of sites `(B, T, C)`; entry t depends on site t - 1 alone.

        The first sites alone will do: they have the vectors that they have among all.
        """
        start = self.start.expand(len(sites), 1, -1)
        own = self.of_values(sites[:, :-1]) if self.mixed is None else self.mixed(sites)
        vectors = torch.cat((start, own), 1)
        places = self.of_places()
        return vectors if places is None else vectors + places[: sites.shape[1]]

    def of_values(self, values: Tensor) -> Tensor:
        """Vectors `(..., H)` of site values `(..., C)`, for sites that are all alike."""
        if self.table is None:
            assert self.linear is not None
            vectors: Tensor = self.linear(values)
            return vectors
        # The dims of a site have a part of the table each.
        vectors = self.table(values[..., 0])
        for dim in range(1, self.site_dim):
            vectors = vectors + self.table(values[..., dim] + dim * self.size)
        if self.linear is not None:
            vectors = vectors + self.linear(self._scaled(values))
        return vectors

    def of_places(self) -> Tensor | None:
        """Vectors `(T, H)` for where sites lie, or None without coordinates."""
        if self.places is None:
            return None
        vectors: Tensor = self.places(self.place_rows).sum(1)
        return vectors

    def rows(self) -> Tensor | None:
        """All that a discrete value may add to a vector, `(C * K, H)`; None for other values."""
        if self.table is None:
            return None
        rows = self.table.weight
        if self.linear is not None:
            values = self._scaled(torch.arange(self.size, device=rows.device))
            rows = rows + torch.einsum("hc,k->ckh", self.linear.weight, values).flatten(0, 1)
        return rows

    def _scaled(self, values: Tensor) -> Tensor:
        """Discrete values at equal distances in [-2, 2]."""
        return values.to(self.start.dtype) * (4 / (self.size - 1)) - 2


class SiteLookup:
    """`SiteVectors` one site at a time, behind a linear map: `weight @ vector + bias`.

    The map is applied in advance to everything that can be looked up, so for discrete values it
    costs nothing.

    Args:
        vectors: of the sites.
        weight: `(G, H)`; None is the identity.
        bias: `(G,)`, or None for 0.
    """

    @torch.no_grad()
    def __init__(
        self, vectors: SiteVectors, weight: Tensor | None = None, bias: Tensor | None = None
    ) -> None:
        if weight is None:
            weight = torch.eye(len(vectors.start)).to(vectors.start)
        if bias is None:
            bias = weight.new_zeros(len(weight))
        places, rows = vectors.of_places(), vectors.rows()
        self.start = F.linear(vectors.start, weight, bias)
        self.places = () if places is None else F.linear(places, weight).unbind(0)
        self.tables: tuple[Tensor, ...] = ()
        mixed = vectors.mixed
        self.by_site = None if mixed is None else mixed.by_site(weight, bias)
        if self.by_site is not None:
            pass
        elif rows is not None:
            first, *others = F.linear(rows, weight).chunk(vectors.site_dim)
            self.tables = (first + bias, *others)
        else:
            assert vectors.linear is not None
            # Without a table the linear map has a bias.
            self.slope = (weight @ vectors.linear.weight).T.contiguous()
            self.intercept = F.linear(vectors.linear.bias, weight, bias)

    def __call__(self, previous: Tensor | None, site: int, out: Tensor) -> None:
        """Write the mapped vector of a site.

        Args:
            previous: `(B, C)` value of site - 1, or None at the first site.
            site: t.
            out: `(B, G)`.
        """
        if previous is None:
            out.copy_(self.start)
        elif self.tables:
            torch.index_select(self.tables[0], 0, previous[:, 0], out=out)
            for dim, table in enumerate(self.tables[1:], start=1):
                out.add_(table.index_select(0, previous[:, dim]))
        elif self.by_site is not None:
            rows, intercept = self.by_site[site - 1]
            if intercept is None:
                torch.index_select(rows, 0, previous[:, 0].long(), out=out)
            else:
                torch.addmm(intercept, previous, rows, out=out)
        else:
            torch.addmm(self.intercept, previous, self.slope, out=out)
        if self.places:
            out.add_(self.places[site])
