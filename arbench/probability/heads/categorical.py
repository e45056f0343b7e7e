"""Categorical: a softmax over the values of a discrete dim."""

from __future__ import annotations

from torch import Tensor

from arbench.probability.heads.base import Head
from arbench.probability.heads.components import choose, log_mean_exp, log_softmax_at
from arbench.probability.layouts import Layout
from arbench.probability.native.step import NativeDraw


class Categorical(Head):
    """`p(x = k) = softmax(params)[k]`.

    Args:
        layout: discrete dims, drawn one at a time.

    Raises:
        ValueError: for any other layout.
    """

    name = "categorical"
    kind = "exact"

    def __init__(self, layout: Layout) -> None:
        super().__init__(layout)
        if layout.site_dim != 1:
            raise ValueError(
                "the categorical head draws one dim at a time, but a site of this layout has "
                f"{layout.site_dim} dims; use sites='dim'"
            )
        self.num_params = layout.alphabet_size

    def log_prob(self, params: Tensor, value: Tensor) -> Tensor:
        """`log_softmax(params)[x]`; see `Head.log_prob`."""
        return log_softmax_at(params, value).squeeze(-1)

    def value_log_probs(self, params: Tensor, value: Tensor, dim: int) -> Tensor:
        """All of `log_softmax(params)`; see `Head.value_log_probs`."""
        return params.log_softmax(-1)

    def averaged(self, params: Tensor) -> Tensor:
        """Logarithms of mean probabilities; see `Head.averaged`."""
        return log_mean_exp(params.log_softmax(-1))

    def native_draw(self) -> NativeDraw:
        """See `Head.native_draw`."""
        return NativeDraw("categorical")

    def draw(self, params: Tensor, prepared: Tensor) -> Tensor:
        """The first value whose cumulative probability exceeds the uniform; see `Head.sample`."""
        return choose(params, prepared)
