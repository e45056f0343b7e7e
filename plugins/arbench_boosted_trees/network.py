"""Boosted trees as an autoregressive network: every site given those before it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from arbench import CheckpointError, Layout
from arbench.networks.fitted import take_rows
from arbench_boosted_trees.boosting import Settings, Trees, boost
from arbench_boosted_trees.state import BoostedTreesState

_MAX_DEPTH = 10


class BoostedTrees(nn.Module):
    """`p(x_t | x_<t) = (1/K) sum_k Bernoulli(x_t; sigmoid(b_tk + sum_n tree_tkn(x_<t)))`.

    The events are divided into K folds at random, and member k of each site learns from all but
    the k-th. Trees are added one by one, each a step of Newton that lowers the nats of what it
    learns from. The fold held out says how many are kept, so no member fits more than helps on
    events that it has not seen. Averaging the members' conditionals gives what each of them lost
    back, and more.

    A tree asks the same question in all nodes of a level, so it is a table of 2^depth answers
    (CatBoost's trees).

    Source: Friedman, "Greedy function approximation: a gradient boosting machine", The Annals of
        Statistics, 2001. Steps of Newton: Friedman, Hastie and Tibshirani, "Additive logistic
        regression: a statistical view of boosting", The Annals of Statistics, 2000; with a penalty:
        Chen and Guestrin, "XGBoost: a scalable tree boosting system", KDD 2016. One question per
        level: Prokhorenkova, Gusev, Vorobev, Dorogush and Gulin, "CatBoost: unbiased boosting with
        categorical features", NeurIPS 2018.

    Args:
        layout: binary dims, drawn one at a time.
        num_params: P; 1 logit, or 2 log-probabilities.
        num_folds: K.
        depth: of each tree, 1 to 10.
        max_trees: of one member at one site, at most.
        patience: so many trees without a gain on the fold held out end a member's growth.
        shrinkage: what every answer is multiplied by.
        leaf_penalty: added to the curvature of every leaf, and so to that of a split.

    Raises:
        ValueError: if the layout or an argument is not one of these.
    """

    heads: ClassVar[tuple[str, ...]] = ("bernoulli", "categorical")
    known_failures: ClassVar[dict[str, str]] = {"influence": "a site sees what its trees ask for"}
    tiny_hyperparameters: ClassVar[dict[str, int]] = {"num_folds": 2, "depth": 2, "max_trees": 10}

    def __init__(
        self,
        layout: Layout,
        num_params: int,
        *,
        num_folds: int = 4,
        depth: int = 4,
        max_trees: int = 400,
        patience: int = 15,
        shrinkage: float = 0.2,
        leaf_penalty: float = 1.0,
    ) -> None:
        super().__init__()
        if layout.site_dim != 1 or layout.alphabet_size != 2:
            raise ValueError(
                "boosted-trees draws binary dims one at a time; choose a task of binary data and "
                "sites='dim'"
            )
        if num_params not in (1, 2):
            raise ValueError(f"needs 1 logit or 2 log-probabilities per site, got {num_params}")
        if num_folds < 2:
            raise ValueError(f"num_folds must be 2 or more, got {num_folds}: one is held out")
        if not 1 <= depth <= _MAX_DEPTH:
            raise ValueError(f"depth must be 1 to {_MAX_DEPTH}, got {depth}")
        if max_trees < 1 or patience < 1:
            raise ValueError(
                f"max_trees and patience must be 1 or more, got {max_trees} and {patience}"
            )
        if not (shrinkage > 0 and leaf_penalty > 0):
            raise ValueError(
                f"shrinkage and leaf_penalty must be positive, got {shrinkage} and {leaf_penalty}"
            )
        self.num_params = num_params
        self.settings = Settings(depth, max_trees, patience, shrinkage, leaf_penalty)
        # The trees of all members of all sites, site by site, then member by member: none until
        # `fit` has grown them.
        self.biases: Tensor
        self.num_trees: Tensor
        self.asked: Tensor
        self.answers: Tensor
        self.register_buffer("biases", torch.zeros(layout.num_sites, num_folds))
        counts = torch.zeros(layout.num_sites, num_folds, dtype=torch.int64)
        self.register_buffer("num_trees", counts)
        self.register_buffer("asked", torch.zeros(0, depth, dtype=torch.int64))
        self.register_buffer("answers", torch.zeros(0, 1 << depth))
        self.register_load_state_dict_pre_hook(_take_trees)  # type: ignore[no-untyped-call]

    def fit(self, batches: Iterable[tuple[Tensor, Tensor | None]]) -> Iterator[float]:
        """Grow the trees of all sites.

        Args:
            batches: pairs of sites `(B, T, 1)` int64 and which of them are scored, `(B, T)`
                boolean or None for all; a site that is not scored is not learned, and is 0 for
                the trees of others.

        Yields:
            The share of sites that are done.
        """
        values, counted = [], []
        for sites, scored in batches:
            here = sites.cpu().squeeze(-1)
            values.append(here.to(torch.uint8))
            counted.append(
                torch.ones_like(here, dtype=torch.bool) if scored is None else scored.cpu()
            )
        known = torch.cat(values).T.to(self.answers.device, self.answers.dtype).contiguous()
        is_counted = torch.cat(counted).T
        num_sites, num_folds = self.biases.shape
        # A generator of its own: the same events in the same order have the same folds.
        generator = torch.Generator().manual_seed(0)
        folds = torch.randperm(known.shape[1], generator=generator) % num_folds
        grown: list[Trees] = []
        for site in range(num_sites):
            here = is_counted[site]
            earlier = known[:site] if here.all() else known[:site, here]
            target = known[site, here]
            for fold in range(num_folds):
                held_out = folds[here] == fold
                grown.append(boost(earlier, target, held_out, self.settings))
            yield (site + 1) / num_sites
        self.biases.copy_(torch.tensor([trees.bias for trees in grown]).view_as(self.biases))
        self.num_trees.copy_(torch.tensor([len(t.asked) for t in grown]).view_as(self.num_trees))
        self.asked = torch.cat([trees.asked for trees in grown])
        self.answers = torch.cat([trees.answers for trees in grown])

    def forward(self, sites: Tensor) -> Tensor:
        """The parameters `(B, T, P)` of all sites; sites are `(B, T, 1)` int64."""
        state = self._state(sites.squeeze(-1).T.contiguous())
        return torch.stack([self._params(state, site) for site in range(sites.shape[1])], dim=1)

    def init_state(self, batch_size: int) -> BoostedTreesState:
        """The state before the first site."""
        return self._state(self.asked.new_zeros(len(self.biases), batch_size))

    def step(
        self, state: BoostedTreesState, previous: Tensor | None, site: int
    ) -> tuple[Tensor, BoostedTreesState]:
        """Parameters `(B, P)` of a site; `previous` is `(B, 1)`, None at site 0."""
        if previous is not None:
            state.values[site - 1] = previous[:, 0]
        return self._params(state, site), state

    def _state(self, values: Tensor) -> BoostedTreesState:
        num_trees = self.num_trees.tolist()
        firsts = itertools.accumulate(map(sum, num_trees), initial=0)
        return BoostedTreesState(num_trees, list(firsts), values)

    def _params(self, state: BoostedTreesState, site: int) -> Tensor:
        """Parameters `(B, P)` of a site, given the values of all earlier ones."""
        own = slice(state.firsts[site], state.firsts[site + 1])
        asked, answers = self.asked[own], self.answers[own]
        leaf = state.values.new_zeros(len(asked), state.values.shape[1])
        for level in asked.T:
            leaf = 2 * leaf + state.values.index_select(0, level)
        found = torch.split(answers.gather(1, leaf), state.num_trees[site])
        logits = torch.stack([each.sum(0) for each in found], dim=-1) + self.biases[site]
        both = F.logsigmoid(torch.stack((-logits, logits), dim=1))  # (B, 2, K)
        log_probs = both.logsumexp(-1) - math.log(logits.shape[-1])
        return log_probs.diff(dim=-1) if self.num_params == 1 else log_probs


def _take_trees(network: BoostedTrees, state: Mapping[str, Tensor], prefix: str, *_: Any) -> None:
    """Make room for the trees of a file, and refuse those that ask for what is not known yet.

    Raises:
        CheckpointError: if the file holds no such trees.
    """
    take_rows(network, state, prefix)
    num_trees, asked, answers = (state[f"{prefix}{n}"] for n in ("num_trees", "asked", "answers"))
    is_whole = (
        num_trees.shape == network.num_trees.shape
        and bool((num_trees >= 0).all())
        and num_trees.sum() == len(asked) == len(answers)
    )
    if is_whole:
        sites = torch.arange(len(num_trees)).repeat_interleave(num_trees.sum(1).cpu())
        is_whole = bool(((asked.cpu() >= 0) & (asked.cpu() < sites.unsqueeze(1))).all())
    if not is_whole:
        raise CheckpointError("these weights are no trees: fetch or fit them again")
