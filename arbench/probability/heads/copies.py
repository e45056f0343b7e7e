"""Averages the probabilities of several copies of a network (`num_copies`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from arbench.probability.heads.base import Head
from arbench.probability.layouts import Layout


class Copies(nn.Module):
    """`p(x_t | x_<t) = 1/K sum_k p_k(x_t | x_<t)`, of K networks that differ in their weights.

    All see the sites in the same order, so that the averages are conditional probabilities of one
    distribution, and every sampler works. (Orderings that differ want `Ensemble`, which averages
    joint probabilities.) In training each event goes through one copy alone, the next event through
    the next: copies that learn together would learn to err together. An epoch therefore costs what
    it costs one network, and K times as many give each copy as much.

    Source: Lakshminarayanan, Pritzel and Blundell, "Simple and scalable predictive uncertainty
    estimation using deep ensembles", NeurIPS 2017, section 2.4.

    Args:
        networks: at least one; each maps sites to parameters of the same head.
        head: says how parameters are averaged.

    Raises:
        ValueError: if the head cannot average.
    """

    def __init__(self, networks: Sequence[nn.Module], head: Head) -> None:
        super().__init__()
        if type(head).averaged is Head.averaged:
            raise ValueError(
                f"copies need a head that can average probabilities, and {head.name} cannot"
            )
        self.networks = nn.ModuleList(networks)
        self.head = head

    def forward(self, sites: Tensor) -> Tensor:
        """Parameters `(B, T, P)`: averaged, or in training those of one copy per event."""
        if not self.training:
            return self.head.averaged(torch.stack([network(sites) for network in self.networks]))
        num_used = min(len(self.networks), len(sites))
        parts = [self.networks[k](sites[k :: len(self.networks)]) for k in range(num_used)]
        return _interleaved(parts)

    @property
    def features(self) -> Callable[[Tensor], Tensor]:
        """Those of all copies side by side, `(B, K H)`; see `FeatureNetwork`.

        Raises:
            AttributeError: if the networks offer none.
        """
        each: list[Callable[[Tensor], Tensor]] = [own.features for own in self.networks]  # type: ignore[misc]
        return lambda sites: torch.cat([features(sites) for features in each], 1)

    @property
    def any_order(self) -> bool:
        """Whether all copies answer for any order; see `AnyOrderNetwork`."""
        return all(getattr(network, "any_order", False) for network in self.networks)

    @property
    def reordered(self) -> Callable[[Layout, int], Copies]:
        """The copies in another order, with the same weights.

        Raises:
            AttributeError: if the networks cannot be reordered.
        """
        each: list[Callable[..., nn.Module]] = [own.reordered for own in self.networks]  # type: ignore[misc]
        return lambda layout, seed: copies_of([view(layout, seed) for view in each], self.head)

    @property
    def training_params(self) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
        """Parameters and weights of one copy per event; see `AnyOrderNetwork.training_params`.

        Raises:
            AttributeError: if the networks train by `forward`.
        """
        each: list[Callable[..., Any]] = [own.training_params for own in self.networks]  # type: ignore[misc]

        def params_and_weights(sites: Tensor) -> tuple[Tensor, Tensor]:
            drawn = [made(sites[k :: len(each)]) for k, made in enumerate(each[: len(sites)])]
            params, weights = zip(*drawn, strict=True)
            return _interleaved(params), _interleaved(weights)

        return params_and_weights


class SteppingCopies(Copies):
    """`Copies` of networks that can step."""

    def init_state(self, batch_size: int) -> list[Any]:
        """The state of each copy."""
        return [network.init_state(batch_size) for network in self.networks]  # type: ignore[operator]

    def step(
        self, state: list[Any], previous: Tensor | None, site: int
    ) -> tuple[Tensor, list[Any]]:
        """Averaged parameters `(B, P)` of a site; see `SteppingNetwork.step`."""
        steps = [
            network.step(own, previous, site)  # type: ignore[operator]
            for network, own in zip(self.networks, state, strict=True)
        ]
        params, states = zip(*steps, strict=True)
        return self.head.averaged(torch.stack(params)), list(states)


def _interleaved(parts: Sequence[Tensor]) -> Tensor:
    """Rows of K tensors in turn: row 0 of the first, row 0 of the second, and so on."""
    merged = parts[0].new_empty(sum(map(len, parts)), *parts[0].shape[1:])
    for k, part in enumerate(parts):
        merged[k :: len(parts)] = part
    return merged


def copies_of(networks: Sequence[nn.Module], head: Head) -> Copies:
    """`Copies`, which can step if the networks can."""
    steps = all(hasattr(network, "step") and hasattr(network, "init_state") for network in networks)
    return (SteppingCopies if steps else Copies)(networks, head)
