"""The heads that come with arbench."""

from __future__ import annotations

from arbench import HeadEntry

arbench_entries = [
    HeadEntry(
        name="bernoulli",
        head="arbench:Bernoulli",
        summary="One logit per binary dim",
    ),
    HeadEntry(
        name="categorical",
        head="arbench:Categorical",
        summary="A softmax over the values of a discrete dim",
    ),
    HeadEntry(
        name="gaussian",
        head="arbench:Gaussian",
        summary="A mean and a scale per real dim",
    ),
    HeadEntry(
        name="gaussian-mixture",
        head="arbench:GaussianMixture",
        summary="Gaussians with learned or equal weights per real dim",
    ),
    HeadEntry(
        name="logistic-mixture",
        head="arbench:LogisticMixture",
        summary="Logistics in bins, for a dim or for all channels of a pixel",
    ),
    HeadEntry(
        name="mixed",
        head="arbench:MixedHead",
        summary="For each column of a table the head of its own domain",
    ),
]
