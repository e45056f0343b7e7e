"""Conditional probability tables: each site given its k nearest earlier sites."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from arbench import Layout
from arbench_cpt.state import TablesState

_MAX_ENTRIES = 1 << 26


class Tables(nn.Module):
    """`p(x) = prod_t p_t(x_t | c_t)`, where the context c_t is the k nearest earlier sites of t.

    Distance is Euclidean, between `layout.coordinates`, whatever the order. Of equally near sites,
    the latest come first. For sequences and table rows in raster order, these are the k previous
    sites. A site with fewer than k earlier sites uses those. Each missing one counts as a neighbour
    with a known value, which only smooths once more.

    `fit` counts. Contexts are nested, nearest first. Each length m is smoothed towards the next
    shorter one, down to the uniform distribution:
    `p_m(v | c) = (n(c, v) + s * p_{m-1}(v | c')) / (n(c) + s)`, with c' the m - 1 nearest of c.
    This is normalised for any counts, and an unseen context falls back to the next shorter one.
    Before `fit`, every conditional is uniform.

    Source: the interpolation is MacKay and Peto, "A hierarchical Dirichlet language model", Natural
    Language Engineering, 1995, with one fixed strength s instead of a fitted one per length.

    Args:
        layout: discrete dims, drawn one at a time.
        num_params: P; K log-probabilities, or 1 logit where K = 2.
        neighbours: k; the tables have `T * K**(k+1)` entries.
        smoothing: s, how many observations the shorter context is worth.

    Raises:
        ValueError: if the layout or an argument is not one of these, or the tables are too large.
    """

    heads: ClassVar[tuple[str, ...]] = ("bernoulli", "categorical")
    known_failures: ClassVar[dict[str, str]] = {
        "influence": "a site sees its nearest earlier sites only"
    }

    def __init__(
        self, layout: Layout, num_params: int, *, neighbours: int = 4, smoothing: float = 1.0
    ) -> None:
        super().__init__()
        size = layout.alphabet_size
        if layout.site_dim != 1:
            raise ValueError(
                f"cpt draws one dim at a time, but a site has {layout.site_dim}; use sites='dim'"
            )
        if num_params != size and not (num_params == 1 and size == 2):
            raise ValueError(
                f"needs {size} parameters per site (or 1 logit for binary data), got {num_params}"
            )
        if neighbours < 0:
            raise ValueError(f"neighbours must be at least 0, got {neighbours}")
        if not smoothing > 0:
            raise ValueError(
                f"smoothing must be positive, got {smoothing}: unseen values would be impossible"
            )
        self.num_sites = layout.num_sites
        # More than T - 1 earlier sites do not exist.
        self.num_neighbours = min(neighbours, layout.num_sites - 1)
        num_entries = layout.num_sites * size ** (self.num_neighbours + 1)
        if num_entries > _MAX_ENTRIES:
            raise ValueError(
                f"{neighbours} neighbours of {size} values need tables of {num_entries:.3g} "
                f"entries for {layout.num_sites} sites, more than {_MAX_ENTRIES:.3g}; "
                "use fewer neighbours"
            )
        self.alphabet_size = size
        self.num_params = num_params
        self.smoothing = smoothing
        self.log_probs: Tensor
        shape = (layout.num_sites, size**self.num_neighbours, size)
        self.register_buffer("log_probs", torch.zeros(shape).log_softmax(-1))
        # Neither is saved: the first follows from the layout, the second from the arguments.
        self.context: Tensor
        self.place_values: Tensor
        self.register_buffer("context", self._nearest(layout), persistent=False)
        powers = size ** torch.arange(self.num_neighbours - 1, -1, -1)
        self.register_buffer("place_values", powers, persistent=False)

    def _nearest(self, layout: Layout) -> Tensor:
        """Sites `(T, k)` of each context, nearest first; T stands for "there is none"."""
        coordinates = layout.coordinates
        context = torch.full((self.num_sites, self.num_neighbours), self.num_sites)
        for site in range(1, self.num_sites if self.num_neighbours else 0):
            gaps = (coordinates[:site] - coordinates[site]).square().sum(-1)
            # Stable on the reversed list: of equal distances the latest site wins.
            nearest = site - 1 - gaps.flip(0).argsort(stable=True)[: self.num_neighbours]
            context[site, : len(nearest)] = nearest
        return context

    def fit(self, batches: Iterable[tuple[Tensor, Tensor | None]]) -> None:
        """Replace the tables by smoothed relative frequencies.

        Args:
            batches: pairs of sites `(B, T, 1)` int64 and which of them are scored, `(B, T)`
                boolean or None for all; a site that is not scored is only context.
        """
        table = self.log_probs
        counts = torch.zeros(table.numel(), dtype=torch.int64, device=table.device)
        rows = torch.arange(self.num_sites, device=table.device) * table.shape[1]
        for sites, scored in batches:
            values = sites.to(table.device).squeeze(-1)
            entries = (rows + self._codes(values)) * self.alphabet_size + values
            if scored is not None:
                entries = entries[scored.to(table.device)]
            entries = entries.flatten()
            counts.scatter_add_(0, entries, torch.ones_like(entries))
        table.copy_(self._smooth(counts.view(table.shape).cpu().double()).log())

    def _smooth(self, counts: Tensor) -> Tensor:
        """Probabilities `(T, K**k, K)` from counts of that shape, float64."""
        size, most = self.alphabet_size, self.num_neighbours
        probs = counts.new_full((self.num_sites, 1, size), 1 / size)
        for length in range(most + 1):
            # The nearest site has the largest place value, so this sums out the farthest.
            shape = (self.num_sites, size**length, size ** (most - length), size)
            seen = counts.view(shape).sum(2)
            shorter = probs if length == 0 else probs.repeat_interleave(size, dim=1)
            total = seen.sum(-1, keepdim=True)
            probs = (seen + self.smoothing * shorter) / (total + self.smoothing)
        return probs

    def forward(self, sites: Tensor) -> Tensor:
        """The parameters `(B, T, P)` of all sites; sites are `(B, T, 1)` int64."""
        every = torch.arange(self.num_sites, device=sites.device)
        return self._params(self.log_probs[every, self._codes(sites.squeeze(-1))])

    def init_state(self, batch_size: int) -> TablesState:
        """Room for the values of one batch."""
        return TablesState(self.context.new_zeros((batch_size, self.num_sites + 1)))

    def step(
        self, state: TablesState, previous: Tensor | None, site: int
    ) -> tuple[Tensor, TablesState]:
        """Parameters `(B, P)` of a site by one look-up; `previous` is `(B, 1)`, None at site 0."""
        values = state.values
        if previous is not None:
            values[:, site - 1] = previous[:, 0]
        codes = (values[:, self.context[site]] * self.place_values).sum(-1)
        return self._params(self.log_probs[site, codes]), state

    def _codes(self, values: Tensor) -> Tensor:
        """Row `(B, T)` of the table that the context of each site selects, from values `(B, T)`."""
        padded = F.pad(values, (0, 1))
        codes = torch.zeros_like(values)
        for column, place_value in zip(self.context.T, self.place_values, strict=True):
            codes += padded[:, column] * place_value
        return codes

    def _params(self, log_probs: Tensor) -> Tensor:
        """`(..., P)` from `(..., K)`: the same, or the logit `log p(1) - log p(0)`."""
        return log_probs.diff(dim=-1) if self.num_params == 1 else log_probs
