"""Heads: the likelihoods that any network can be given.

A head is chosen from the domain of the data unless a recipe names one.
"""

from __future__ import annotations

from arbench.probability.events import Real
from arbench.probability.heads.base import Head
from arbench.probability.heads.bernoulli import Bernoulli
from arbench.probability.heads.categorical import Categorical
from arbench.probability.heads.gaussian import Gaussian
from arbench.probability.heads.gaussian_mixture import GaussianMixture
from arbench.probability.heads.logistic_mixture import LogisticMixture
from arbench.probability.layouts import Layout

__all__ = [
    "Bernoulli",
    "Categorical",
    "Gaussian",
    "GaussianMixture",
    "Head",
    "LogisticMixture",
    "natural_head",
]


def natural_head(layout: Layout) -> Head:
    """The head to use when nobody names one, chosen from the domain and the sites.

    Raises:
        ValueError: if no head describes the layout.
    """
    if isinstance(layout.domain, Real):
        return GaussianMixture(layout)
    if layout.site_dim > 1:
        return LogisticMixture(layout)
    return Bernoulli(layout) if layout.domain.size == 2 else Categorical(layout)
