"""A Markov chain: every site has a table with a row of parameters for each earlier value."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from arbench import Layout


class Chain(nn.Module):
    """`p(x) = prod_t p_t(x_t | x_{t-1})`, with a table for every site but the first.

    Args:
        layout: discrete dims, drawn one at a time.
        num_params: P, how many parameters the head needs for a site.
        scale: standard deviation of the initial table.

    Raises:
        ValueError: for any other layout.
    """

    known_failures: ClassVar[dict[str, str]] = {
        "influence": "a chain looks at the site before and at nothing else",
    }

    def __init__(self, layout: Layout, num_params: int, *, scale: float = 0.01) -> None:
        super().__init__()
        if layout.site_dim != 1:
            raise ValueError(f"draws one dim at a time, but a site has {layout.site_dim}")
        self.first = nn.Parameter(torch.zeros(num_params))
        size = (layout.num_sites - 1, layout.alphabet_size, num_params)
        self.tables = nn.Parameter(scale * torch.randn(size))

    def forward(self, sites: Tensor) -> Tensor:
        """Parameters `(B, T, P)` of sites `(B, T, 1)` int64."""
        first = self.first.expand(len(sites), 1, -1)
        earlier = torch.arange(sites.shape[1] - 1, device=sites.device)
        return torch.cat((first, self.tables[earlier, sites[:, :-1, 0]]), 1)

    def init_state(self, batch_size: int) -> Tensor:
        """The parameters of the first site, `(B, P)`; the chain keeps nothing else."""
        return self.first.expand(batch_size, -1)

    def step(self, state: Tensor, previous: Tensor | None, site: int) -> tuple[Tensor, Tensor]:
        """Parameters `(B, P)` of a site, given the value `(B, 1)` of the one before."""
        return (state if previous is None else self.tables[site - 1, previous[:, 0]]), state
