"""The checks from outside: right densities pass, and each mistake is found by the check meant."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from arbench.probability.events import Discrete, EventSpec, Real
from arbench.probability.foreign import ForeignDensity
from arbench.probability.heads import natural_head
from arbench.probability.heads.tempered import at_temperature
from arbench.probability.layouts import Layout
from arbench.probability.model import Model
from arbench.testing.conformance import Result
from arbench.testing.foreign import check_foreign, check_samples_fit
from arbench.testing.interactions import describe_interactions, interactions, pairs_of_dims
from arbench.testing.subject import ConformanceError, NotApplicableError
from arbench.testing.toys import LinearNetwork

BITS = EventSpec((1, 6, 6), Discrete(2))
WORDS = EventSpec((12,), Discrete(5))
REALS = EventSpec((6,), Real())
Build = Callable[[EventSpec], ForeignDensity]


class Symbols(nn.Module):
    """A model of ours whose likelihood and samples can be told to go wrong."""

    def __init__(self, spec: EventSpec) -> None:
        super().__init__()
        layout = Layout(spec)
        head = natural_head(layout)
        torch.manual_seed(0)
        network = LinearNetwork(layout, head.num_params)
        for parameter in network.parameters():
            nn.init.normal_(parameter, std=0.4)
        self.model = Model(network, head, layout).double().eval()

    def log_prob(self, x: Tensor) -> Tensor:
        return self.model.log_prob(x)

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        return self.model.sample(n, generator=generator)


class Unnormalised(Symbols):
    """Takes a power of every probability and does not divide by the sum."""

    def log_prob(self, x: Tensor) -> Tensor:
        return 0.7 * super().log_prob(x)


class WarmSamples(Symbols):
    """Draws at another temperature."""

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        return at_temperature(self.model, 1.5).sample(n, generator=generator)


class ShiftedSamples(Symbols):
    """Draws every dim at its neighbour's place."""

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        drawn = super().sample(n, generator)
        return drawn.flatten(1).roll(1, 1).view_as(drawn)


class RandomNumbers(Symbols):
    """Leaves dropout on."""

    def log_prob(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(super().log_prob(x), 0.2)


class BatchNormalised(Symbols):
    """Compares every event with those beside it."""

    def log_prob(self, x: Tensor) -> Tensor:
        return super().log_prob(x) - x.double().mean()


class OwnGenerator(Symbols):
    """Draws from a source that nobody can seed."""

    own = torch.Generator().manual_seed(5)

    def sample(self, n: int) -> Tensor:  # type: ignore[override]
        return self.model.sample(n, generator=self.own)


class Frozen(Symbols):
    """Draws the same events for ever."""

    def sample(self, n: int) -> Tensor:  # type: ignore[override]
        return self.model.sample(n, generator=torch.Generator().manual_seed(5))


def of(symbols: type[Symbols], **options: Any) -> Build:
    return lambda spec: ForeignDensity(symbols(spec), **{"spec": spec, "kind": "exact", **options})


def normal(sigma: float = 0.5, rho: float = 0.8, *, log_det: float | None = None) -> Build:
    """A chain of normals; samples have `sigma` and `rho`, log_prob is that of 0.5 and 0.8."""

    def covariance(size: int, scale: float, correlation: float) -> Tensor:
        index = torch.arange(size)
        return scale**2 * correlation ** (index[:, None] - index).abs().double()

    def build(spec: EventSpec) -> ForeignDensity:
        (size,) = spec.shape
        mean = torch.zeros(size, dtype=torch.float64)
        source = torch.distributions.MultivariateNormal(mean, covariance(size, 0.5, 0.8))
        drawn = torch.distributions.MultivariateNormal(mean, covariance(size, sigma, rho))
        source.sample = drawn.sample  # type: ignore[method-assign]
        if log_det is None:
            return ForeignDensity(source, spec=spec, kind="density")
        return ForeignDensity(
            source,
            spec=spec,
            kind="density",
            to_input=lambda x: 2 * x,
            from_output=lambda y: y / 2,
            log_det=log_det * size,
        )

    return build


def outcomes(build: Build, spec: EventSpec) -> dict[str, set[str]]:
    """Check to the statuses that it had somewhere."""
    found: dict[str, set[str]] = {}
    for result in check_foreign(build(spec), build):
        assert isinstance(result, Result)
        assert (result.message == "") == (result.status == "passed") or result.check == "influence"
        found.setdefault(result.check, set()).add(result.status)
    return found


@pytest.mark.parametrize("spec", [BITS, WORDS], ids=["bits", "words"])
def test_a_right_discrete_density_passes_all_that_apply(spec: EventSpec) -> None:
    found = outcomes(of(Symbols), spec)
    assert found.pop("scale") == found.pop("scored") == {"not applicable"}
    assert set(map(frozenset, found.values())) == {frozenset({"passed"})}


@pytest.mark.parametrize("build", [normal(), normal(log_det=math.log(2))], ids=["as is", "scaled"])
def test_a_right_real_density_passes_all(build: Build) -> None:
    found = outcomes(build, REALS)
    assert found.pop("scored") == {"not applicable"}
    assert set(map(frozenset, found.values())) == {frozenset({"passed"})}


def test_dims_of_a_chain_depend_on_their_neighbours_alone() -> None:
    """A normal's second difference is `-P_ij d_i d_j`, P the inverse of its covariance."""
    pairs = pairs_of_dims(6)
    found = interactions(normal()(REALS), pairs)
    assert torch.equal(found > 0, pairs[:, 1] - pairs[:, 0] == 1)
    note = describe_interactions(normal()(REALS))
    assert note.startswith("10 of 15 pairs of dims (67%)")


def test_every_dim_of_a_full_network_depends_on_every_other() -> None:
    assert describe_interactions(of(Symbols)(WORDS)) == ""
    assert describe_interactions(of(Symbols)(BITS)) == ""


def test_pairs_of_a_large_event_are_drawn_alike_and_apart() -> None:
    pairs = pairs_of_dims(10_000)
    assert torch.equal(pairs, pairs_of_dims(10_000))
    assert bool((pairs[:, 0] < pairs[:, 1]).all())
    assert pairs.max() < 10_000


@pytest.mark.parametrize(
    ("build", "spec", "checks"),
    [
        (of(Unnormalised), WORDS, {"normalisation", "samples_fit", "samples_follow"}),
        (of(WarmSamples), WORDS, {"samples_fit", "samples_follow"}),
        (of(ShiftedSamples), WORDS, {"samples_fit", "samples_follow"}),
        (of(RandomNumbers), WORDS, {"repeatable"}),
        (of(BatchNormalised), WORDS, {"batches"}),
        (of(OwnGenerator), WORDS, {"samples_repeat"}),
        (of(Frozen), WORDS, {"samples_repeat"}),
        (normal(sigma=0.8), REALS, {"samples_fit", "samples_follow"}),
        (normal(rho=0.5), REALS, {"samples_fit", "samples_follow"}),
        (normal(log_det=0.0), REALS, {"scale", "normalisation"}),
    ],
    ids=[
        "unnormalised",
        "warm",
        "shifted",
        "random",
        "batch",
        "own-generator",
        "frozen",
        "wide",
        "less-correlated",
        "no-scale",
    ],
)
def test_a_mistake_fails_the_check_that_is_meant_for_it(
    build: Build, spec: EventSpec, checks: set[str]
) -> None:
    found = outcomes(build, spec)
    assert checks <= {check for check, statuses in found.items() if "failed" in statuses}


def test_a_bound_may_be_random_and_below_but_not_above() -> None:
    below = of(Unnormalised, kind="bound")
    assert "failed" in outcomes(below, WORDS)["normalisation"]  # a power below 1 lies above

    class Below(Symbols):
        def log_prob(self, x: Tensor) -> Tensor:
            return super().log_prob(x) - 0.3

    class Random(Symbols):
        def log_prob(self, x: Tensor) -> Tensor:
            return super().log_prob(x) - torch.rand(len(x))

    found = outcomes(of(Below, kind="bound"), WORDS)
    assert found["normalisation"] == found["repeatable"] == {"passed"}
    assert found["samples_fit"] == {"not applicable"}
    found = outcomes(of(Random, kind="bound"), WORDS)
    assert found["normalisation"] == found["repeatable"] == found["batches"] == {"not applicable"}


def test_without_a_factory_normalisation_cannot_be_checked() -> None:
    results = {r.check: r for r in check_foreign(of(Symbols)(WORDS))}
    assert results["normalisation"].status == "not applicable"
    assert "no `build`" in results["normalisation"].message


def test_a_factory_may_refuse_events_and_a_crash_is_a_failure() -> None:
    def picky(spec: EventSpec) -> ForeignDensity:
        if spec.shape == (1, 2, 3):
            return of(Symbols)(spec)
        if spec.shape[0] == 3:
            raise ValueError("no colours")
        raise RuntimeError("out of ideas")

    found = [r for r in check_foreign(of(Symbols)(BITS), picky) if r.check == "normalisation"]
    assert {r.subject: r.status for r in found} == {
        "binary-2x3": "passed",
        "binary-3x3": "failed",
        "colour-1x2": "not applicable",
    }
    assert any("RuntimeError: out of ideas" in r.message for r in found)


def test_the_balance_of_moves_is_not_tested_where_no_move_is_likely() -> None:
    class Certain:
        def log_prob(self, x: Tensor) -> Tensor:
            return torch.where(x.flatten(1).any(1), -math.inf, 0.0)

        def sample(self, n: int) -> Tensor:
            return torch.zeros(n, 12)

    density = ForeignDensity(Certain(), spec=WORDS, kind="exact")
    with pytest.raises(NotApplicableError, match="next to never likely"):
        check_samples_fit(density)


def test_a_sample_without_probability_is_a_mistake() -> None:
    class Impossible(Symbols):
        def log_prob(self, x: Tensor) -> Tensor:
            return torch.full((len(x),), -math.inf)

    with pytest.raises(ConformanceError, match="no probability to a sample"):
        check_samples_fit(of(Impossible)(WORDS))
