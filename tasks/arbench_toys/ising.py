"""The two-dimensional Ising model on a small lattice, exactly.

A row of W spins has 2^W states, and the rows form a Markov chain over these states. So the
partition function is a product of matrices, and the chain's conditionals give a sample row by
row.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from scipy.special import logsumexp

from arbench_toys.distributions import Bits, Distribution, Float


class Ising(Distribution):
    """Spins `s = 2 x - 1` with `p(s) = exp(coupling * sum s_i s_j + field * sum s_i) / Z`.

    The first sum runs over horizontal and vertical neighbours; the boundary is free. The event is
    an image `(1, H, W)` of bits x.

    Source: Ising 1925; the transfer matrix of Kramers and Wannier 1941. Its backward messages give
        the conditionals for sampling.
    """

    def __init__(self, height: int, width: int, coupling: float, field: float) -> None:
        """Fix the lattice and its two parameters."""
        self.height = height
        self.width = width
        self.coupling = coupling
        self.field = field
        self.event_shape = (1, height, width)
        self.num_uniforms = height
        states = np.arange(2**width)
        # State k holds the bits of k, the leftmost pixel being the highest bit.
        self.row_bits = (states[:, None] >> np.arange(width)[::-1] & 1).astype(np.uint8)

    @cached_property
    def log_partition(self) -> float:
        """The logarithm of Z, in nats."""
        return float(logsumexp(self._row_weights + self._messages[0]))

    @cached_property
    def _row_weights(self) -> Float:
        """Log-weight `(2^W,)` of each state of a row alone."""
        return _row_terms(self.row_bits, self.coupling, self.field)

    @cached_property
    def _between(self) -> Float:
        """Log-weight `(2^W, 2^W)` of the bonds between a row and the next."""
        spins = _spins(self.row_bits)
        return np.asarray(self.coupling * spins @ spins.T)

    @cached_property
    def _messages(self) -> Float:
        """Log-weight `(H, 2^W)` of all rows below row h, summed over them, given row h."""
        messages = np.zeros((self.height, len(self.row_bits)))
        for h in reversed(range(self.height - 1)):
            below = self._row_weights + messages[h + 1]
            messages[h] = logsumexp(self._between + below, axis=1)
        return messages

    @cached_property
    def _first(self) -> Float:
        """Log-probability `(2^W,)` of the first row."""
        return np.asarray(self._row_weights + self._messages[0] - self.log_partition)

    def _conditional(self, row: int) -> Float:
        """Log-probability `(2^W, 2^W)` of a row, given the one above it (first axis)."""
        weights = self._between + self._row_weights + self._messages[row]
        return np.asarray(weights - self._messages[row - 1][:, None])

    @property
    def entropy_nats(self) -> float:
        """The first row's entropy and that of each further row, given the one above."""
        marginal = np.exp(self._first)
        total_nats = -(marginal * self._first).sum()
        for h in range(1, self.height):
            conditional = self._conditional(h)
            joint = marginal[:, None] * np.exp(conditional)
            total_nats -= (joint * conditional).sum()
            marginal = joint.sum(axis=0)
        return float(total_nats)

    def log_prob(self, events: Bits) -> Float:
        """Log-probability `(N,)` in nats of events `(N, 1, H, W)`, by the definition."""
        rows = events[:, 0]
        spins = _spins(rows)
        vertical = (spins[:, 1:] * spins[:, :-1]).sum(axis=(1, 2))
        inside = _row_terms(rows, self.coupling, self.field).sum(axis=1)
        return np.asarray(self.coupling * vertical + inside - self.log_partition)

    def sample(self, uniforms: Float) -> Bits:
        """Events `(N, 1, H, W)` from numbers `(N, H)`: one number draws one row."""
        state = np.searchsorted(_cumulative(self._first), uniforms[:, 0], side="right")
        rows = [self.row_bits[state]]
        for h in range(1, self.height):
            edges = _cumulative(self._conditional(h))
            state = (edges[state] <= uniforms[:, h, None]).sum(axis=1)
            rows.append(self.row_bits[state])
        return np.stack(rows, axis=1)[:, None]


def _spins(bits: Bits) -> Float:
    return 2.0 * bits.astype(np.float64) - 1.0


def _row_terms(bits: Bits, coupling: float, field: float) -> Float:
    """Log-weight `(...)` of rows `(..., W)` alone: horizontal bonds and the field."""
    spins = _spins(bits)
    bonds = (spins[..., 1:] * spins[..., :-1]).sum(axis=-1)
    return np.asarray(coupling * bonds + field * spins.sum(axis=-1))


def _cumulative(log_probs: Float) -> Float:
    """Edges of the inverse-CDF bins along the last axis; the last edge is beyond every uniform."""
    edges: Float = np.cumsum(np.exp(log_probs), axis=-1)
    edges[..., -1] = 1.0
    return edges
