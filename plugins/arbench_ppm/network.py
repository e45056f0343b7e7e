"""Prediction by partial matching, method D, with exclusions: `fit` counts, nothing adapts later."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from arbench import CheckpointError, Layout
from arbench.networks.fitted import take_rows
from arbench_ppm.contexts import count_contexts, scales
from arbench_ppm.state import PPMState

_MAX_ORDER = 16
_MOST_AT_ONCE = 1 << 22  # probabilities; more are made part by part


class PPM(nn.Module):
    """`p(x_t | x_<t)` from the longest context of at most M values that the train split holds.

    A context that was followed n times, by q different values, gives each of them
    `(2 n_v - 1) / 2 n`, and the rest, `q / 2 n`, is the escape to the context without its earliest
    value. There, values that the longer one knows are excluded: they are not counted, so that all
    probabilities sum to one. Below the empty context all values that are left are alike. Counts of
    shorter contexts are of the contexts, not of the times, in which a value was new (update
    exclusion). What comes before the start of an event is a value of its own in a context.

    The model is trained once and then fixed. A compressor such as PPMd counts on while it codes, so
    it does better on a text that differs from the train split.

    Source: Cleary and Witten, "Data compression using adaptive coding and partial string matching",
        IEEE Transactions on Communications, 1984; method D: Howard, "The design and analysis of
        efficient lossless data compression systems", 1993; update exclusion: Moffat, "Implementing
        the PPM data compression scheme", IEEE Transactions on Communications, 1990.

    Args:
        layout: discrete dims, drawn one at a time.
        num_params: P; K log-probabilities, or 1 logit where K = 2.
        order: M, the length of the longest context, 1 to 16.

    Raises:
        ValueError: if the layout or an argument is not one of these.
    """

    heads: ClassVar[tuple[str, ...]] = ("bernoulli", "categorical")
    known_failures: ClassVar[dict[str, str]] = {"influence": "a site sees the sites just before it"}

    def __init__(self, layout: Layout, num_params: int, *, order: int = 5) -> None:
        super().__init__()
        size = layout.alphabet_size
        if layout.site_dim != 1:
            raise ValueError(
                f"ppm draws one dim at a time, but a site has {layout.site_dim}; use sites='dim'"
            )
        if num_params != size and not (num_params == 1 and size == 2):
            raise ValueError(
                f"needs {size} parameters per site (or 1 logit for binary data), got {num_params}"
            )
        if not 1 <= order <= _MAX_ORDER:
            raise ValueError(f"order must be 1 to {_MAX_ORDER}, got {order}")
        self.num_sites = layout.num_sites
        self.alphabet_size = size
        self.num_params = num_params
        self.order = order
        # Without rows until `fit` has counted.
        self.edges: Tensor
        self.starts: Tensor
        self.values: Tensor
        self.log_counts: Tensor
        self.log_totals: Tensor
        self.log_escapes: Tensor
        self.register_buffer("edges", torch.zeros(0, dtype=torch.int64))
        self.register_buffer("starts", torch.zeros(0, dtype=torch.int64))
        self.register_buffer("values", torch.zeros(0, dtype=torch.int32))
        self.register_buffer("log_counts", torch.zeros(0))
        self.register_buffer("log_totals", torch.zeros(0, 2))
        self.register_buffer("log_escapes", torch.zeros(0, 2))
        self.register_load_state_dict_pre_hook(_take_tables)  # type: ignore[no-untyped-call]

    def fit(self, batches: Iterable[tuple[Tensor, Tensor | None]]) -> None:
        """Count the contexts of the data.

        Args:
            batches: pairs of sites `(B, T, 1)` int64 and which of them are scored, `(B, T)`
                boolean or None for all; a site that is not scored is only context.
        """
        contexts, values = [], []
        for sites, scored in batches:
            here = sites.cpu().squeeze(-1)
            counted = torch.ones_like(here, dtype=torch.bool) if scored is None else scored.cpu()
            contexts.append(self._histories(here)[counted])
            values.append(here[counted])
        found = count_contexts(torch.cat(contexts), torch.cat(values), self.alphabet_size)
        weights = scales(found, self.alphabet_size)
        self.edges = found.edges.to(self.edges)
        of_nodes = torch.arange(len(found.edges) + 2) * self.alphabet_size
        self.starts = torch.searchsorted(found.entries, of_nodes).to(self.starts)
        self.values = (found.entries % self.alphabet_size).to(self.values)
        self.log_counts = (2 * found.counts.double() - 1).log().to(self.log_counts)
        self.log_totals = weights.totals.to(self.log_totals)
        self.log_escapes = weights.escapes.to(self.log_escapes)

    def forward(self, sites: Tensor) -> Tensor:
        """The parameters `(B, T, P)` of all sites; sites are `(B, T, 1)` int64."""
        histories = self._histories(sites.squeeze(-1))
        parts = histories.flatten(0, 1).split(max(1, _MOST_AT_ONCE // self.alphabet_size))  # type: ignore[no-untyped-call]
        params = torch.cat([self._params(self._log_probs(part)) for part in parts])
        return params.view(*histories.shape[:2], self.num_params)

    def init_state(self, batch_size: int) -> PPMState:
        """The state before the first site."""
        shape = (batch_size, self.order)
        return PPMState(self.edges.new_full(shape, self.alphabet_size))

    def step(self, state: PPMState, previous: Tensor | None, site: int) -> tuple[Tensor, PPMState]:
        """Parameters `(B, P)` of a site; `previous` is `(B, 1)`, None at site 0."""
        history = state.history
        if previous is not None:
            history[:, 1:] = history[:, :-1].clone()
            history[:, 0] = previous[:, 0]
        return self._params(self._log_probs(history)), state

    def _histories(self, values: Tensor) -> Tensor:
        """The values before each one `(B, T, M)`, the latest first, from values `(B, T)`."""
        padded = F.pad(values, (self.order, 0), value=self.alphabet_size)
        return padded[:, :-1].unfold(1, self.order, 1).flip(-1)

    def _log_probs(self, history: Tensor) -> Tensor:
        """Log-probabilities `(n, K)` of all values, given those before them, `(n, M)`."""
        size = self.alphabet_size
        if not len(self.values):
            return self.log_totals.new_zeros(len(history), size).log_softmax(-1)
        nodes, lengths = self._walk(history)
        # From the longest context down: what each one's counts are divided by, escapes included.
        escape = self.log_totals.new_zeros(len(history))
        weights: list[Tensor] = []
        for length in range(self.order, -1, -1):
            longer = nodes[min(length + 1, self.order)]  # its values are excluded here
            is_longest = lengths == length
            node, column = torch.where(is_longest, nodes[length], longer), (~is_longest).long()
            weights.insert(0, escape - self.log_totals[node, column])
            left = escape + self.log_escapes[node, column]
            escape = torch.where(lengths >= length, left, escape)
        # Whatever was seen at all was seen after the empty context, where every row ends.
        known = slice(0, int(self.starts[1]))
        values, num_new = self.values[known].long(), size - known.stop
        found = (escape - math.log(max(num_new, 1))).unsqueeze(1).repeat(1, size)
        found[:, values] = self.log_counts[known] + weights[0].unsqueeze(1)
        for length in range(1, self.order + 1):  # a longer context knows better
            rows = (lengths >= length).nonzero().squeeze(1)
            self._fill(found, rows, nodes[length][rows], weights[length][rows])
        return found

    def _walk(self, history: Tensor) -> tuple[list[Tensor], Tensor]:
        """The nodes `(n,)` of the contexts of each length, 0 to M, and the longest length known.

        Where a context is not known, its node is 0.
        """
        node = history.new_zeros(len(history))
        is_known = torch.ones_like(node, dtype=torch.bool)
        nodes, lengths = [node], torch.zeros_like(node)
        for column in history.T:
            keys = node * (self.alphabet_size + 1) + column
            index = torch.searchsorted(self.edges, keys).clamp(max=len(self.edges) - 1)
            is_known = is_known & (self.edges[index] == keys)
            node = torch.where(is_known, index + 1, 0)
            nodes.append(node)
            lengths = lengths + is_known
        return nodes, lengths

    def _fill(self, found: Tensor, rows: Tensor, nodes: Tensor, weights: Tensor) -> None:
        """Write into rows of `found` what followed their nodes; all but it are `(m,)`."""
        first = self.starts[nodes]
        numbers = self.starts[nodes + 1] - first
        ends = numbers.cumsum(0)
        offsets = (first - ends + numbers).repeat_interleave(numbers)
        index = offsets + torch.arange(len(offsets), device=offsets.device)
        places = (rows * found.shape[1]).repeat_interleave(numbers)
        places += self.values.index_select(0, index)
        log_probs = self.log_counts.index_select(0, index)
        found.view(-1).scatter_(0, places, log_probs + weights.repeat_interleave(numbers))

    def _params(self, log_probs: Tensor) -> Tensor:
        """`(..., P)` from `(..., K)`: the same, or the logit `log p(1) - log p(0)`."""
        return log_probs.diff(dim=-1) if self.num_params == 1 else log_probs


def _take_tables(network: PPM, state: Mapping[str, Tensor], prefix: str, *_: Any) -> None:
    """Make room for the tables of a file, and refuse those that are no tables.

    Raises:
        CheckpointError: if one points where there is nothing.
    """
    take_rows(network, state, prefix)
    names = ("edges", "starts", "values", "log_counts", "log_totals", "log_escapes")
    edges, starts, values, *floats = (state[f"{prefix}{name}"] for name in names)
    num_nodes = len(edges) + 1 if len(edges) else 0
    lengths = [len(values), num_nodes, num_nodes]
    is_whole = (
        [len(table) for table in floats] == lengths
        and len(starts) == num_nodes + bool(num_nodes)
        and (not num_nodes or starts[[0, -1]].tolist() == [0, len(values)])
        and bool((starts.diff() > 0).all())
        and bool(((values >= 0) & (values < network.alphabet_size)).all())
    )
    if not is_whole:
        raise CheckpointError("these weights are no tables of contexts: fetch or fit them again")
