"""Mixture of Gaussians, with learned or equal weights."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from arbench.probability.heads.base import Head
from arbench.probability.heads.components import choose, floored, floored_scale
from arbench.probability.heads.gaussian import normal_log_density, require_real, standard_normal
from arbench.probability.layouts import Layout
from arbench.probability.precision import widen


class GaussianMixture(Head):
    """`p(x) = sum_k w_k N(x; m_k, s_k)`; a sample takes one uniform for k and one for x.

    Parameters that are all 0 mean equal weights, means at the quantiles `(k - 1/2) / K` of a
    standard normal, and equal scales that make the variance of the mixture 1: components that
    started equal would stay equal.

    Source: Uria, Murray and Larochelle, "RNADE: the real-valued neural autoregressive density
    estimator", NeurIPS 2013, section 3. Deviations: where zero parameters lie, the smooth floor of
    the scales, and `weights="uniform"`, the form that lectures teach.

    Args:
        layout: real dims, drawn one at a time.
        num_components: K.
        weights: "learned" takes K logits more per dim, "uniform" gives every component `1 / K`.
        min_log_scale: lower bound of the logarithm of each s_k, approached smoothly.

    Raises:
        ValueError: for any other layout, or an argument that is not one of these.
    """

    name = "gaussian-mixture"
    kind = "density"
    num_uniforms = 2

    def __init__(
        self,
        layout: Layout,
        *,
        num_components: int = 10,
        weights: Literal["learned", "uniform"] = "learned",
        min_log_scale: float = -7.0,
    ) -> None:
        super().__init__(layout)
        require_real(layout, self.name)
        if num_components < 1:
            raise ValueError(f"num_components is at least 1, got {num_components}")
        if weights not in ("learned", "uniform"):
            raise ValueError(f"weights is 'learned' or 'uniform', got {weights!r}")
        self.num_components = num_components
        self.weights = weights
        self.min_log_scale = min_log_scale
        self.num_params = num_components * (3 if weights == "learned" else 2)
        first = self._first_means(torch.arange(num_components, device="cpu").double())
        self._log_scale = 0.5 * math.log(1 - first.square().mean().item())

    def log_prob(self, params: Tensor, value: Tensor) -> Tensor:
        """Log-density; see `Head.log_prob`."""
        means, log_scales, *logits = self._by_component(params)
        component = torch.arange(self.num_components, device=params.device)
        means = means + self._first_means(component.to(params.dtype))
        log_scales = floored(log_scales + self._log_scale, self.min_log_scale)
        log_densities = normal_log_density(value, means, log_scales)
        if logits:
            return (log_densities + logits[0].log_softmax(-1)).logsumexp(-1)
        return log_densities.logsumexp(-1) - math.log(self.num_components)

    def prepare(self, noise: Tensor) -> Tensor:
        """The second uniform becomes a quantile of the standard normal."""
        return torch.stack((noise[..., 0], standard_normal(noise[..., 1])), -1)

    def draw(self, params: Tensor, prepared: Tensor) -> Tensor:
        """A Gaussian of the chosen component; see `Head.sample`."""
        means, log_scales, *logits = self._by_component(params)
        noise, standard = torch.split(prepared, 1, -1)
        if logits:
            chosen = choose(logits[0], noise)
        else:
            chosen = (noise * self.num_components).long().clamp(max=self.num_components - 1)
        mean = widen(means.gather(-1, chosen)) + self._first_means(chosen.to(prepared.dtype))
        log_scale = widen(log_scales.gather(-1, chosen)) + self._log_scale
        scale = floored_scale(log_scale, self.min_log_scale)
        return torch.addcmul(mean, scale, standard).to(params.dtype)

    def _by_component(self, params: Tensor) -> tuple[Tensor, ...]:
        """Means, log-scales and, where they are learned, logits: each `(..., K)`."""
        return torch.split(params, self.num_components, -1)

    def _first_means(self, component: Tensor) -> Tensor:
        """Where the means of components, numbered from 0, lie when their parameters are 0."""
        means: Tensor = torch.special.ndtri((component + 0.5) / self.num_components)
        return means
