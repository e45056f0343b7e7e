"""Heads: the likelihoods that any network can be given.

Names are imported when they are first used, so that a run imports no head but its own.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from arbench.probability.heads.base import Head as Head
    from arbench.probability.heads.bernoulli import Bernoulli as Bernoulli
    from arbench.probability.heads.categorical import Categorical as Categorical
    from arbench.probability.heads.gaussian import Gaussian as Gaussian
    from arbench.probability.heads.gaussian_mixture import GaussianMixture as GaussianMixture
    from arbench.probability.heads.logistic_mixture import LogisticMixture as LogisticMixture
    from arbench.probability.heads.mixed import MixedHead as MixedHead
    from arbench.probability.heads.natural import natural_head as natural_head

_HOMES = {
    "Bernoulli": "bernoulli",
    "Categorical": "categorical",
    "Gaussian": "gaussian",
    "GaussianMixture": "gaussian_mixture",
    "Head": "base",
    "LogisticMixture": "logistic_mixture",
    "MixedHead": "mixed",
    "natural_head": "natural",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
