"""`ReferencePath`: a model's probabilities one dim after the other, for proofs.

It goes the way of the sampler `step`, and draws nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from arbench.probability.heads.base import Head


class ReferencePath:
    """How likely every value of one dim after the other is, in float64 on the CPU unless asked.

    What has to come out the same on another machine takes this path in both directions, such as
    writing and reading a compressed file. It takes one of the network's steps per site, or a whole
    forward where the network has no steps. From one processor to the next the numbers still differ,
    by some 1e-13.

    Args:
        network: on the CPU and in evaluation mode; float64 for proofs.
        head: what its parameters mean, of discrete dims.
        site_params: its whole forward, for a network that has no steps.

    Attributes:
        layout: of the head; dims come site by site, and within a site from the first on.
    """

    def __init__(self, network: Any, head: Head, site_params: Callable[[Tensor], Tensor]) -> None:
        self.layout = head.layout
        self._network, self._head, self._site_params = network, head, site_params
        self._steps = hasattr(network, "step") and hasattr(network, "init_state")
        self.start(1)

    def start(self, batch_size: int) -> None:
        """Begin with the first dim of that many events."""
        layout = self.layout
        self._sites = torch.zeros(batch_size, layout.num_sites, layout.site_dim).long()
        self._state = self._network.init_state(batch_size) if self._steps else None
        self._params: Tensor | None = None
        self._num_told = 0

    @torch.no_grad()
    def log_probs(self) -> Tensor:
        """Log-probabilities of the K values of the next dim, `(B, K)` nats, as the network's."""
        site, dim = divmod(self._num_told, self.layout.site_dim)
        params = self._params_of(site)
        return self._head.next_log_probs(params, self._sites[:, site, :dim])

    @torch.no_grad()
    def tell(self, values: Tensor) -> None:
        """What that dim is, `(B,)` int64; the next one is then the dim after it."""
        site, dim = divmod(self._num_told, self.layout.site_dim)
        if self._steps:
            self._params_of(site)  # steps go from site to site, also where nobody asks
        self._sites[:, site, dim] = values
        self._num_told += 1
        if dim + 1 == self.layout.site_dim:
            self._params = None

    def _params_of(self, site: int) -> Tensor:
        """Parameters `(B, P)` of the site that is next."""
        if self._params is None and self._steps:
            previous = self._sites[:, site - 1].clone() if site else None
            self._params, self._state = self._network.step(self._state, previous, site)
        elif self._params is None:
            self._params = self._site_params(self._sites)[:, site]
        assert self._params is not None
        return self._params


@runtime_checkable
class DimByDim(Protocol):
    """What a density of discrete events may offer, too: its probabilities one dim after the other.

    Each dim can wait until the one before it is known, as when a compressed file is read.
    """

    def reference_path(self, dtype: torch.dtype = torch.float64) -> ReferencePath:
        """Where they come from, on the CPU; see `ReferencePath`.

        Args:
            dtype: float64 for what must come out the same elsewhere; float32 takes half the time.
        """
        ...
