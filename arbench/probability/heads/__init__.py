"""Heads: the likelihoods that any network can be given.

A head is chosen from the domain of the data unless a recipe names one.
"""

from __future__ import annotations

from arbench.probability.events import Discrete, Domain
from arbench.probability.heads.base import Head
from arbench.probability.heads.bernoulli import Bernoulli
from arbench.probability.heads.categorical import Categorical

HEADS: dict[str, type[Head]] = {head.name: head for head in (Bernoulli, Categorical)}

__all__ = ["HEADS", "Bernoulli", "Categorical", "Head", "make_head"]


def make_head(name: str, domain: Domain) -> Head:
    """The head of that name, or for "auto" the natural one of the domain.

    Raises:
        ValueError: if no head has that name, or none is natural for the domain.
    """
    if name == "auto":
        if not isinstance(domain, Discrete):
            raise ValueError(
                f"no head is the natural choice for {domain}; name one: {', '.join(HEADS)}"
            )
        name = "bernoulli" if domain.size == 2 else "categorical"
    if name not in HEADS:
        raise ValueError(f"no head is called {name!r}; there are: auto, {', '.join(HEADS)}")
    return HEADS[name]()
