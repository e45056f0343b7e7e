"""Chooses the head for the data if the recipe says `head = "auto"`."""

from __future__ import annotations

from arbench.probability.events import Mixed, Real
from arbench.probability.heads.base import Head
from arbench.probability.layouts import Layout


def natural_head(layout: Layout) -> Head:
    """The head to use when nobody names one, chosen from the domain and the sites.

    Raises:
        ValueError: if no head describes the layout.
    """
    if isinstance(layout.domain, Mixed):
        from arbench.probability.heads.mixed import MixedHead

        return MixedHead(layout)
    if isinstance(layout.domain, Real):
        from arbench.probability.heads.gaussian_mixture import GaussianMixture

        return GaussianMixture(layout)
    if layout.site_dim > 1:
        from arbench.probability.heads.logistic_mixture import LogisticMixture

        return LogisticMixture(layout)
    if layout.domain.size > 2:
        from arbench.probability.heads.categorical import Categorical

        return Categorical(layout)
    from arbench.probability.heads.bernoulli import Bernoulli

    return Bernoulli(layout)
