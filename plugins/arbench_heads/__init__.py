"""The heads that come with arbench."""

from __future__ import annotations

from arbench import HeadEntry, hookimpl


@hookimpl
def arbench_register_heads() -> list[HeadEntry]:
    """The heads for discrete dims."""
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
    ]
