"""The contract of a head: what the parameters of one site mean."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

from torch import Tensor

from arbench.probability.layouts import Layout


class Head(ABC):
    """Turns the P parameters of a site into a distribution over its `site_dim` dims.

    A head has no weights. It never draws random numbers: `sample` is a deterministic function of
    `num_uniforms` uniform numbers per site, one for each choice it makes, by inverse CDF.

    Attributes:
        name: what recipes and records call it.
        kind: "exact" when `log_prob` is the log of a probability, "density" when it is the log of
            a probability density.
        num_uniforms: U, uniform numbers used per site.
    """

    name: ClassVar[str]
    kind: ClassVar[Literal["exact", "density"]]
    num_uniforms: int = 1

    @abstractmethod
    def num_params(self, layout: Layout) -> int:
        """P, the number of parameters per site.

        Raises:
            ValueError: if this head cannot describe the sites of the layout.
        """

    @abstractmethod
    def log_prob(self, params: Tensor, value: Tensor) -> Tensor:
        """Log-probability (or log-density) of site values, in nats.

        Args:
            params: `(..., P)` floating point.
            value: `(..., site_dim)`; int64 for discrete domains, floating point for real ones.

        Returns:
            `(...)`, in the dtype of `params`.
        """

    @abstractmethod
    def sample(self, params: Tensor, noise: Tensor) -> Tensor:
        """The site values that the uniforms select, by inverse CDF, computed in float64.

        Args:
            params: `(..., P)` floating point.
            noise: `(..., U)` uniform in [0, 1), float64.

        Returns:
            `(..., site_dim)`; int64 for discrete domains, floating point for real ones.
        """
