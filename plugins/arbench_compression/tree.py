"""A value as a few decisions between two halves of the alphabet.

One value of K is `ceil(log2 K)` bits, the highest first. Each is decided by the log-odds of the
half of the values that it leaves. So few odds have to be rounded alike on both sides of a file,
however large the alphabet is.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Decide = Callable[[Tensor, Tensor, int], Tensor]
"""Says bits `(n,)` int64 from log-odds `(n,)`, the rows that they belong to and the bit's place."""


def values_decided(log_probs: Tensor, decide: Decide) -> Tensor:
    """The values that decisions lead to, `(N,)` int64.

    Args:
        log_probs: `(N, K)` nats, float64.
        decide: called once for every place, the highest first. Where the upper half has no value
            the bit is 0, and nobody is asked.
    """
    num_rows, num_values = log_probs.shape
    depth = (num_values - 1).bit_length()
    rows = torch.arange(num_rows)
    sums = [torch.nn.functional.pad(log_probs, (0, 2**depth - num_values), value=-torch.inf)]
    for _ in range(depth - 1):
        sums.append(torch.logaddexp(sums[-1][:, 0::2], sums[-1][:, 1::2]))
    node = torch.zeros(num_rows, dtype=torch.int64)
    for place in reversed(range(depth)):
        upper = 2 * node + 1
        asked = rows[upper << place < num_values]
        halves = sums[place]
        log_odds = halves[asked, upper[asked]] - halves[asked, 2 * node[asked]]
        node = 2 * node
        node[asked] += decide(log_odds, asked, place)
    return node
