"""Mixed: every dim of a table's row has the head of its own domain."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from arbench.probability.events import Discrete, EventSpec, Mixed, Real
from arbench.probability.heads.base import Head
from arbench.probability.heads.bernoulli import Bernoulli
from arbench.probability.heads.categorical import Categorical
from arbench.probability.heads.gaussian_mixture import GaussianMixture
from arbench.probability.layouts import Layout


class MixedHead(Head):
    """Bernoulli, categorical and mixture of Gaussians, each for the dims of its domain.

    A site takes the first of the P parameters and of the U uniforms, as many as its own head needs.
    The rest say nothing: P is what the most demanding dim needs. Over discrete and real dims
    together `log_prob` is the log of a density with respect to the product of the counting measure
    and Lebesgue's: sums over the discrete dims and integrals over the real ones give 1.

    Args:
        layout: the rows of a table, whose dims differ.
        num_components: of real dims; see `GaussianMixture`, with the next two.
        weights: as there.
        min_log_scale: as there.

    Raises:
        ValueError: for any other layout, or an argument that is not one of these.
    """

    name = "mixed"
    kind: Literal["exact", "density"] = "density"  # one without real dims is "exact"
    num_uniforms = 1

    def __init__(
        self,
        layout: Layout,
        *,
        num_components: int = 10,
        weights: Literal["learned", "uniform"] = "learned",
        min_log_scale: float = -7.0,
    ) -> None:
        super().__init__(layout)
        if not isinstance(layout.domain, Mixed):
            raise ValueError(
                "the mixed head needs the rows of a table whose dims differ, "
                f"but the data are {layout.domain}"
            )
        dims = layout.domain.dims
        own: dict[Discrete | Real, Head] = {}
        for domain in dims:
            if domain not in own:
                column = Layout(EventSpec((1,), domain))
                own[domain] = (
                    GaussianMixture(
                        column,
                        num_components=num_components,
                        weights=weights,
                        min_log_scale=min_log_scale,
                    )
                    if isinstance(domain, Real)
                    else (Bernoulli if domain.size == 2 else Categorical)(column)
                )
        self.num_params = max(head.num_params for head in own.values())
        self.num_uniforms = max(head.num_uniforms for head in own.values())
        if all(isinstance(domain, Discrete) for domain in dims):
            self.kind = "exact"
        by_domain = {domain: _Part(head, self) for domain, head in own.items()}
        self._of_sites = tuple(by_domain[domain] for domain in dims)
        # The sites of a domain are worked on together, one domain after the other.
        self._parts = tuple(by_domain.values())
        numbers = [*by_domain]
        kinds = torch.tensor([numbers.index(domain) for domain in dims], device="cpu")
        self._order, self._counts = kinds.argsort(stable=True), kinds.bincount().tolist()
        self._places = self._order.argsort()

    def at(self, site: int) -> Head:
        """The head of a site's own domain; see `Head.at`."""
        return self._of_sites[site]

    def log_prob(self, params: Tensor, value: Tensor) -> Tensor:
        """Each site's; see `Head.log_prob`. The axis before the last is that of the T sites."""
        log_probs = [
            part.log_prob(*both)
            for part, *both in zip(
                self._parts, self._by_domain(params), self._by_domain(value), strict=True
            )
        ]
        return self._in_order(log_probs, -1)

    def prepare(self, noise: Tensor) -> Tensor:
        """Each site's; see `Head.prepare`."""
        both = zip(self._parts, self._by_domain(noise), strict=True)
        return self._in_order([part.prepare(own) for part, own in both], -2)

    def draw(self, params: Tensor, prepared: Tensor) -> Tensor:
        """Each site's, in the dtype of the parameters; see `Head.sample`."""
        drawn = [
            part.draw(*both)
            for part, *both in zip(
                self._parts, self._by_domain(params), self._by_domain(prepared), strict=True
            )
        ]
        return self._in_order(drawn, -2)

    def _by_domain(self, sites: Tensor) -> tuple[Tensor, ...]:
        """What sites `(..., T, X)` have, by their domains."""
        self._order = self._order.to(sites.device)
        return torch.split(sites.index_select(-2, self._order), self._counts, -2)

    def _in_order(self, parts: list[Tensor], axis: int) -> Tensor:
        """What the sites of each domain have, in the layout's order again."""
        self._places = self._places.to(parts[0].device)
        return torch.cat(parts, axis).index_select(axis, self._places)


class _Part(Head):
    """The head of one domain, on the first parameters and uniforms of more; values are floats."""

    name = "mixed"
    kind: Literal["exact", "density"] = "density"

    def __init__(self, head: Head, whole: MixedHead) -> None:
        super().__init__(head.layout)
        self.kind = head.kind
        self.num_params, self.num_uniforms = whole.num_params, whole.num_uniforms
        self._head = head
        self._is_discrete = isinstance(head.layout.domain, Discrete)

    def log_prob(self, params: Tensor, value: Tensor) -> Tensor:
        """See `Head.log_prob`."""
        own = value.long() if self._is_discrete else value
        return self._head.log_prob(params[..., : self._head.num_params], own)

    def prepare(self, noise: Tensor) -> Tensor:
        """See `Head.prepare`."""
        needed = self._head.num_uniforms
        return torch.cat((self._head.prepare(noise[..., :needed]), noise[..., needed:]), -1)

    def draw(self, params: Tensor, prepared: Tensor) -> Tensor:
        """See `Head.draw`."""
        head = self._head
        drawn = head.draw(params[..., : head.num_params], prepared[..., : head.num_uniforms])
        return drawn.to(params.dtype)
