"""How much pairs of dims tell of each other, the best tree of that, and its tables."""

from __future__ import annotations

import torch
from torch import Tensor


def shared_information(counts: Tensor, smoothing: float) -> Tensor:
    """What knowing the one dim saves on the other, `(T, T)` float64 nats over all events.

    It is the number of events in which both count, times the mutual information of their smoothed
    frequencies; to a millionth, so that equal counts give equal numbers on every processor.

    Args:
        counts: `(T, K, T, K)` float64, of pairs of values; on the diagonal, of values.
        smoothing: added to each count.
    """
    rows = []
    for pairs in counts:  # (K, T, K): one dim with every other, so that memory stays small
        smooth = pairs + smoothing
        joint = smooth / smooth.sum((0, 2), keepdim=True)
        independent = joint.sum(0, keepdim=True) * joint.sum(2, keepdim=True)
        information = (joint * (joint / independent).log()).sum((0, 2))
        rows.append(pairs.sum((0, 2)) * information)
    return torch.stack(rows).round(decimals=6)


def spanning_tree(weights: Tensor) -> Tensor:
    """The parent of each dim `(T,)` int64 in the heaviest tree over all; the root 0 is its own.

    Args:
        weights: `(T, T)`, symmetric; what is on the diagonal does not matter.

    Source: Prim, "Shortest connection networks and some generalizations", 1957.
    """
    parents = torch.zeros(len(weights), dtype=torch.int64)
    heaviest = weights[0].clone()  # of the edges from the tree to each dim outside
    heaviest[0] = -torch.inf
    for _ in range(len(weights) - 1):
        joined = int(heaviest.argmax())
        heaviest[joined] = -torch.inf
        is_better = (weights[joined] > heaviest) & (heaviest > -torch.inf)
        parents[is_better] = joined
        heaviest = torch.where(is_better, weights[joined], heaviest)
    return parents


def conditionals(counts: Tensor, parents: Tensor, smoothing: float) -> Tensor:
    """Log-probabilities `(T, K, K)` of each dim's values given each value of its parent.

    Those of the root, which has none, are the same in every row. They are smoothed as if the root
    had been counted in pairs, too.

    Args:
        counts: as for `shared_information`.
        parents: as from `spanning_tree`.
        smoothing: added to each count of a pair.
    """
    num_values = counts.shape[1]
    dims = torch.arange(len(parents))
    pairs = counts[parents, :, dims] + smoothing
    root = counts[0, :, 0].diagonal() + num_values * smoothing
    pairs[0] = root.expand(num_values, num_values)
    return (pairs / pairs.sum(-1, keepdim=True)).log()
