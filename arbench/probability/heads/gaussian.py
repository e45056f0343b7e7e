"""Gaussian: a mean and a scale for each real dim."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from arbench.probability.events import Real
from arbench.probability.heads.base import Head
from arbench.probability.heads.components import floored, floored_scale
from arbench.probability.layouts import Layout
from arbench.probability.precision import widen

_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)


class Gaussian(Head):
    """A normal density; the parameters are its mean and the logarithm of its standard deviation.

    Args:
        layout: real dims, drawn one at a time.
        min_log_scale: lower bound of the logarithm of the standard deviation, approached smoothly.
            Without one the density of data that repeat a value has no bound.

    Raises:
        ValueError: for any other layout.
    """

    name = "gaussian"
    kind = "density"
    num_params = 2

    def __init__(self, layout: Layout, *, min_log_scale: float = -7.0) -> None:
        super().__init__(layout)
        require_real(layout, self.name)
        self.min_log_scale = min_log_scale

    def log_prob(self, params: Tensor, value: Tensor) -> Tensor:
        """Log-density; see `Head.log_prob`."""
        log_scale = floored(params[..., 1], self.min_log_scale)
        return normal_log_density(value[..., 0], params[..., 0], log_scale)

    def prepare(self, noise: Tensor) -> Tensor:
        """The quantiles of the standard normal."""
        return standard_normal(noise)

    def draw(self, params: Tensor, prepared: Tensor) -> Tensor:
        """`mean + scale * z`; see `Head.sample`."""
        mean, log_scale = torch.split(widen(params), 1, -1)
        scale = floored_scale(log_scale, self.min_log_scale)
        return torch.addcmul(mean, scale, prepared).to(params.dtype)


def require_real(layout: Layout, name: str) -> None:
    """Check that a head for real dims, one at a time, is given such a layout.

    Raises:
        ValueError: if it is not.
    """
    if not isinstance(layout.domain, Real) or layout.site_dim != 1:
        raise ValueError(
            f"the {name} head needs real dims drawn one at a time, "
            f"but the data are {layout.domain} with {layout.site_dim} dims per site"
        )


def normal_log_density(value: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """Logarithm of the normal density in nats, elementwise over shapes that broadcast."""
    standardised = (value - mean) * (-log_scale).exp()
    return -0.5 * standardised.square() - log_scale - _HALF_LOG_TWO_PI


def standard_normal(noise: Tensor) -> Tensor:
    """Quantiles of the standard normal at uniforms in [0, 1), each within 8.4 of 0."""
    quantiles: Tensor = torch.special.ndtri(noise.clamp(min=2.0**-54))
    return quantiles
