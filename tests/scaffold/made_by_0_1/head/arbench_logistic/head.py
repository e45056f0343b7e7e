"""The head logistic: what the parameters of a site mean."""

from __future__ import annotations

import math

import torch
from arbench.probability.events import Real
from arbench.probability.heads import Head
from arbench.probability.layouts import Layout
from arbench.probability.precision import widen
from torch import Tensor
from torch.nn import functional as F


class LogisticHead(Head):
    """A logistic density of real dims; its parameters are the mean and, nearly, a log-scale.

    EDIT: this is a place to start from. `log_prob` is in nats and sums (or integrates) to 1;
    `prepare` and `draw` invert its CDF, so that samples follow from uniform numbers alone.

    Args:
        layout: real dims, drawn one at a time.
        min_scale: the scale's floor: without one, data that repeat a value have no best density.
            (A keyword argument is an option: `--set head.min_scale=0.01`.)

    Raises:
        ValueError: for any other layout: what a head cannot describe, it refuses.
    """

    name = "logistic"
    kind = "density"  # "exact" where log_prob is that of a probability
    num_params = 2
    num_uniforms = 1  # one for every choice that a sample takes

    def __init__(self, layout: Layout, *, min_scale: float = 1e-3) -> None:
        super().__init__(layout)
        if not isinstance(layout.domain, Real) or layout.site_dim != 1:
            raise ValueError("the logistic head needs real dims, drawn one at a time")
        self.min_scale = min_scale

    def log_prob(self, params: Tensor, value: Tensor) -> Tensor:
        """Log-density `(...)` in nats of values `(..., 1)` under parameters `(..., 2)`."""
        mean, scale = self._mean_and_scale(params)
        z = (value[..., 0] - mean) / scale
        return F.logsigmoid(z) + F.logsigmoid(-z) - scale.log()

    def prepare(self, noise: Tensor) -> Tensor:
        """Quantiles of the standard logistic at uniforms `(..., 1)`: what no parameter enters."""
        return torch.logit(noise.clamp(min=2.0**-54))

    def draw(self, params: Tensor, prepared: Tensor) -> Tensor:
        """Values `(..., 1)` in the dtype of `params`, computed in float64."""
        mean, scale = self._mean_and_scale(widen(params))
        return (mean + scale * prepared[..., 0])[..., None].to(params.dtype)

    def _mean_and_scale(self, params: Tensor) -> tuple[Tensor, Tensor]:
        """Both `(...)`; parameters of 0 mean a mean of 0 and a scale just above 1/2."""
        mean, raw = params.unbind(-1)
        return mean, self.min_scale + F.softplus(raw + math.log(math.expm1(0.5)))
