"""Independent dims: one distribution per site, no context."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import torch
from torch import Tensor, nn

from arbench import Layout
from arbench_bernoulli.state import IndependentState


class Independent(nn.Module):
    """`p(x) = prod_t p_t(x_t)`: Bernoulli dims for binary data, categorical ones for any K.

    The maximum of the likelihood has a closed form, so `fit` counts:
    `p_t(v) = (n_t(v) + smoothing) / (N_t + K * smoothing)`, the posterior mean under a symmetric
    Dirichlet prior. Before `fit`, every distribution is uniform.

    Args:
        layout: discrete dims, drawn one at a time.
        num_params: P; K log-probabilities, or 1 logit where K = 2.
        smoothing: pseudo-count of every value, more than 0.

    Raises:
        ValueError: if the layout or an argument is not one of these.
    """

    heads: ClassVar[tuple[str, ...]] = ("bernoulli", "categorical")
    known_failures: ClassVar[dict[str, str]] = {"influence": "dims are independent by definition"}

    def __init__(self, layout: Layout, num_params: int, *, smoothing: float = 1.0) -> None:
        super().__init__()
        size = layout.alphabet_size
        if layout.site_dim != 1:
            raise ValueError(
                f"bernoulli draws one dim at a time, but a site has {layout.site_dim}; "
                "use sites='dim'"
            )
        if num_params != size and not (num_params == 1 and size == 2):
            raise ValueError(
                f"needs {size} parameters per site (or 1 logit for binary data), got {num_params}"
            )
        if not smoothing > 0:
            raise ValueError(
                f"smoothing must be positive, got {smoothing}: unseen values would be impossible"
            )
        self.num_params = num_params
        self.smoothing = smoothing
        self.log_probs: Tensor
        self.register_buffer("log_probs", torch.zeros(layout.num_sites, size).log_softmax(-1))

    def fit(self, batches: Iterable[tuple[Tensor, Tensor | None]]) -> None:
        """Replace the distributions by smoothed relative frequencies.

        Args:
            batches: pairs of sites `(B, T, 1)` int64 and which of them are scored, `(B, T)`
                boolean or None for all; a site that is not scored is not counted.
        """
        counts = torch.zeros(self.log_probs.shape, dtype=torch.int64, device=self.log_probs.device)
        for sites, scored in batches:
            values = sites.to(counts.device).squeeze(-1)
            weights = torch.ones_like(values) if scored is None else scored.to(values)
            for value in range(counts.shape[-1]):
                counts[:, value] += ((values == value) * weights).sum(0)
        smoothed = counts.cpu().double() + self.smoothing
        self.log_probs.copy_(smoothed.log() - smoothed.sum(-1, keepdim=True).log())

    def forward(self, sites: Tensor) -> Tensor:
        """The parameters `(B, T, P)`, the same for every event; sites are `(B, T, 1)` int64."""
        return self._params().expand(len(sites), -1, -1)

    def init_state(self, batch_size: int) -> IndependentState:
        """The parameters of all sites, not copied."""
        return IndependentState(self._params().expand(batch_size, -1, -1))

    def step(
        self, state: IndependentState, previous: Tensor | None, site: int
    ) -> tuple[Tensor, IndependentState]:
        """Parameters `(B, P)` of a site; what came before does not matter."""
        return state.params[:, site], state

    def _params(self) -> Tensor:
        """`(T, P)`: log-probabilities, or the logit `log p(1) - log p(0)`."""
        return self.log_probs.diff(dim=-1) if self.num_params == 1 else self.log_probs
