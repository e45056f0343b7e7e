"""Mixture of discretised logistics, as in PixelCNN++."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from arbench.probability.heads.base import Head
from arbench.probability.heads.components import choose, floored, floored_scale
from arbench.probability.layouts import Layout
from arbench.probability.precision import widen


class LogisticMixture(Head):
    """A discretised mixture of logistics, for levels that have an order.

    The L levels of a dim lie at equal distances in [-1, 1]; each owns the bin around it, and the
    first and the last own what lies beyond. A site of several dims (the channels of a pixel) has
    one component for all of them, whose mean for a channel depends linearly on the earlier ones:
    `m_c + sum_{e < c} tanh(a_ce) x_e`. A sample takes one uniform for the component and one for
    each dim.

    Parameters that are all 0 mean equal weights, means at equal distances in [-1, 1], scales of
    `1 / (2 K)` and channels that do not depend on one another: near uniform, and no two components
    alike.

    Source: Salimans, Karpathy, Chen and Kingma, "PixelCNN++", ICLR 2017, sections 2.1 and 2.2.
    Deviations: where zero parameters lie; the floor of the scales is smooth; samples condition a
    channel on the levels that were drawn, as `log_prob` does, where the authors' sampler uses the
    values before rounding.

    Args:
        layout: discrete dims, one or several per site.
        num_components: K.
        min_log_scale: lower bound of the logarithm of a scale, approached smoothly; the authors'
            value. It is 0.12 bins when there are 256 levels; many more want a lower one.

    Raises:
        ValueError: for any other layout, or without a component.
    """

    name = "logistic-mixture"
    kind = "exact"

    def __init__(
        self, layout: Layout, *, num_components: int = 10, min_log_scale: float = -7.0
    ) -> None:
        super().__init__(layout)
        if num_components < 1:
            raise ValueError(f"num_components is at least 1, got {num_components}")
        self.num_levels = layout.alphabet_size
        self.num_components = num_components
        self.min_log_scale = min_log_scale
        dims = layout.site_dim
        # Of one component: a logit; per dim a mean and a log-scale; per pair of dims an a_ce.
        self._sizes = [1, dims, dims, dims * (dims - 1) // 2]
        self.num_params = num_components * sum(self._sizes)
        self.num_uniforms = 1 + dims
        self._log_scale = -math.log(2 * num_components)
        self._spacing = 2 / (self.num_levels - 1)

    def log_prob(self, params: Tensor, value: Tensor) -> Tensor:
        """`logsumexp` over components of the sum over dims; see `Head.log_prob`."""
        grouped = self._by_component(params)
        logits, means, log_scales, couplings = torch.split(grouped, self._sizes, -1)
        component = torch.arange(self.num_components, device=params.device)
        means = self._placed(means, component[:, None])
        log_scales = floored(log_scales + self._log_scale, self.min_log_scale)
        couplings = couplings.tanh()
        levels = value.to(params.dtype) * self._spacing - 1
        total = logits[..., 0].log_softmax(-1)
        for dim in range(value.shape[-1]):
            mean = means[..., dim]
            for earlier in range(dim):
                coupling = couplings[..., _pair(dim, earlier)]
                mean = mean + coupling * levels[..., earlier, None]
            level = value[..., dim, None]
            total = total + log_bin_mass(level, mean, log_scales[..., dim], self.num_levels)
        return total.logsumexp(-1)

    def next_log_probs(self, params: Tensor, before: Tensor) -> Tensor:
        """Of all levels at once: `log_prob` leaves out dims that it is not given.

        See `Head.next_log_probs`.
        """
        levels = torch.arange(self.num_levels, device=before.device)
        known = before.unsqueeze(-2).expand(*before.shape[:-1], self.num_levels, -1)
        own = levels[:, None].expand(*before.shape[:-1], -1, 1)
        together = self.log_prob(params.unsqueeze(-2), torch.cat((known, own), -1))
        if before.shape[-1] == 0:
            return together
        return together - self.log_prob(params, before).unsqueeze(-1)

    def prepare(self, noise: Tensor) -> Tensor:
        """All uniforms but the first become logits, the quantiles of the standard logistic."""
        standard = torch.logit(noise[..., 1:].clamp(min=2.0**-54))
        return torch.cat((noise[..., :1], standard), -1)

    def draw(self, params: Tensor, prepared: Tensor) -> Tensor:
        """The bins that logistic samples fall into, dim by dim; see `Head.sample`."""
        grouped = self._by_component(params)
        chosen = choose(grouped[..., 0], prepared[..., :1])
        own = grouped.take_along_dim(chosen[..., None], -2).squeeze(-2)
        _, means, log_scales, couplings = torch.split(widen(own), self._sizes, -1)
        scales = floored_scale(log_scales + self._log_scale, self.min_log_scale)
        sampled = torch.addcmul(self._placed(means, chosen), scales, prepared[..., 1:])
        # A lower edge belongs to its bin: with those of log_prob, this is the inverse CDF.
        if sampled.shape[-1] == 1:
            return self._bin(sampled).long()
        couplings = couplings.tanh()
        levels: list[Tensor] = []
        scaled: list[Tensor] = []
        for dim, position in enumerate(sampled.unbind(-1)):
            for earlier, level in enumerate(scaled):
                coupling = couplings[..., _pair(dim, earlier)]
                position = torch.addcmul(position, coupling, level)
            levels.append(self._bin(position))
            scaled.append(levels[dim] * self._spacing - 1)
        return torch.stack(levels, -1).long()

    def _by_component(self, params: Tensor) -> Tensor:
        """The parameters of each component, `(..., K, P / K)`."""
        return params.reshape(*params.shape[:-1], self.num_components, -1)

    def _placed(self, means: Tensor, component: Tensor) -> Tensor:
        """Means relative to where those of the component, numbered from 0, lie at first."""
        return torch.add(means, component, alpha=2 / self.num_components) + (
            1 / self.num_components - 1
        )

    def _bin(self, position: Tensor) -> Tensor:
        """The level, a whole number in floating point, in whose bin numbers around [-1, 1] lie."""
        level = position * ((self.num_levels - 1) / 2) + self.num_levels / 2
        return level.clamp_(0, self.num_levels - 1).floor_()


def log_bin_mass(level: Tensor, mean: Tensor, log_scale: Tensor, num_levels: int) -> Tensor:
    """Log-probability in nats of the bins of levels under one logistic, elementwise.

    With edges `a < b` in units of the scale, `sigmoid(b) - sigmoid(a)` is
    `sigmoid(b) * sigmoid(-a) * (1 - exp(a - b))`, which subtracts nothing; `b - a` is the same for
    all inner bins. The outer bins have one edge only.

    Args:
        level: int64 in [0, num_levels).
        mean: floating point, in the units of levels scaled to [-1, 1].
        log_scale: of the logistic, in nats.
        num_levels: L.

    Returns:
        In the shape that the three broadcast to, in the dtype of `mean`.
    """
    inverse = (-log_scale).exp()
    # Both edges from integers: the upper edge of a level is the lower one of the next, exactly.
    upper = ((2 * level + 2 - num_levels).to(mean.dtype) / (num_levels - 1) - mean) * inverse
    lower = ((2 * level - num_levels).to(mean.dtype) / (num_levels - 1) - mean) * inverse
    is_first, is_last = level == 0, level == num_levels - 1
    below_upper = F.logsigmoid(upper).masked_fill(is_last, 0.0)
    above_lower = F.logsigmoid(-lower).masked_fill(is_first, 0.0)
    width = log_one_minus_exp(math.log(2 / (num_levels - 1)) - log_scale)
    return below_upper + above_lower + width.masked_fill(is_first | is_last, 0.0)


def log_one_minus_exp(log_width: Tensor) -> Tensor:
    """`log(1 - exp(-w))` for `w = exp(log_width)` of any size; for a tiny w that is `log_width`."""
    width = log_width.exp()
    is_tiny = width < 1e-3
    series = log_width - width / 2 + width.square() / 24  # the next term is w^4 / 2880
    return torch.where(is_tiny, series, (-torch.expm1(-width.masked_fill(is_tiny, 1.0))).log())


def _pair(dim: int, earlier: int) -> int:
    """Where the coupling of a dim with an earlier one lies: (1, 0), (2, 0), (2, 1), ..."""
    return dim * (dim - 1) // 2 + earlier
