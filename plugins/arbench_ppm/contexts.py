"""Counts the contexts of PPM: which values followed which, and how often."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Contexts(NamedTuple):
    """A trie of the contexts that were seen, read from the latest value backwards.

    Node 0 is the empty context. Nodes are numbered by length, and among those of one length by
    what is in front: node i + 1 ends `edges[i]`, so one search in a sorted list finds it.

    Attributes:
        edges: `(N - 1,)` int64, sorted: parent * (K + 1) + the value one further back, which is
            K before the start of an event.
        entries: `(E,)` int64, sorted: node * K + a value that followed it.
        counts: `(E,)` int64, how often. Of the longest contexts it is how often that happened; of
            the others, in how many contexts one value longer it did ("update exclusion").
    """

    edges: Tensor
    entries: Tensor
    counts: Tensor


def count_contexts(history: Tensor, values: Tensor, num_values: int) -> Contexts:
    """The contexts of values and what followed them.

    Args:
        history: `(n, M)` int64, what came before each value, the latest first; K where nothing did.
        values: `(n,)` int64 in [0, K).
        num_values: K.
    """
    nodes, num_nodes = torch.zeros_like(values), 1  # the context of each value, ever longer
    longer = []
    for column in history.T:
        keys, ranks = (nodes * (num_values + 1) + column).unique(return_inverse=True)
        nodes = num_nodes + ranks
        num_nodes += len(keys)
        longer.append(keys)
    edges = torch.cat(longer)
    found, counts = (nodes * num_values + values).unique(return_counts=True)  # type: ignore[no-untyped-call]
    entries, numbers = [found], [counts]
    for _ in history.T:
        parents = edges[found // num_values - 1] // (num_values + 1)
        found, counts = (parents * num_values + found % num_values).unique(return_counts=True)
        entries.insert(0, found)
        numbers.insert(0, counts)
    return Contexts(edges, torch.cat(entries), torch.cat(numbers))


class Scales(NamedTuple):
    """What divides the counts of each context, and what is left to a shorter one; see `scales`.

    Attributes:
        totals: `(N, 2)` float64: the logarithm of what `2 n - 1` of a value is divided by; in the
            context itself, and in the next shorter one without the values that followed it.
        escapes: `(N, 2)` float64: the log-probability that the value is none of those, likewise.
    """

    totals: Tensor
    escapes: Tensor


def scales(contexts: Contexts, num_values: int) -> Scales:
    """How PPM-D weighs every context: an escape counts half a time for each different value.

    With n observations of q values, a value that came n_v times has probability
    `(2 n_v - 1) / 2 n`, and the escape has `q / 2 n`. There is none where all K values are known:
    the values share `2 n - q` then. Where nothing is left after an exclusion the escape is certain.
    Both are 0, the logarithm of 1, where no value reads them.
    """
    edges, entries, counts = contexts
    nodes = entries // num_values
    num_nodes = len(edges) + 1
    total = torch.zeros(num_nodes, dtype=torch.int64).index_add_(0, nodes, counts)
    distinct = nodes.bincount(minlength=num_nodes)
    # What is left of the next shorter context: without the values that followed this one.
    parents = torch.cat([edges.new_zeros(1), edges // (num_values + 1)])
    shorter = torch.searchsorted(entries, parents[nodes] * num_values + entries % num_values)
    excluded = torch.zeros_like(total).index_add_(0, nodes, counts[shorter])
    left, kinds = total[parents] - excluded, distinct[parents] - distinct
    n, q = torch.stack([total, left], 1).double(), torch.stack([distinct, kinds], 1).double()
    is_full = torch.stack([distinct, distinct[parents]], 1) == num_values
    denominator = torch.where(is_full, 2 * n - q, 2 * n)
    nothing = q == 0
    totals = denominator.masked_fill(nothing, 1).log()
    escapes = (q / denominator).masked_fill(nothing | is_full, 1).log()
    return Scales(totals, escapes)
