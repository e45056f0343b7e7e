"""Right models, wrong results: mixtures and bits per dim as computed in the wild."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from arbench.data.tasks import Split
from arbench.measure.likelihood import SplitRecord, evaluate_log_probs
from arbench.probability.density import Density
from arbench.probability.ensemble import Ensemble
from arbench.probability.model import Model
from arbench.testing.conformance import subjects
from arbench.testing.numbers import check_bits_per_dim, check_mixture
from arbench.testing.subject import ConformanceError
from arbench.testing.toys import TINY_SPECS, TableNetwork, all_events

SPEC = TINY_SPECS["binary-2x3"]


class Mixture:
    """What averages have in common."""

    kind = "exact"

    def __init__(self, members: list[Model]) -> None:
        self.members = members
        self.spec = members[0].spec

    def sample(self, num_events: int, *, generator: torch.Generator | None = None) -> Tensor:
        raise NotImplementedError


class AveragedLogits(Mixture):
    """An ensemble over orders that averages the members' logits, dim by dim."""

    def log_prob(self, events: Tensor, scored: Tensor | None = None) -> Tensor:
        logits = torch.stack(
            [m.layout.to_events(m.network(m.layout.to_sites(events))) for m in self.members]
        ).mean(0)
        return nn.functional.logsigmoid((2 * events - 1) * logits).flatten(1).sum(1)


class AveragedLogProbs(Mixture):
    """Averages log-probabilities where probabilities belong."""

    def log_prob(self, events: Tensor, scored: Tensor | None = None) -> Tensor:
        return torch.stack([m.log_prob(events, scored) for m in self.members]).mean(0)


def members() -> list[Model]:
    """Two tables in two orders."""
    found = subjects(TableNetwork, specs={"tiny": SPEC})
    return [found["tiny raster"].fresh(), found["tiny permuted"].fresh(seed=1)]


@pytest.mark.parametrize("mixture", [AveragedLogits, AveragedLogProbs])
def test_averages_of_the_wrong_thing_are_refused_as_mixtures(mixture: Any) -> None:
    two = members()
    with pytest.raises(ConformanceError, match="the mean of its members' probabilities is"):
        check_mixture(mixture(two), two, all_events(SPEC))


def test_mean_of_probabilities_is_a_mixture() -> None:
    two = members()
    check_mixture(Ensemble(two), two, all_events(SPEC))


def test_mixture_that_agrees_on_some_events_has_to_sum_to_one() -> None:
    class Unsure(AveragedLogits):
        def log_prob(self, events: Tensor, scored: Tensor | None = None) -> Tensor:
            right = Ensemble(self.members).log_prob(events)
            return torch.where(events.flatten(1).any(1), right, right + 1)

    two = members()
    with pytest.raises(ConformanceError, match="the probabilities of all 64 events sum to"):
        check_mixture(Unsure(two), two, all_events(SPEC)[1:])


def _nats(density: Density, split: Split) -> Tensor:
    return -density.log_prob(split.events, split.scored).detach()


def pixels_for_dims(density: Density, split: Split) -> float:
    """Divides by the pixels, though every pixel has three channels."""
    dims = split.num_scored_dims
    if len(split.events.shape) == 4:
        dims //= split.events.shape[1]
    return _nats(density, split).sum().item() / dims / math.log(2)


def padding_for_dims(density: Density, split: Split) -> float:
    """Counts the padding too: the longer it is, the better the number."""
    return _nats(density, split).sum().item() / split.events.numel() / math.log(2)


def mean_of_ratios(density: Density, split: Split) -> float:
    """Averages the bits per dim of events, so that short words count as much as long ones."""
    return (_nats(density, split) / split.scored_dims).mean().item() / math.log(2)


def mean_of_batches(density: Density, split: Split) -> float:
    """Averages over batches, so that the last partial one counts as much as a full one."""
    nats, dims = _nats(density, split).split(100), split.scored_dims.split(100)
    ratios = [n.sum() / d.sum() for n, d in zip(nats, dims, strict=True)]
    return torch.stack(ratios).mean().item() / math.log(2)


def drops_the_last_batch(density: Density, split: Split) -> float:
    """Evaluates full batches only."""
    whole = len(split) // 100 * 100
    dims = int(split.scored_dims[:whole].sum())
    return _nats(density, split)[:whole].sum().item() / dims / math.log(2)


def nats_for_bits(density: Density, split: Split) -> float:
    """Forgets the logarithm of 2."""
    return _nats(density, split).sum().item() / split.num_scored_dims


@pytest.mark.parametrize(
    ("measure", "where"),
    [
        (pixels_for_dims, "colour-1x2"),
        (padding_for_dims, "words-5"),
        (mean_of_ratios, "words-5"),
        (mean_of_batches, "colour-1x2"),
        (drops_the_last_batch, "colour-1x2"),
        (nats_for_bits, "colour-1x2"),
    ],
)
def test_wrong_denominator_is_refused_as_bits_per_dim(
    measure: Callable[[Density, Split], float], where: str
) -> None:
    with pytest.raises(ConformanceError, match=rf"{where}: found [\d.]+ bits/dim, but"):
        check_bits_per_dim(measure)


def test_totals_over_totals_pass() -> None:
    def measure(density: Density, split: Split) -> float:
        log_probs = evaluate_log_probs(density, split, batch_size=100)
        bits = SplitRecord.of(log_probs, split, density.spec.domain, "exact").bits_per_dim
        assert bits is not None
        return bits

    check_bits_per_dim(measure)
