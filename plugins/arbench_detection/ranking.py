"""How well a score ranks outliers above others: AUROC, AUPR and FPR at 95 % TPR, with weights."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

SHARE_FOUND = 0.95
_ROUNDING = 1e-12


class Quality(NamedTuple):
    """Numbers of one ranking, or of many, `(R,)` float64 each.

    Attributes:
        auroc: how likely an outlier has a larger score than an event of home, ties counting half.
        aupr: precision, averaged over recall, where both kinds are equally frequent.
        fpr95: which share of home has a score as large as the one that finds 95 % of the outliers.
    """

    auroc: Tensor
    aupr: Tensor
    fpr95: Tensor


class Ranking:
    """The scores of home and of outliers in one order; a larger score means an outlier.

    An infinite score is larger than all others, and ranked so. Ties are ties: all events with one
    score are taken at once, as the exact curves have it.

    Args:
        home: scores `(N,)` of events that are none.
        outliers: scores `(M,)`.

    Raises:
        ValueError: if one is no number, or there are none.
    """

    def __init__(self, home: Tensor, outliers: Tensor) -> None:
        if not (len(home) and len(outliers)):
            raise ValueError("a ranking needs an event of home and an outlier")
        scores = torch.cat([home, outliers])
        if bool(scores.isnan().any()):
            raise ValueError("a score that is no number has no rank")
        levels, places = torch.unique(scores, return_inverse=True)
        self._num_levels = len(levels)
        self._home, self._outliers = (len(levels) - 1 - places).split([len(home), len(outliers)])

    def quality(self, home: Tensor | None = None, outliers: Tensor | None = None) -> Quality:
        """The numbers; each event counts as often as its weight says.

        Args:
            home: weights `(R, N)` float64, R sets of them; all 1 by default.
            outliers: weights `(R, M)`.
        """
        ones = torch.ones(1, 1, dtype=torch.float64)
        first = ones.expand(1, len(self._home)) if home is None else home
        second = ones.expand(1, len(self._outliers)) if outliers is None else outliers
        false, wrong = self._counts(self._home, first)
        true, found = self._counts(self._outliers, second)
        num_home, num_outliers = wrong[:, -1:], found[:, -1:]
        won = (false * (found - true / 2)).sum(1)
        lost = (false * (num_outliers - found + true / 2)).sum(1)  # exactly 0 where none is
        rejected, recall = wrong / num_home, found / num_outliers
        precision = recall / (recall + rejected).clamp(min=torch.finfo(torch.float64).tiny)
        aupr = (true / num_outliers * precision).sum(1)
        enough = (recall >= SHARE_FOUND - _ROUNDING).to(torch.uint8)
        return Quality(
            won / (won + lost), aupr, rejected.gather(1, enough.argmax(1, keepdim=True)).squeeze(1)
        )

    def _counts(self, places: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """The weight at each level `(R, levels)`, from the largest score on, and its sum so far."""
        empty = torch.zeros(len(weights), self._num_levels, dtype=torch.float64)
        at = empty.index_add_(1, places, weights)
        return at, at.cumsum(1)
