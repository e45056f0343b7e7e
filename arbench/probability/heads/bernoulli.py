"""Bernoulli head: one logit per binary dim."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from arbench.probability.events import Discrete
from arbench.probability.heads.base import Head
from arbench.probability.layouts import Layout
from arbench.probability.precision import widen


class Bernoulli(Head):
    """`p(x = 1) = sigmoid(logit)`; the network's parameter is the *logit*, never a probability."""

    name = "bernoulli"
    kind = "exact"

    def num_params(self, layout: Layout) -> int:
        """1: the logit."""
        if layout.domain != Discrete(2) or layout.site_dim != 1:
            raise ValueError(
                "the bernoulli head needs binary dims drawn one at a time, "
                f"but the data are {layout.domain} with {layout.site_dim} dims per site"
            )
        return 1

    def log_prob(self, params: Tensor, value: Tensor) -> Tensor:
        """`log sigmoid((2x - 1) * logit)`, stable for logits of any size; see `Head.log_prob`."""
        sign = 2 * value[..., 0].to(params.dtype) - 1
        return F.logsigmoid(sign * params[..., 0])

    def sample(self, params: Tensor, noise: Tensor) -> Tensor:
        """1 where the uniform reaches `p(x = 0)`; see `Head.sample`."""
        prob_zero = widen(-params).sigmoid_()
        return (noise >= prob_zero).long()
