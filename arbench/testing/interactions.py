"""Finds which dims of a foreign density depend on each other."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from arbench.probability.events import Discrete
from arbench.probability.foreign import ForeignDensity
from arbench.probability.randomness import keyed_generator

_NUM_CONTEXTS = 4
_NUM_VALUES = 1 << 15  # of the pairs that are looked at, times the dims of an event
_FEWEST_PAIRS, _MOST_PAIRS = 50, 400
_BATCH_SIZE = 256
_ROUNDING_NATS = 1e-5
_ROUNDING_SHARE = 1e-6


def pairs_of_dims(num_dims: int) -> Tensor:
    """Pairs i < j of dims, `(P, 2)` int64: all of them, or some by chance where they are many."""
    most = max(_FEWEST_PAIRS, min(_MOST_PAIRS, _NUM_VALUES // num_dims))
    if num_dims * (num_dims - 1) // 2 <= most:
        pairs = [*itertools.combinations(range(num_dims), 2)]
        return torch.tensor(pairs, dtype=torch.int64).view(-1, 2)
    generator = keyed_generator(0, "pairs")
    first = torch.randint(num_dims, (most,), generator=generator)
    apart = torch.randint(1, num_dims, (most,), generator=generator)
    return torch.stack((first, (first + apart) % num_dims), 1).sort(1).values


@torch.no_grad()
def interactions(density: ForeignDensity, pairs: Tensor) -> Tensor:
    """How much more than each alone two dims change the log-probability together.

    That is `log p(x) - log p(x with i) - log p(x with j) + log p(x with both)`, where "with" gives
    a dim another value. It is 0 at every event x exactly where dims i and j are independent given
    all others; a network that never reads i when it predicts j, nor anything of both elsewhere,
    has 0 there.

    Args:
        density: whose samples are the events x.
        pairs: `(P, 2)` int64, dims of a flattened event.

    Returns:
        `(P,)` nats, the largest over a few events; 0 where it is no more than rounding.
    """
    shape, domain = density.spec.shape, density.spec.domain
    drawn = density.sample(2 * _NUM_CONTEXTS, generator=torch.Generator().manual_seed(0)).cpu()
    events, others = drawn.flatten(1).chunk(2)
    if isinstance(domain, Discrete):
        turns = torch.randint(1, domain.size, events.shape, generator=keyed_generator(0, "turns"))
        others = (events + turns) % domain.size

    def log_probs(changed: Tensor) -> Tensor:
        batches = torch.split(changed.reshape(-1, *shape), _BATCH_SIZE)
        return torch.cat([density.log_prob(batch).cpu().double() for batch in batches])

    found = torch.zeros(len(pairs), dtype=torch.float64)
    for event, other in zip(events, others, strict=True):
        variants = event.repeat(4, len(pairs), 1)
        rows = torch.arange(len(pairs))
        for number, (with_i, with_j) in enumerate(itertools.product((False, True), repeat=2)):
            for is_changed, dims in ((with_i, pairs[:, 0]), (with_j, pairs[:, 1])):
                if is_changed:
                    variants[number, rows, dims] = other[dims]
        neither, with_j, with_i, both = log_probs(variants).view(4, -1)
        together = (neither - with_i - with_j + both).abs()
        rounding = _ROUNDING_NATS + _ROUNDING_SHARE * neither.abs()
        found = torch.maximum(found, together.masked_fill(together <= rounding, 0))
    return found


def describe_interactions(density: ForeignDensity) -> str:
    """Which share of the pairs of dims depend on each other, in a sentence; empty if all do."""
    pairs = pairs_of_dims(density.spec.num_dims)
    apart = pairs[interactions(density, pairs) == 0]
    if not len(apart):
        return ""
    i, j = apart[len(apart) // 2].tolist()
    return (
        f"{len(apart):,} of {len(pairs):,} pairs of dims ({len(apart) / len(pairs):.0%}), such as "
        f"{i} and {j}, do not depend on each other: right if your data are so; else the network "
        "reads too little of an event, as a masked one does that is narrower than the event"
    )
