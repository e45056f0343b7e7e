"""A Chow-Liu tree as an autoregressive network: exact conditionals in any order of its sites."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from arbench import CheckpointError, Layout
from arbench_chow_liu.state import ChowLiuState
from arbench_chow_liu.tree import conditionals, shared_information, spanning_tree

_MAX_PAIRS = 1 << 26


class ChowLiuTree(nn.Module):
    """`p(x) = p(x_root) prod_i p(x_i | x_parent(i))` over the tree that makes the data likeliest.

    `fit` counts every pair of values of every pair of sites, and takes the spanning tree with the
    most mutual information. Every count is raised by `smoothing`. Before `fit`, all is uniform.

    A site may come before its parent. `p(x_t | x_<t)` is then a sum over the unknown sites between
    x_t and the known ones, and sums over a tree are exact. What known sites say of unknown ones
    above them is kept as messages (sum-product). A new value sends its own upwards; a prediction
    adds them up on the way down from the nearest known ancestor. Site 0 is the root, so there
    always is one. So the density is the same in every order.

    Source: Chow and Liu, "Approximating discrete probability distributions with dependence trees",
        IEEE Transactions on Information Theory, 1968. Messages: Pearl, "Reverend Bayes on inference
        engines", AAAI 1982. They use relative frequencies; the counts raised by 1 are those of the
        reports that the README names.

    Args:
        layout: discrete dims, drawn one at a time.
        num_params: P; K log-probabilities, or 1 logit where K = 2.
        smoothing: added to the count of each pair of values.

    Raises:
        ValueError: if the layout or an argument is not one of these, or the counts are too many.
    """

    heads: ClassVar[tuple[str, ...]] = ("bernoulli", "categorical")
    known_failures: ClassVar[dict[str, str]] = {
        "influence": "a site sees only the known sites that are next to it in the tree"
    }

    def __init__(self, layout: Layout, num_params: int, *, smoothing: float = 1.0) -> None:
        super().__init__()
        size = layout.alphabet_size
        if layout.site_dim != 1:
            raise ValueError(
                f"chow-liu draws one dim at a time, but a site has {layout.site_dim}; use "
                "sites='dim'"
            )
        if num_params != size and not (num_params == 1 and size == 2):
            raise ValueError(
                f"needs {size} parameters per site (or 1 logit for binary data), got {num_params}"
            )
        if not smoothing > 0:
            raise ValueError(
                f"smoothing must be positive, got {smoothing}: unseen values would be impossible"
            )
        num_pairs = (layout.num_sites * size) ** 2
        if num_pairs > _MAX_PAIRS:
            raise ValueError(
                f"{layout.num_sites:,} sites of {size} values have {num_pairs:.3g} pairs of values "
                f"to count, more than {_MAX_PAIRS:.3g}; choose a task with fewer dims or values"
            )
        self.num_sites = layout.num_sites
        self.alphabet_size = size
        self.num_params = num_params
        self.smoothing = smoothing
        self.parents: Tensor
        self.log_probs: Tensor
        self.register_buffer("parents", (torch.arange(self.num_sites) - 1).clamp(min=0))
        self.register_buffer("log_probs", torch.zeros(self.num_sites, size, size).log_softmax(-1))

    def fit(self, batches: Iterable[tuple[Tensor, Tensor | None]]) -> None:
        """Replace the tree and its tables by those of the data.

        Args:
            batches: pairs of sites `(B, T, 1)` int64 and which of them are scored, `(B, T)`
                boolean or None for all; a site that is not scored is not counted.
        """
        size = self.alphabet_size
        width = self.num_sites * size
        total = torch.zeros(width, width, dtype=torch.float64)
        for sites, scored in batches:
            seen = F.one_hot(sites.cpu().squeeze(-1), size).float()
            if scored is not None:
                seen *= scored.cpu().unsqueeze(-1)
            flat = seen.flatten(1)
            total += flat.T @ flat
        counts = total.view(self.num_sites, size, self.num_sites, size)
        parents = spanning_tree(shared_information(counts, self.smoothing))
        self.parents.copy_(parents)
        self.log_probs.copy_(conditionals(counts, parents, self.smoothing))

    def forward(self, sites: Tensor) -> Tensor:
        """The parameters `(B, T, P)` of all sites; sites are `(B, T, 1)` int64."""
        state = self.init_state(len(sites))
        params, previous = [], None
        for site in range(self.num_sites):
            found, state = self.step(state, previous, site)
            params.append(found)
            previous = sites[:, site]
        return torch.stack(params, dim=1)

    def init_state(self, batch_size: int) -> ChowLiuState:
        """Room for what is known of one batch.

        Raises:
            CheckpointError: if the parents are those of no tree, as a file may claim.
        """
        parents = tuple(self.parents.tolist())
        if not _is_tree(parents):
            raise CheckpointError(
                "the parents of these weights make no tree: fetch or fit it again"
            )
        shape = (batch_size, self.num_sites, self.alphabet_size)
        return ChowLiuState(
            parents=parents,
            values=self.parents.new_zeros(shape[:2]),
            evidence=self.log_probs.new_zeros(shape),
            messages=self.log_probs.new_zeros(shape),
        )

    def step(
        self, state: ChowLiuState, previous: Tensor | None, site: int
    ) -> tuple[Tensor, ChowLiuState]:
        """Parameters `(B, P)` of a site; `previous` is `(B, 1)`, None at site 0."""
        if previous is not None:
            self._observe(state, site - 1, previous[:, 0])
        log_probs = self._predict(state, site)
        return log_probs.diff(dim=-1) if self.num_params == 1 else log_probs, state

    def _observe(self, state: ChowLiuState, site: int, values: Tensor) -> None:
        """Send what the values `(B,)` of a site say up the tree, as far as it is unknown."""
        state.values[:, site] = values
        below, message = site, self.log_probs[site][:, values].T
        while (parent := state.parents[below]) > site:  # what comes later is unknown
            message = message - message.amax(-1, keepdim=True)
            state.evidence[:, parent] += message - state.messages[:, below]
            state.messages[:, below] = message
            below = parent
            message = (state.evidence[:, below].unsqueeze(1) + self.log_probs[below]).logsumexp(-1)

    def _predict(self, state: ChowLiuState, site: int) -> Tensor:
        """Log-probabilities `(B, K)` of a site's values, given those of all earlier sites."""
        if site == 0:
            return self.log_probs[0, 0].expand(len(state.values), -1)
        path = [site]
        while (parent := state.parents[path[-1]]) > site:
            path.append(parent)
        log_probs = self.log_probs[path[-1], state.values[:, parent]]
        for above, below in itertools.pairwise(reversed(path)):
            others = log_probs + state.evidence[:, above] - state.messages[:, below]
            log_probs = (others.unsqueeze(-1) + self.log_probs[below]).logsumexp(1)
        return (log_probs + state.evidence[:, site]).log_softmax(-1)


def _is_tree(parents: Sequence[int]) -> bool:
    """Whether every path of parents ends at site 0, which is its own parent."""
    joined = {0} if parents[0] == 0 else set()
    for site in range(len(parents)):
        path: dict[int, None] = {}
        while site not in joined and site not in path and 0 <= site < len(parents):
            path[site] = None
            site = parents[site]
        if site not in joined:
            return False
        joined.update(path)
    return True
