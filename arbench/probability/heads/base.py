"""The contract of a head: `Head`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal, final

import torch
from torch import Tensor

from arbench.probability.layouts import Layout
from arbench.probability.native.step import NativeDraw


class Head(ABC):
    """Turns the P parameters of a site into a distribution over its `site_dim` dims.

    A head has no weights. It never draws random numbers: a sample is a deterministic function of
    `num_uniforms` uniform numbers per site, one for each choice that the head makes, by inverse
    CDF. Keyword arguments of a subclass's constructor are its options, the schema of a recipe's
    `[head]` section.

    Args:
        layout: of the sites to describe. A subclass sets `num_params`, and refuses with a
            ValueError what it cannot describe.

    Attributes:
        name: what recipes and records call it.
        kind: "exact" when `log_prob` is the log of a probability, "density" when it is the log of
            a probability density.
        layout: as given.
        num_params: P, the number of parameters per site.
        num_uniforms: U, the number of uniforms per site.
    """

    name: ClassVar[str]
    kind: Literal["exact", "density"]
    num_params: int
    num_uniforms: int = 1

    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    def at(self, site: int) -> Head:
        """The head of one site alone, for parameters `(..., P)` that have no axis of sites.

        It is this one, unless sites differ in their domains: then `log_prob`, `prepare` and `draw`
        of this one need all T sites, on the axis before the last.

        Args:
            site: its number in the layout's order.
        """
        return self

    @abstractmethod
    def log_prob(self, params: Tensor, value: Tensor) -> Tensor:
        """Log-probability (or log-density) of site values, in nats.

        Args:
            params: `(..., P)` floating point.
            value: `(..., site_dim)`; int64 for discrete domains, floating point for real and mixed
                ones.

        Returns:
            `(...)`, in the dtype of `params`.
        """

    def value_log_probs(self, params: Tensor, value: Tensor, dim: int) -> Tensor:
        """Log-probabilities of all K values that one discrete dim may have, in nats.

        A head that knows a quicker way than to ask `log_prob` K times may say so.

        Args:
            params: `(..., P)` floating point.
            value: `(..., site_dim)` int64; the other dims of the site are as they are here.
            dim: which one, from 0.

        Returns:
            `(..., K)`, in the dtype of `params`.
        """
        log_probs = []
        for number in range(self.layout.alphabet_size):
            changed = value.clone()
            changed[..., dim] = number
            log_probs.append(self.log_prob(params, changed))
        return torch.stack(log_probs, -1)

    def next_log_probs(self, params: Tensor, before: Tensor) -> Tensor:
        """Log-probabilities of all K values of the first dim of a site that is not known, in nats.

        The dims after it are left out, which not every head for sites of several dims can do.

        Args:
            params: `(..., P)` floating point.
            before: `(..., d)` int64, the first d dims of the site, which are known.

        Returns:
            `(..., K)`, in the dtype of `params`.

        Raises:
            NotImplementedError: if the head cannot leave out later dims.
        """
        if self.layout.site_dim > 1:
            raise NotImplementedError(
                f"the {self.name} head draws the dims of a site together and does not say how "
                "likely the values of the first ones are"
            )
        return self.value_log_probs(params, before.new_zeros((*before.shape[:-1], 1)), 0)

    @final
    def sample(self, params: Tensor, noise: Tensor) -> Tensor:
        """The site values that the uniforms select, by inverse CDF, computed in float64.

        Args:
            params: `(..., P)` floating point.
            noise: `(..., U)` uniform in [0, 1), float64.

        Returns:
            `(..., site_dim)`; int64 for discrete domains, in the dtype of `params` for real and
            mixed ones.
        """
        return self.draw(params, self.prepare(noise))

    def prepare(self, noise: Tensor) -> Tensor:
        """What of sampling no parameter enters, done once for all sites; by default nothing.

        Args:
            noise: `(..., U)` uniform in [0, 1), float64.

        Returns:
            `(..., U)` float64, for example quantiles of a standard normal.
        """
        return noise

    def averaged(self, params: Tensor) -> Tensor:
        """Parameters of the mean of several distributions; not every head has them.

        Args:
            params: `(K, ..., P)`, of K distributions.

        Returns:
            `(..., P)`, under which a value's probability is the mean of its K probabilities.

        Raises:
            NotImplementedError: if the mean is no distribution of this head.
        """
        raise NotImplementedError(f"the mean of several {self.name} heads is not such a head")

    def native_draw(self) -> NativeDraw | None:
        """How compiled code draws what `draw` does; None where only `draw` can.

        It holds for the class that says it: a subclass with a `draw` of its own is drawn from by
        that.
        """
        return None

    @abstractmethod
    def draw(self, params: Tensor, prepared: Tensor) -> Tensor:
        """The values of sites from their parameters and prepared noise; see `sample`."""
