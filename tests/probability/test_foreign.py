"""The adapter: what is converted is stated, what is wrong is refused, and nothing is guessed."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor, nn

from arbench.errors import ConfigError, PluginError
from arbench.probability.density import Density
from arbench.probability.events import Discrete, EventSpec, Real
from arbench.probability.foreign import ForeignDensity

BITS = EventSpec((1, 2, 3), Discrete(2))
LEVELS = EventSpec((4,), Discrete(256))
REALS = EventSpec((5,), Real())


class Coins:
    """Independent bits, 1 with probability 0.7; float pixels in a row, as many models want them."""

    def __init__(self) -> None:
        self.seen: list[Tensor] = []

    def log_prob(self, x: Tensor) -> Any:
        self.seen.append(x)
        return torch.where(x > 0, math.log(0.7), math.log(0.3)).sum(1)

    def sample(self, n: int) -> Any:
        return (torch.rand(n, 6) < 0.7).float()


class Sequences:
    """Counts scored dims, each worth 1 nat; draws from the generator that it is given."""

    def log_prob(self, x: Tensor, scored: Tensor | None = None) -> Tensor:
        counted = torch.ones_like(x) if scored is None else scored
        return -counted.double().flatten(1).sum(1)

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        return torch.randint(256, (n, 4), generator=generator)


def coins(**options: Any) -> ForeignDensity:
    convert = {
        "to_input": lambda x: x.flatten(1).float(),
        "from_output": lambda y: y.view(-1, 1, 2, 3),
    }
    return ForeignDensity(Coins(), **{"spec": BITS, "kind": "exact", **convert, **options})


def returning(result: Callable[[Tensor], Any], spec: EventSpec = BITS, **options: Any) -> Any:
    """A density whose object returns whatever one likes."""
    source = Coins()
    source.log_prob = result  # type: ignore[method-assign]
    return ForeignDensity(source, **{"spec": spec, "kind": "exact", **options})


def test_it_is_a_density() -> None:
    density = coins()
    assert isinstance(density, Density)
    assert (density.kind, density.spec, density.samplers) == ("exact", BITS, ("own",))
    assert density.num_parameters is None
    assert density.excerpt("own", 64) is None


def test_events_go_in_and_out_through_the_functions_given() -> None:
    density = coins()
    events = torch.tensor([0, 1, 1, 1, 0, 1], dtype=torch.uint8).view(1, 1, 2, 3)
    log_probs = density.log_prob(events)
    assert log_probs.dtype == torch.float64
    assert log_probs.item() == pytest.approx(4 * math.log(0.7) + 2 * math.log(0.3))
    assert density.source.seen[0].shape == (1, 6)
    drawn = density.sample(10)
    assert drawn.shape == (10, 1, 2, 3)
    assert drawn.dtype == torch.int64


def test_discrete_events_are_int64_and_real_ones_what_they_were() -> None:
    seen: list[Tensor] = []

    def watch(x: Tensor) -> Tensor:
        seen.append(x)
        return torch.zeros(len(x))

    returning(watch).log_prob(torch.zeros(2, 1, 2, 3, dtype=torch.uint8))
    returning(watch, REALS, kind="density").log_prob(torch.zeros(2, 5, dtype=torch.float32))
    assert [x.dtype for x in seen] == [torch.int64, torch.float32]


@pytest.mark.parametrize(
    ("spec", "events"),
    [(REALS, torch.zeros(2, 5)), (BITS, torch.ones(2, 1, 2, 3, dtype=torch.int64))],
    ids=["real", "int64"],
)
def test_a_source_that_changes_what_it_is_given_changes_no_data(
    spec: EventSpec, events: Tensor
) -> None:
    before = events.clone()
    scored = torch.ones_like(events, dtype=torch.bool)

    def moving(x: Tensor, scored: Tensor) -> Tensor:
        x -= 1
        scored.logical_not_()
        return torch.zeros(len(x))

    returning(moving, spec, kind="density" if spec is REALS else "exact").log_prob(events, scored)
    assert torch.equal(events, before)
    assert bool(scored.all())


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (lambda x: torch.zeros(len(x), 1), r"shape \(3, 1\), expected \(3,\)"),
        (lambda x: torch.tensor(0.0), r"shape \(\), expected \(3,\)"),
        (lambda x: torch.zeros(len(x)).bfloat16(), "bfloat16, expected float32 or float64"),
        (lambda x: torch.zeros(len(x)).long(), "int64, expected float32 or float64"),
        (lambda x: torch.tensor([0.0, math.nan, 0.0]), "nan nats for event 1"),
        (lambda x: torch.tensor([0.0, 0.0, math.inf]), "inf nats for event 2"),
        (lambda x: torch.tensor([-1.0, 0.5, 0.0]), "0.5 nats for event 1.*no probability is above"),
    ],
)
def test_what_no_log_probability_can_be_is_refused(
    result: Callable[[Tensor], Any], message: str
) -> None:
    with pytest.raises(PluginError, match=message):
        returning(result).log_prob(torch.zeros(3, 1, 2, 3))


def test_a_density_may_be_above_1_and_a_probability_may_be_0() -> None:
    high = returning(lambda x: torch.full((len(x),), 40.0), REALS, kind="density")
    assert high.log_prob(torch.zeros(2, 5)).tolist() == [40.0, 40.0]
    never = returning(lambda x: torch.full((len(x),), -math.inf))
    assert never.log_prob(torch.zeros(1, 1, 2, 3)).item() == -math.inf


@pytest.mark.parametrize(
    ("spec", "options", "message"),
    [
        (REALS, {"kind": "exact"}, "real events have a density"),
        (LEVELS, {"kind": "density"}, "say dequantisation='uniform'"),
        (LEVELS, {"kind": "exact", "dequantisation": "uniform"}, "density of discrete events"),
        (REALS, {"kind": "density", "dequantisation": "uniform"}, "density of discrete events"),
        (LEVELS, {"kind": "density", "dequantisation": "gaussian"}, "'uniform' or None"),
        (LEVELS, {"kind": "likelihood"}, "exact, density or bound"),
        (REALS, {"kind": "density", "to_input": torch.tanh}, "state log_det"),
        (REALS, {"kind": "bound", "to_input": torch.tanh}, "state log_det"),
        (LEVELS, {"kind": "exact", "log_det": 0.0}, "give no log_det"),
    ],
)
def test_parts_that_contradict_each_other_are_refused(
    spec: EventSpec, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        ForeignDensity(Coins(), spec=spec, **options)


def test_an_object_without_log_prob_or_sample_is_refused() -> None:
    with pytest.raises(ConfigError, match="Linear has no log_prob"):
        ForeignDensity(nn.Linear(2, 2), spec=REALS, kind="density")


def test_unscored_dims_reach_the_object_or_are_refused() -> None:
    events, scored = torch.zeros(2, 4), torch.tensor([[True] * 4, [True, False, False, False]])
    density = ForeignDensity(Sequences(), spec=LEVELS, kind="exact")
    assert density.log_prob(events, scored).tolist() == [-4.0, -1.0]
    assert density.log_prob(events).tolist() == [-4.0, -4.0]
    deaf = returning(lambda x: torch.zeros(len(x)), LEVELS)
    assert deaf.log_prob(events, torch.ones_like(scored)).tolist() == [0.0, 0.0]
    with pytest.raises(PluginError, match="second parameter `scored`"):
        deaf.log_prob(events, scored)


def test_a_change_of_scale_is_a_change_of_density() -> None:
    """A standard normal behind `x -> 3 x` is a normal of scale 1/3: 5 log 3 nats more."""
    normal = torch.distributions.Independent(torch.distributions.Normal(torch.zeros(5), 1.0), 1)
    density = ForeignDensity(
        normal,
        spec=REALS,
        kind="density",
        to_input=lambda x: 3 * x,
        from_output=lambda y: y / 3,
        log_det=5 * math.log(3),
    )
    x = torch.randn(7, 5)
    expected = torch.distributions.Normal(0.0, 1 / 3).log_prob(x).sum(1)
    torch.testing.assert_close(density.log_prob(x), expected.double(), rtol=1e-6, atol=1e-6)
    assert density.sample(4000).std().item() == pytest.approx(1 / 3, rel=0.05)


def test_a_density_of_dequantised_events_is_a_bound() -> None:
    """The uniform density on [0, 4) gives each of 4 values probability 1/4, whatever the noise."""
    spec = EventSpec((2,), Discrete(4))
    uniform = torch.distributions.Independent(torch.distributions.Uniform(torch.zeros(2), 4.0), 1)
    density = ForeignDensity(
        uniform,
        spec=spec,
        kind="density",
        dequantisation="uniform",
        from_output=torch.floor,
    )
    assert density.kind == "bound"
    events = torch.tensor([[0, 3], [3, 3], [1, 2]])
    torch.testing.assert_close(
        density.log_prob(events), torch.full((3,), -2 * math.log(4)).double()
    )
    assert sorted(density.sample(200).unique().tolist()) == [0, 1, 2, 3]


def test_a_bound_by_dequantisation_lies_below_the_probability_of_the_bin() -> None:
    """Of a normal, whose bins are differences of its distribution function (Theis et al.)."""
    spec = EventSpec((1,), Discrete(8))
    normal = torch.distributions.Independent(
        torch.distributions.Normal(torch.tensor([4.0]), 1.0), 1
    )
    density = ForeignDensity(normal, spec=spec, kind="density", dequantisation="uniform")
    bins = torch.arange(8.0)
    exact = (normal.base_dist.cdf(bins + 1) - normal.base_dist.cdf(bins)).log().double()
    means = torch.stack([density.log_prob(bins.view(8, 1)) for _ in range(4000)]).mean(0)
    assert bool((means < exact).all())
    assert (exact - means)[3].item() == pytest.approx(exact[3].item() + 1.0855, abs=0.02)


def test_an_object_may_speak_numpy() -> None:
    class Frozen:
        """A distribution of scipy; it takes float64 and draws from a generator of numpy."""

        normal = stats.multivariate_normal(np.zeros(5), np.eye(5))

        def log_prob(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
            assert x.dtype == np.float64
            return np.asarray(self.normal.logpdf(x))

        def sample(self, n: int, generator: torch.Generator) -> NDArray[np.float64]:
            return self.normal.rvs(n, random_state=generator.initial_seed() % 2**32)

    density = ForeignDensity(
        Frozen(), spec=REALS, kind="density", to_input=lambda x: x.double().numpy(), log_det=0.0
    )
    x = torch.randn(4, 5)
    expected = torch.distributions.Normal(0.0, 1.0).log_prob(x.double()).sum(1)
    torch.testing.assert_close(density.log_prob(x), expected)
    first, second = (density.sample(3, generator=torch.Generator().manual_seed(1)) for _ in "ab")
    assert torch.equal(first, second)


def test_samples_depend_on_the_generator_alone_and_leave_the_global_one_be() -> None:
    for density in (coins(), ForeignDensity(Sequences(), spec=LEVELS, kind="exact")):
        state = torch.get_rng_state()
        first, second, other = (
            density.sample(50, generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
        )
        assert torch.equal(first, second)
        assert not torch.equal(first, other)
        assert torch.equal(state, torch.get_rng_state())


def test_samples_that_are_no_events_are_refused() -> None:
    with pytest.raises(PluginError, match=r"expected events of shape.*give a from_output"):
        coins(from_output=None).sample(3)
    with pytest.raises(PluginError, match="found 0.5, expected integers.*give a from_output"):
        coins(from_output=lambda y: torch.full((len(y), 1, 2, 3), 0.5)).sample(3)
    with pytest.raises(PluginError, match="returned 2 events, not 3"):
        coins(from_output=lambda y: y[:2].view(-1, 1, 2, 3)).sample(3)


def test_it_completes_nothing_and_has_one_sampler() -> None:
    with pytest.raises(ValueError, match="completes none"):
        coins().sample(1, given=torch.zeros(1, 2, 3), known=torch.ones(1, 2, 3))
    with pytest.raises(ValueError, match="only its own sampler"):
        coins().sample(1, method="step")


def test_a_module_is_put_in_evaluation_mode_and_counted() -> None:
    class Noisy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(3, dtype=torch.float64))

        def log_prob(self, x: Tensor) -> Tensor:
            return nn.functional.dropout(x.double(), 0.5, self.training).sum(1) - 100

        def sample(self, n: int) -> Tensor:
            return torch.zeros(n, 5)

    module = Noisy().train()
    density = ForeignDensity(module, spec=REALS, kind="density")
    assert density.log_prob(torch.ones(1, 5)).item() == -95
    assert module.training
    assert (density.num_parameters, density.dtype) == (3, torch.float64)
