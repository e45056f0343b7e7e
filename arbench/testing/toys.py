"""Toy networks that are right by inspection, for tests."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from arbench.probability.events import Discrete, EventSpec
from arbench.probability.heads.base import Head
from arbench.probability.layouts import Layout
from arbench.probability.precision import widen

TINY_SPECS: dict[str, EventSpec] = {
    "binary-2x3": EventSpec((1, 2, 3), Discrete(2)),
    "binary-3x3": EventSpec((1, 3, 3), Discrete(2)),
    "colour-1x2": EventSpec((3, 1, 2), Discrete(4)),
    "sequence-5": EventSpec((5,), Discrete(5)),
}


def all_events(spec: EventSpec) -> Tensor:
    """Every event of discrete dims, `(N, *shape)` int64; the last dim counts fastest.

    Raises:
        ValueError: if a dim is real.
    """
    values = [
        torch.arange(domain.size) for domain in spec.dim_domains if isinstance(domain, Discrete)
    ]
    if len(values) < len(spec.dim_domains):
        raise ValueError(f"only discrete events can be listed, but the domain is {spec.domain}")
    if len(values) == 1:
        values *= spec.num_dims
    return torch.cartesian_prod(*values).reshape(-1, *spec.shape)


class TableNetwork(nn.Module):
    """Looks the parameters of a site up by the values of all sites before it.

    Any autoregressive distribution over tiny events is such a table, so nothing can hide in it.

    Args:
        layout: discrete, and tiny: there are `K ** (D - site_dim)` rows for the last site.
        num_params: P.
        seed: of the normally distributed entries.
        scale: their standard deviation; large ones make peaked distributions.
    """

    def __init__(
        self, layout: Layout, num_params: int, *, seed: int = 0, scale: float = 1.0
    ) -> None:
        super().__init__()
        self.alphabet_size = layout.alphabet_size
        self.site_size = layout.alphabet_size**layout.site_dim
        generator = torch.Generator().manual_seed(seed)
        self.tables = nn.ParameterList(
            scale * torch.randn(self.site_size**t, num_params, generator=generator)
            for t in range(layout.num_sites)
        )

    def forward(self, sites: Tensor) -> Tensor:
        """Parameters `(B, T, P)` of sites `(B, T, C)` int64."""
        rows = self._rows(sites)
        return torch.stack([table[rows[:, t]] for t, table in enumerate(self.tables)], dim=1)

    def _code(self, values: Tensor) -> Tensor:
        """The values `(..., C)` of a site as one number `(...)` in `[0, K ** C)`."""
        code = torch.zeros_like(values[..., 0])
        for c in range(values.shape[-1]):
            code = code * self.alphabet_size + values[..., c]
        return code

    def _rows(self, sites: Tensor) -> Tensor:
        """Which row `(B, T)` each site looks up: the number spelled by the sites before it."""
        codes = self._code(sites)
        row = torch.zeros_like(codes[:, 0])
        rows = []
        for t in range(sites.shape[1]):
            rows.append(row)
            row = row * self.site_size + codes[:, t]
        return torch.stack(rows, dim=1)


class SteppingTable(TableNetwork):
    """A table that can also be walked site by site; the state is the row, `(B,)` int64."""

    def init_state(self, batch_size: int) -> Tensor:
        """Row 0 for every event."""
        return torch.zeros(batch_size, dtype=torch.int64, device=self.tables[0].device)

    def step(self, state: Tensor, previous: Tensor | None, site: int) -> tuple[Tensor, Tensor]:
        """Parameters `(B, P)` of a site, and the row of the next."""
        if previous is not None:
            state.mul_(self.site_size).add_(self._code(previous))
        return self.tables[site][state], state


class CountingTable(TableNetwork):
    """A table of smoothed counts: it has `fit`, and no weights for an optimiser.

    It speaks to the bernoulli and the categorical head, `site_dim` 1.

    Args:
        layout: as for `TableNetwork`.
        num_params: 1 (a logit) or K (logits).
        smoothing: added to every count.
    """

    def __init__(self, layout: Layout, num_params: int, *, smoothing: float = 0.1) -> None:
        if layout.site_dim != 1:
            raise ValueError(f"counts one dim at a time, but a site has {layout.site_dim} dims")
        super().__init__(layout, num_params)
        self.smoothing = smoothing
        self.tables.requires_grad_(False)
        for table in self.tables:
            table.zero_()

    @torch.no_grad()
    def fit(self, batches: Iterable[tuple[Tensor, Tensor | None]]) -> None:
        """Count; what was counted before is forgotten.

        Args:
            batches: pairs of sites `(B, T, 1)` int64 and a boolean `(B, T)`, which of them count;
                None when all do.
        """
        counts = [
            torch.full((len(table), self.site_size), self.smoothing, dtype=table.dtype)
            for table in self.tables
        ]
        for sites, scored in batches:
            rows, values = self._rows(sites), self._code(sites)
            weight = torch.ones(rows.shape) if scored is None else scored
            for t, count in enumerate(counts):
                where = (rows[:, t], values[:, t])
                count.index_put_(where, weight[:, t].to(count.dtype), accumulate=True)
        for table, count in zip(self.tables, counts, strict=True):
            logits = count.log()
            single = table.shape[1] == 1
            table.copy_(logits[:, 1:] - logits[:, :1] if single else logits)


class LinearNetwork(nn.Module):
    """Parameters are a masked sum over sites; weights belong to places, not to positions.

    A fully visible belief network, with `site_dim` 1: discrete values enter as one-hot vectors,
    real ones as they are. As its weights are indexed by canonical site, it offers `reordered`.

    Args:
        layout: one dim per site, in any order.
        num_params: P.
        scale: standard deviation of the initial weights.
    """

    def __init__(self, layout: Layout, num_params: int, *, scale: float = 0.1) -> None:
        super().__init__()
        if layout.site_dim != 1:
            raise ValueError(f"draws one dim at a time, but a site has {layout.site_dim} dims")
        num_sites = layout.num_sites
        self.alphabet_size = layout.domain.size if isinstance(layout.domain, Discrete) else 1
        self.num_params = num_params
        self.permutation = layout.permutation
        self.weight = nn.Parameter(
            scale * torch.randn(num_sites, self.alphabet_size, num_sites, num_params)
        )
        self.bias = nn.Parameter(scale * torch.randn(num_sites, num_params))

    def forward(self, sites: Tensor) -> Tensor:
        """Parameters `(B, T, P)` of sites `(B, T, 1)`."""
        order = self.permutation.to(sites.device)
        weight = self.weight[order][:, :, order]
        earlier = torch.ones(len(order), len(order), device=sites.device).triu(1)
        weight = weight * earlier[:, None, :, None].to(weight.dtype)
        if sites.is_floating_point():
            features = sites.to(weight.dtype)
        else:
            features = nn.functional.one_hot(sites[..., 0], self.alphabet_size).to(weight.dtype)
        return self.bias[order] + torch.einsum("bsk,sktp->btp", features, weight)

    def reordered(self, layout: Layout, mask_seed: int) -> LinearNetwork:
        """The same weights in another order; there is one mask per order, so no seed is needed."""
        view = LinearNetwork(layout, self.num_params)
        view.weight, view.bias = self.weight, self.bias
        return view


class JointCategorical(Head):
    """A softmax over all `K ** C` values of a site: every dependence between its dims, exactly."""

    name = "joint-categorical"
    kind = "exact"

    def __init__(self, layout: Layout) -> None:
        super().__init__(layout)
        self.alphabet_size = layout.alphabet_size
        self.num_params = self.alphabet_size**layout.site_dim
        self.powers = self.alphabet_size ** torch.arange(layout.site_dim - 1, -1, -1)

    def log_prob(self, params: Tensor, value: Tensor) -> Tensor:
        """See `Head.log_prob`."""
        code = (value * self.powers).sum(-1, keepdim=True)
        return params.log_softmax(-1).gather(-1, code).squeeze(-1)

    def draw(self, params: Tensor, prepared: Tensor) -> Tensor:
        """See `Head.draw`."""
        edges = widen(params).softmax(-1).cumsum(-1)[..., :-1]
        code = (prepared >= edges).sum(-1, keepdim=True)
        return code // self.powers % self.alphabet_size


class LinearFlow(nn.Module):
    """`z = L x + b` with a lower triangular L: a flow whose density is a normal one.

    Args:
        spec: of real numbers.
        seed: of the normally distributed entries.
    """

    def __init__(self, spec: EventSpec, *, seed: int = 0) -> None:
        super().__init__()
        self.shape, size = spec.shape, spec.num_dims
        generator = torch.Generator().manual_seed(seed)
        self.below = nn.Parameter(0.5 * torch.randn(size, size, generator=generator))
        self.log_diagonal = nn.Parameter(0.3 * torch.randn(size, generator=generator))
        self.shift = nn.Parameter(torch.randn(size, generator=generator))

    @property
    def factor(self) -> Tensor:
        """L, `(D, D)`."""
        return self.below.tril(-1) + torch.diag(self.log_diagonal.exp())

    def forward(self, events: Tensor) -> tuple[Tensor, Tensor]:
        """Latents `(B, D)`, and the sum of the logarithms of L's diagonal, `(B,)`."""
        latents = events.flatten(1) @ self.factor.T + self.shift
        return latents, self.log_diagonal.sum().expand(len(events))

    def inverse(self, latents: Tensor) -> Tensor:
        """Events `(B, *event_shape)`, by forward substitution."""
        right = (latents - self.shift).T
        solved: Tensor = torch.linalg.solve_triangular(self.factor, right, upper=False)
        return solved.T.reshape(len(latents), *self.shape)
