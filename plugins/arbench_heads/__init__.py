"""The heads that come with arbench."""

from __future__ import annotations

from arbench import HeadEntry, hookimpl


@hookimpl
def arbench_register_heads() -> list[HeadEntry]:
    """The heads for discrete and for real dims."""
    return [
        HeadEntry(
            name="bernoulli",
            head="arbench.probability.heads.bernoulli:Bernoulli",
            summary="One logit per binary dim",
        ),
        HeadEntry(
            name="categorical",
            head="arbench.probability.heads.categorical:Categorical",
            summary="A softmax over the values of a discrete dim",
        ),
        HeadEntry(
            name="gaussian",
            head="arbench.probability.heads.gaussian:Gaussian",
            summary="A mean and a scale per real dim",
        ),
        HeadEntry(
            name="gaussian-mixture",
            head="arbench.probability.heads.gaussian_mixture:GaussianMixture",
            summary="Gaussians with learned or equal weights per real dim",
        ),
        HeadEntry(
            name="logistic-mixture",
            head="arbench.probability.heads.logistic_mixture:LogisticMixture",
            summary="Logistics in bins, for a dim or for all channels of a pixel",
        ),
    ]
