"""`--temperature`: a model with sharper or flatter conditionals, for sampling only."""

from __future__ import annotations

from arbench.probability.density import Density
from arbench.probability.heads.tempered import Tempered
from arbench.probability.model import Model


def at_temperature(density: Density, temperature: float | None) -> Density:
    """The density to sample from at a temperature; it shares the network. None changes nothing.

    Raises:
        ValueError: if the density is not a single model, or its head has no temperature.
    """
    if temperature is None:
        return density
    if not isinstance(density, Model):
        raise ValueError(
            "a temperature divides the logits of a single model; an ensemble and a foreign "
            "density have none"
        )
    return Model(density.network, Tempered(density.head, temperature), density.layout)
