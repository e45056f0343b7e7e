"""What the first hidden layer reads: which sites are known, and their values."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from arbench import Discrete, Layout, Mixed


class KnownSites(nn.Module):
    """A sum over the known sites; unknown ones add nothing, whatever their value is.

    A known site adds one vector for being known and one for its value: for binary and real dims a
    multiple of a vector by the value, for larger alphabets a vector of each value's own, which
    says that the site is known, too. Weights belong to canonical sites, not to positions in an
    order.

    Source: Uria, Murray and Larochelle, ICML 2014: the input is the values times the
    mask, and the mask itself. Deviation: alphabets of more than two values.

    Args:
        layout: any order, dims that are alike.
        width: H, of the sum.

    Raises:
        ValueError: for a mixed table.
    """

    def __init__(self, layout: Layout, width: int) -> None:
        super().__init__()
        if isinstance(layout.domain, Mixed):
            raise ValueError(f"needs dims that are alike, but the data are {layout.domain}")
        size = layout.domain.size if isinstance(layout.domain, Discrete) else 0
        self.site_dim = layout.site_dim
        self.size = size if size > 2 else 0
        num_rows = self.site_dim * self.size if self.size else self.site_dim + 1
        self.weight = nn.Parameter(torch.empty(layout.num_sites, num_rows, width))
        self.bias = nn.Parameter(torch.zeros(width))
        nn.init.normal_(self.weight, std=layout.num_sites**-0.5)

    def of_all(self, sites: Tensor, known: Tensor) -> Tensor:
        """The sum over the known sites, and the bias, `(B, H)`.

        Args:
            sites: `(B, T, C)`, in the canonical order.
            known: `(B, T)` boolean.
        """
        width = self.weight.shape[-1]
        if self.size:
            index = self._rows(sites, torch.arange(sites.shape[1], device=sites.device)).flatten(1)
            shares = known.to(self.weight.dtype).repeat_interleave(self.site_dim, 1)
            table = self.weight.view(-1, width)
            return self.bias + F.embedding_bag(index, table, mode="sum", per_sample_weights=shares)
        inputs = F.pad(sites.to(self.weight.dtype), (0, 1), value=1.0)
        inputs = inputs.masked_fill(~known.unsqueeze(-1), 0.0)
        return torch.addmm(self.bias, inputs.flatten(1), self.weight.view(-1, width))

    def of_each(self, sites: Tensor, numbers: Tensor) -> Tensor:
        """What each of some sites adds if it is known, `(B, S, H)`.

        Args:
            sites: `(B, S, C)`.
            numbers: `(S,)` int64, their canonical numbers.
        """
        if self.size:
            rows = self._rows(sites, numbers)
            vectors: Tensor = F.embedding(rows, self.weight.flatten(0, 1)).sum(2)
            return vectors
        weight = self.weight[numbers]
        values = sites.to(weight.dtype)
        added = weight[:, -1].expand(len(sites), -1, -1)
        for dim in range(self.site_dim):
            added = torch.addcmul(added, values[..., dim, None], weight[:, dim])
        return added

    def _rows(self, sites: Tensor, numbers: Tensor) -> Tensor:
        """Which rows of all sites' vectors the values look up, `(B, S, C)`."""
        dims = torch.arange(self.site_dim, device=sites.device)
        return (numbers[:, None] * self.site_dim + dims) * self.size + sites
