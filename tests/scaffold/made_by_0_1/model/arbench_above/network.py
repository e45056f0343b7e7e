"""The network of above: from sites to the parameters of their distributions."""

from __future__ import annotations

import torch
from arbench.probability.layouts import Layout
from torch import Tensor, nn
from torch.nn import functional as F


class AboveNetwork(nn.Module):
    """A sum of one vector for every earlier value, squashed, and a linear map for every site.

    EDIT: this is a place to start from. Sites go in, parameters come out, and those of site t may
    depend on sites before t alone; `pytest` says where they do not. What the parameters mean is
    the head's business: one logit for binary data, K logits for K values.

    Source: EDIT: the paper, its equations, and what is different here.

    Args:
        layout: the sites of the data: how many, which values, in which order.
        num_params: P, how many parameters the head needs for a site.
        hidden: width of the sum. (A keyword argument is a setting: `--set hidden=200`.)

    Raises:
        ValueError: for real data, or sites of several dims: what a network cannot do, it refuses.
    """

    def __init__(self, layout: Layout, num_params: int, *, hidden: int = 100) -> None:
        super().__init__()
        if layout.site_dim != 1:
            raise ValueError(f"draws one dim at a time, but a site has {layout.site_dim}")
        num_sites = layout.num_sites
        self.start = nn.Parameter(torch.zeros(hidden))
        self.vectors = nn.Parameter(0.01 * torch.randn(num_sites, layout.alphabet_size, hidden))
        self.weight = nn.Parameter(torch.randn(num_sites, hidden, num_params) / hidden)
        self.bias = nn.Parameter(torch.zeros(num_sites, num_params))

    def forward(self, sites: Tensor) -> Tensor:
        """Parameters `(B, T, P)` of sites `(B, T, 1)` int64."""
        vectors = self.vectors[torch.arange(sites.shape[1], device=sites.device), sites[..., 0]]
        earlier = F.pad(vectors[:, :-1], (0, 0, 1, 0)).cumsum(1)  # nothing before the first site
        hidden = (self.start + earlier).sigmoid()
        return torch.einsum("bth,thp->btp", hidden, self.weight) + self.bias

    # What follows is optional: with it, sampling takes T cheap steps instead of T whole forwards.

    def init_state(self, batch_size: int) -> Tensor:
        """The sum so far, `(B, H)`."""
        return self.start.repeat(batch_size, 1)

    def step(self, state: Tensor, previous: Tensor | None, site: int) -> tuple[Tensor, Tensor]:
        """Parameters `(B, P)` of a site, given the value `(B, 1)` of the one before."""
        if previous is not None:
            state = state + self.vectors[site - 1, previous[:, 0]]
        return state.sigmoid() @ self.weight[site] + self.bias[site], state
