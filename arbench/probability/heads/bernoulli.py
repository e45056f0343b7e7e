"""Bernoulli: one logit for each binary dim."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from arbench.probability.events import Discrete
from arbench.probability.heads.base import Head
from arbench.probability.heads.components import log_mean_exp
from arbench.probability.layouts import Layout
from arbench.probability.native.step import NativeDraw


class Bernoulli(Head):
    """`p(x = 1) = sigmoid(logit)`; the network's parameter is the *logit*, never a probability.

    Args:
        layout: binary dims, drawn one at a time.

    Raises:
        ValueError: for any other layout.
    """

    name = "bernoulli"
    kind = "exact"
    num_params = 1

    def __init__(self, layout: Layout) -> None:
        super().__init__(layout)
        if layout.domain != Discrete(2) or layout.site_dim != 1:
            raise ValueError(
                "the bernoulli head needs binary dims drawn one at a time, "
                f"but the data are {layout.domain} with {layout.site_dim} dims per site"
            )

    def log_prob(self, params: Tensor, value: Tensor) -> Tensor:
        """`log sigmoid((2x - 1) * logit)`, stable for logits of any size; see `Head.log_prob`."""
        sign = 2 * value[..., 0].to(params.dtype) - 1
        return F.logsigmoid(sign * params[..., 0])

    def averaged(self, params: Tensor) -> Tensor:
        """The logit of the mean probability; see `Head.averaged`."""
        return log_mean_exp(F.logsigmoid(params)) - log_mean_exp(F.logsigmoid(-params))

    def prepare(self, noise: Tensor) -> Tensor:
        """The logit from which on the value is 1: `u >= 1 - p` is `logit(p) >= logit(1 - u)`.

        It is at most 38: a probability that differs from 1 by less than u can is certain.
        """
        return torch.logit(noise.clamp(min=2.0**-54)).neg_()

    def native_draw(self) -> NativeDraw:
        """See `Head.native_draw`."""
        return NativeDraw("bernoulli")

    def draw(self, params: Tensor, prepared: Tensor) -> Tensor:
        """1 where the logit reaches that of the noise, compared in float64; see `Head.sample`."""
        return (params >= prepared).long()
