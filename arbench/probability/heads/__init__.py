"""Heads: the likelihoods that any network can be given.

A head is chosen from the domain of the data unless a recipe names one.
"""

from __future__ import annotations

from arbench.probability.events import Discrete
from arbench.probability.heads.base import Head
from arbench.probability.heads.bernoulli import Bernoulli
from arbench.probability.heads.categorical import Categorical
from arbench.probability.layouts import Layout

__all__ = ["Bernoulli", "Categorical", "Head", "natural_head"]


def natural_head(layout: Layout) -> Head:
    """The head to use when nobody names one, chosen from the domain.

    Raises:
        ValueError: if no head is the natural choice.
    """
    domain = layout.domain
    if not isinstance(domain, Discrete):
        raise ValueError(f"no head is the natural choice for {domain}; name one")
    return Bernoulli(layout) if domain.size == 2 else Categorical(layout)
