"""`--temperature`: a model with sharper or flatter conditionals, for sampling only."""

from __future__ import annotations

from torch import Tensor

from arbench.probability.density import Density
from arbench.probability.heads.base import Head
from arbench.probability.heads.bernoulli import Bernoulli
from arbench.probability.heads.categorical import Categorical
from arbench.probability.model import Model
from arbench.probability.native.step import NativeDraw

_LEAST = 1e-3


class Tempered(Head):
    """Another head with its logits divided by a temperature: `p(x)^(1/T)`, normalised per site.

    Below 1 likely values become likelier. It is no head of its own that a recipe could name: it
    is put over a trained one to sample, and evaluation never sees it.

    Args:
        head: a Bernoulli or categorical head.
        temperature: T, from 0.001, where the likeliest value is all but certain, to 1000.

    Raises:
        ValueError: for another head, or another temperature.
    """

    name = "tempered"
    kind = "exact"

    def __init__(self, head: Head, temperature: float) -> None:
        if not isinstance(head, (Bernoulli, Categorical)):
            raise ValueError(
                f"a temperature divides logits, and the {head.name} head has other parameters too"
            )
        if not _LEAST <= temperature <= 1 / _LEAST:
            raise ValueError(
                f"a temperature is from {_LEAST:g} to {1 / _LEAST:g}, got {temperature:g}"
            )
        super().__init__(head.layout)
        self.num_params, self.num_uniforms = head.num_params, head.num_uniforms
        self._head = head
        self._temperature = temperature

    def log_prob(self, params: Tensor, value: Tensor) -> Tensor:
        """Under the tempered distribution; see `Head.log_prob`."""
        return self._head.log_prob(params / self._temperature, value)

    def prepare(self, noise: Tensor) -> Tensor:
        """As the head does; see `Head.prepare`."""
        return self._head.prepare(noise)

    def native_draw(self) -> NativeDraw | None:
        """The head's own, at this temperature; see `Head.native_draw`."""
        own = self._head.native_draw()
        return None if own is None else own._replace(temperature=self._temperature)

    def draw(self, params: Tensor, prepared: Tensor) -> Tensor:
        """From the tempered distribution; see `Head.draw`."""
        return self._head.draw(params / self._temperature, prepared)


def at_temperature(density: Density, temperature: float | None) -> Density:
    """The density to sample from at a temperature; it shares the network. None changes nothing.

    Raises:
        ValueError: if the density is not a single model, or its head has no temperature.
    """
    if temperature is None:
        return density
    if not isinstance(density, Model):
        raise ValueError(
            "a temperature divides the logits of a single model; an ensemble, a flow and a "
            "foreign density have none"
        )
    return Model(density.network, Tempered(density.head, temperature), density.layout)
