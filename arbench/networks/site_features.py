"""Encodes the values of sites as numbers that a network can be linear in."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from arbench.probability.layouts import Layout


class SiteFeatures(nn.Module):
    """The numbers that say what a site's value is: binary and real ones itself, or one-hot vectors.

    Where the dims of a table differ, every site has as many features as the largest of them needs;
    what a site does not need is 0.

    Args:
        layout: any order; a mixed one has one dim per site.

    Attributes:
        width: I, features per site.
        is_number: of each of the T sites, whether its dims are numbers themselves.
    """

    categories: Tensor

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        sizes = [getattr(domain, "size", 0) for domain in layout.spec.dim_domains]
        self.size = max(sizes) if max(sizes) > 2 else 0
        self.width = layout.site_dim * (self.size or 1)
        self.is_mixed = len(sizes) > 1
        if self.is_mixed:
            sizes = [sizes[dim] for dim in layout.permutation.tolist()]
        self.is_number = tuple(size <= 2 for size in sizes) * (
            1 if self.is_mixed else layout.num_sites
        )
        # Not state: it follows from the layout.
        categories = torch.tensor([not number for number in self.is_number], device="cpu")
        self.register_buffer("categories", categories[:, None], persistent=False)

    def forward(self, sites: Tensor, dtype: torch.dtype) -> Tensor:
        """The features `(B, T, I)` of sites `(B, T, C)`, of all or of the first ones."""
        if not self.size:
            return sites.to(dtype)
        if not self.is_mixed:
            return F.one_hot(sites, self.size).flatten(-2).to(dtype)
        categories = self.categories[: sites.shape[1]]
        return torch.where(categories, self._one_hot(sites, dtype), self._padded(sites, dtype))

    def at(self, values: Tensor, site: int, dtype: torch.dtype) -> Tensor:
        """The features `(B, I)` of the values `(B, C)` of one site, by its number in this order."""
        if not self.size:
            return values.to(dtype)
        if not self.is_mixed:
            return F.one_hot(values, self.size).flatten(-2).to(dtype)
        encoded = self._padded if self.is_number[site] else self._one_hot
        return encoded(values, dtype)

    def _one_hot(self, values: Tensor, dtype: torch.dtype) -> Tensor:
        every = torch.arange(self.size, device=values.device)
        return (values == every).to(dtype)

    def _padded(self, values: Tensor, dtype: torch.dtype) -> Tensor:
        return F.pad(values.to(dtype), (0, self.size - 1))


class MixedVectors(nn.Module):
    """A vector for the value of each site of a table whose dims differ, but for the last.

    A binary or real value is a multiple of its dim's vector; one of more values has a vector of its
    own. To both the dim adds one more.

    Args:
        layout: of a mixed domain.
        width: H.
    """

    def __init__(self, layout: Layout, width: int) -> None:
        super().__init__()
        self.features = SiteFeatures(layout)
        num_read = layout.num_sites - 1
        self.weight = nn.Parameter(torch.empty(num_read, self.features.width, width).normal_())
        self.bias = nn.Parameter(torch.zeros(num_read, width))

    def forward(self, sites: Tensor) -> Tensor:
        """Vectors `(B, T - 1, H)` of all sites `(B, T, 1)` but the last; T may be a first part."""
        told = self.features(sites, self.weight.dtype)[:, :-1]
        num_read = told.shape[1]
        return torch.einsum("btf,tfh->bth", told, self.weight[:num_read]) + self.bias[:num_read]

    def by_site(self, weight: Tensor, bias: Tensor) -> list[tuple[Tensor, Tensor | None]]:
        """What an affine map makes of the vectors, for each site but the last.

        Args:
            weight: `(G, H)`.
            bias: `(G,)`.

        Returns:
            Of each site a slope `(1, G)` and an intercept `(G,)`, or a table `(I, G)` by value and
            None.
        """
        rows, intercepts = F.linear(self.weight, weight), F.linear(self.bias, weight, bias)
        return [
            (own[:1], intercept) if is_number else (own + intercept, None)
            for own, intercept, is_number in zip(
                rows, intercepts, self.features.is_number, strict=False
            )
        ]
