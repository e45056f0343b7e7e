"""Calibration: against sums by hand, on data of known probabilities, of trained models."""

from __future__ import annotations

import contextlib
import copy
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import optimize, stats
from torch import Tensor

from arbench import (
    ConfigError,
    Density,
    Discrete,
    Ensemble,
    EventSpec,
    Layout,
    Measured,
    Split,
    SplitName,
    Task,
    open_run,
)
from arbench.api import measure_run
from arbench.data.dataset import Dataset
from arbench.hub.snapshots import copy_run
from arbench.measure.asking import Measuring
from arbench.measure.opening import open_measurement
from arbench.testing import conformance
from arbench.testing.offers import OFFERS
from arbench_calibration import charts
from arbench_calibration.bins import (
    BinSums,
    calibration_error,
    equal_mass,
    equal_width,
    error_by_chance,
)
from arbench_calibration.groups import Groups
from arbench_calibration.measurement import Calibration
from arbench_calibration.places import Places
from arbench_calibration.temperature import Kept, best_temperature, gains
from arbench_calibration.transform import furthest, transformed, uniform_test

figures = pytest.importorskip("matplotlib.figure")
test_conformance = conformance("calibration")


@pytest.fixture
def ink() -> None:
    """Charts are drawn; see `no_ink`."""


@pytest.fixture(autouse=True)
def no_ink(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Charts are composed and not drawn, which takes most of the time; but with `ink`."""

    @contextlib.contextmanager
    def composed(path: Path, **size: float) -> Iterator[Any]:
        yield figures.Figure()
        for file in charts.chart_files(path):
            file.touch()

    if "ink" not in request.fixturenames:
        monkeypatch.setattr(charts, "drawn_chart", composed)


# A chain whose true probabilities are known.


class Chain(Task):
    """Values that depend on the one before; they are drawn from what `log_probs` says.

    Args:
        size: K.
        num_dims: of an event.
    """

    name = "chain"
    version = "1"
    num_events = 3000

    def __init__(self, size: int = 2, num_dims: int = 12) -> None:
        self.spec = EventSpec((num_dims,), Discrete(size))
        generator = torch.Generator().manual_seed(size)
        self.table = torch.randn(size, size, generator=generator, dtype=torch.float64) * 1.5

    def log_probs(self, events: Tensor) -> Tensor:
        """Of all values of every dim, `(B, D, K)` nats."""
        before = torch.nn.functional.pad(events.long(), (1, 0))[:, :-1]
        return self.table[before].log_softmax(-1)

    def load(self, split: SplitName) -> Split:
        """See `Task.load`."""
        seed = ("train", "validation", "test").index(split)
        generator = torch.Generator().manual_seed(10 + seed)
        events = torch.zeros(self.num_events, *self.spec.shape, dtype=torch.uint8)
        for dim in range(self.spec.num_dims):
            probs = self.log_probs(events)[:, dim].exp()
            events[:, dim] = torch.multinomial(probs, 1, generator=generator)[:, 0].byte()
        return Split(events)


class Told:
    """A density with these conditionals; it is asked for nothing else."""

    kind = "exact"
    samplers = ()
    device = torch.device("cpu")
    dtype = torch.float64

    def __init__(self, spec: EventSpec, tell: Callable[[Tensor], Tensor]) -> None:
        self.spec, self.tell = spec, tell

    def conditionals(self, events: Tensor, scored: Tensor | None = None) -> Tensor:
        """See `Conditionals`."""
        return self.tell(events)


def told_of(task: Chain, sharpened: float = 1.0) -> Any:
    """The true probabilities of a chain, raised to a power and normalised."""
    return Told(task.spec, lambda e: (sharpened * task.log_probs(e)).log_softmax(-1))


def measured(density: Density, task: Task, folder: Path, **settings: Any) -> Measured:
    """What the measurement answers."""
    asking = Measuring(density, Dataset(task), "the density", seed=0, folder=folder, cache=None)
    return asking.ask(Calibration(**settings))[1]


def rows_of(found: Measured) -> dict[str, Any]:
    """Rows by the first word of their case."""
    return {row.case.split(" temp")[0]: row for row in found.rows}


@pytest.mark.parametrize("size", [2, 5])
def test_true_probabilities_are_calibrated(size: int, tmp_path: Path) -> None:
    task = Chain(size)
    found = measured(told_of(task), task, tmp_path)
    rows, temperature = rows_of(found), found.details["temperature"]
    chance = rows["by chance if calibrated"].value
    assert 0.4 * chance < found.number.value < 1.9 * chance
    assert rows["transform is uniform"].value > 0.01
    assert abs(temperature["value"] - 1) < 3 * temperature["error"] < 0.1
    gain = rows["gain by"]
    assert abs(gain.value) < 3 * gain.error
    assert rows["transform from uniform"].value < 1.6 / np.sqrt(2000 * 12)


@pytest.mark.parametrize(("size", "power"), [(2, 1.5), (5, 0.5)])
def test_a_wrong_sharpness_is_found_and_its_price(size: int, power: float, tmp_path: Path) -> None:
    """Divided by the temperature found, the sharpened probabilities are the true ones again."""
    task = Chain(size)
    right = measured(told_of(task), task, tmp_path)
    wrong = measured(told_of(task, power), task, tmp_path)
    before, after = (each.details["temperature"]["value"] for each in (right, wrong))
    assert after / before == pytest.approx(power, rel=1e-6)
    assert abs(after - power) < 3 * wrong.details["temperature"]["error"]
    rows = rows_of(wrong)
    assert wrong.number.value > 10 * rows["by chance if calibrated"].value
    assert rows["transform is uniform"].value < 1e-12
    test = task.load("test").first(2000).events
    own = test.long().unsqueeze(-1)
    true, told = (told_of(task, p).tell(test).gather(-1, own).sum() for p in (1.0, power))
    price = (true - told).item() / np.log(2) / test.numel()
    assert rows["gain by"].value == pytest.approx(price, abs=3e-4)
    assert abs(rows["gain by"].value - price) < 0.1 * price


# Against sums by hand.


def by_hand(predicted: NDArray[Any], happened: NDArray[Any], edges: NDArray[Any]) -> float:
    """Expected calibration error, bin by bin, as in Guo et al., equation 3."""
    total = 0.0
    for low, high in itertools.pairwise(edges):
        inside = (predicted > low) & (predicted <= high)
        if inside.any():
            gap = abs(predicted[inside].mean() - happened[inside].mean())
            total += inside.sum() / len(predicted) * gap
    return total


def predictions(name: str, split: Split) -> tuple[NDArray[Any], NDArray[Any]]:
    """Of all scored dims of a tiny dataset."""
    density = OFFERS[name].density(("conditionals",))
    probs = density.conditionals(split.events).exp()
    values, counted = split.events.long(), torch.ones_like(split.events, dtype=torch.bool)
    probs, values = (
        probs[split.scored if split.scored is not None else counted],
        values[split.scored if split.scored is not None else counted],
    )
    if probs.shape[-1] == 2:
        return probs[:, 1].numpy(), values.double().numpy()
    best = probs.max(-1)
    return best.values.numpy(), (best.indices == values).double().numpy()


@pytest.mark.parametrize("name", ["binary-3x3", "pairs-of-words", "stream-8"])
def test_the_number_is_that_of_all_scored_dims(name: str, tmp_path: Path) -> None:
    dataset = OFFERS[name].dataset()
    found = measured(OFFERS[name].density(("conditionals",)), dataset.task, tmp_path, num_bins=10)
    predicted, happened = predictions(name, dataset.split("test"))
    edges = np.append(np.arange(10) / 10, 1.0)
    edges[0] = -1
    assert found.number.value == pytest.approx(by_hand(predicted, happened, edges), rel=1e-9)
    assert found.details["num_dims"] == len(predicted) == dataset.split("test").num_scored_dims
    ordered = np.sort(predictions(name, dataset.split("validation"))[0].astype(np.float32))
    quantiles = ordered[np.arange(1, 10) * len(ordered) // 10].astype(float)
    quantiles += 1e-6  # they were kept in float32
    even = by_hand(predicted, happened, np.concatenate(([-1], quantiles, [2])))
    assert rows_of(found)["bins of equal mass"].value == pytest.approx(even, rel=0.05)


def test_a_reliability_diagram_is_that_of_scikit_learn() -> None:
    calibration = pytest.importorskip("sklearn.calibration")
    numbers = np.random.default_rng(0)
    predicted = numbers.random(5000)
    happened = (numbers.random(5000) < predicted**1.3).astype(float)
    bins = BinSums(1, equal_width(15))
    zeros = torch.zeros(5000, dtype=torch.int64)
    bins.add(zeros, torch.from_numpy(predicted), torch.from_numpy(happened))
    shares, means = calibration.calibration_curve(happened, predicted, n_bins=15)
    np.testing.assert_allclose((bins.happened / bins.counts)[0], shares, rtol=1e-12)
    np.testing.assert_allclose((bins.predicted / bins.counts)[0], means, rtol=1e-12)


def test_bins_hold_their_upper_edges_and_end_at_0_and_1() -> None:
    bins = BinSums(1, equal_width(4))
    predicted = torch.tensor([0.0, 0.25, 0.2500001, 0.5, 1.0], dtype=torch.float64)
    bins.add(torch.zeros(5, dtype=torch.int64), predicted, torch.zeros(5, dtype=torch.float64))
    assert bins.counts.tolist() == [[2, 2, 0, 1]]


def test_equal_mass_is_equal() -> None:
    predicted = torch.rand(3000, generator=torch.Generator().manual_seed(0)).double() ** 4
    bins = BinSums(1, equal_mass(predicted, 15))
    bins.add(torch.zeros(3000, dtype=torch.int64), predicted, predicted)
    assert (bins.counts - 200).abs().max() <= 1


def test_what_chance_gives_is_the_mean_over_draws() -> None:
    generator = torch.Generator().manual_seed(0)
    found = []
    for _ in range(300):
        predicted = torch.rand(600, generator=generator, dtype=torch.float64) ** 2
        happened = (torch.rand(600, generator=generator) < predicted).double()
        bins = BinSums(1, equal_width(15))
        bins.add(torch.zeros(600, dtype=torch.int64), predicted, happened)
        counts = bins.counts.sum(1)
        found.append(
            (calibration_error(bins.gaps, counts), error_by_chance(bins.variances, counts))
        )
    error, expected = torch.tensor(found).mean(0)
    assert error.item() == pytest.approx(expected.item(), rel=0.03)


def test_errors_of_further_rows_are_those_of_the_first(tmp_path: Path) -> None:
    """With the same edges both bins are one, and so are their errors over pairs of words."""
    offer = OFFERS["pairs-of-words"]
    found = measured(offer.density(("conditionals",)), offer.dataset().task, tmp_path)
    groups = Groups(offer.dataset().split("test"))
    assert groups.count == 30
    gaps = torch.stack([v for name, v in found.values.items() if name != "dims"], 1)
    again = calibration_error(groups.resampled(gaps), groups.resampled(found.values["dims"]))
    assert found.number.error == pytest.approx(groups.error(again), rel=1e-9)


# The transform.


def test_the_transform_lies_between_the_cumulative_probabilities() -> None:
    probs = torch.tensor([[0.2, 0.5, 0.3]], dtype=torch.float64).expand(3000, -1)
    values = torch.arange(3000) % 3
    found = transformed(probs.log(), values, torch.Generator().manual_seed(0))
    for value, (low, high) in enumerate([(0.0, 0.2), (0.2, 0.7), (0.7, 1.0)]):
        own = found[values == value].numpy()
        assert stats.kstest(own, "uniform", (low, high - low)).pvalue > 0.01


def test_the_furthest_is_kolmogorovs_distance() -> None:
    counts = torch.bincount(torch.tensor([0, 1, 1, 3, 3, 3, 3, 9]), minlength=10).double()
    steps = counts.cumsum(0) / 8 - torch.arange(1, 11) / 10
    assert furthest(counts).item() == pytest.approx(steps.abs().max().item())
    assert furthest(torch.ones(4, 10).double()).tolist() == pytest.approx([0] * 4, abs=1e-12)


def test_dependence_within_a_group_makes_no_false_alarm() -> None:
    """All 20 numbers of an event lie in one cell: a chi-square test of all would always reject."""
    generator, found, naive = torch.Generator().manual_seed(0), [], []
    groups = Groups(Split(torch.zeros(150, 1)))
    for _ in range(400):
        cells = torch.randint(100, (150,), generator=generator)
        counts = 20 * torch.nn.functional.one_hot(cells, 100).double()
        test = uniform_test(counts, groups)
        assert test is not None
        found.append(test.p_value)
        naive.append(stats.chisquare(counts.view(150, 10, 10).sum((0, 2))).pvalue)
    assert np.mean(np.array(naive) < 0.05) > 0.9
    assert stats.binomtest(int((np.array(found) < 0.05).sum()), 400, 0.05).pvalue > 0.001
    assert uniform_test(torch.ones(39, 100), Groups(Split(torch.zeros(39, 1)))) is None


# The temperature.


def kept_of(size: int, num_events: int, seed: int = 0) -> tuple[Kept, Groups]:
    """Logits and values that are likelier at another temperature."""
    generator = torch.Generator().manual_seed(seed)
    log_probs = (2 * torch.randn(num_events, size, generator=generator)).log_softmax(-1)
    values = torch.multinomial((log_probs / 1.4).softmax(-1), 1, generator=generator)[:, 0]
    events = torch.arange(num_events) // 4
    return Kept(log_probs, values, events), Groups(Split(torch.zeros(num_events // 4, 1)))


@pytest.mark.parametrize("size", [2, 7])
def test_the_temperature_is_where_scipy_finds_it(size: int) -> None:
    kept, groups = kept_of(size, 4000)

    def nats(temperature: float) -> float:
        scaled = (kept.log_probs.double() / temperature).log_softmax(-1)
        return -scaled.gather(-1, kept.values[:, None]).sum().item()

    found = best_temperature(kept, groups)
    expected = optimize.minimize_scalar(nats, bounds=(0.5, 4), options={"xatol": 1e-9})
    assert found.value == pytest.approx(expected.x, rel=1e-6)
    gained = gains(kept.log_probs.double(), kept.values, found.value).sum().item()
    assert gained == pytest.approx(nats(1.0) - nats(found.value), rel=1e-6)


def test_the_error_of_a_temperature_is_its_spread_over_draws() -> None:
    found = [best_temperature(*kept_of(3, 2000, seed)) for seed in range(60)]
    errors = [each.error for each in found if each.error is not None]
    assert np.mean(errors) == pytest.approx(np.std([each.value for each in found]), rel=0.25)


def test_what_is_always_right_or_always_wrong_has_no_best_temperature() -> None:
    """Then it ends where nothing changes any more, or where the search does."""
    found = []
    for value in (0, 1):
        log_probs = torch.tensor([[0.9, 0.1]]).log().expand(8, -1)
        kept = Kept(log_probs, torch.full((8,), value), torch.arange(8))
        found.append(best_temperature(kept, Groups(Split(torch.zeros(8, 1)))).value)
    assert 0.01 <= found[0] < 0.06
    assert found[1] == pytest.approx(100, rel=1e-6)


def test_impossible_values_are_no_numbers_lost() -> None:
    log_probs = torch.tensor([[0.5, 0.5, 0.0]]).log().expand(8, -1)
    values = torch.arange(8) % 2
    assert gains(log_probs.double(), values, 2.0).abs().max().item() < 1e-7
    task = Chain(3)

    def tell(events: Tensor) -> Tensor:
        found = task.log_probs(events)
        own = torch.nn.functional.one_hot((events.long() + 1) % 3, 3).bool()
        return found.masked_fill(own, -torch.inf).log_softmax(-1)

    density: Any = Told(task.spec, tell)
    kept = Kept.of(density, task.load("validation").first(100))
    assert np.isfinite(best_temperature(kept, Groups(Split(torch.zeros(100, 1)))).value)


# Places, refusals and settings.


def test_pictures_have_rows_and_long_events_a_few_positions() -> None:
    rows = Places.of(EventSpec((3, 4, 5), Discrete(256)))
    assert (rows.name, rows.count) == ("row", 4)
    expected = torch.arange(4)[None, :, None].expand(3, 4, 5).flatten()
    assert torch.equal(rows.of_dim, expected)
    words = Places.of(EventSpec((7,), Discrete(27)))
    assert (words.name, words.of_dim.tolist()) == ("position", list(range(7)))
    long = Places.of(EventSpec((1000,), Discrete(2)))
    assert (long.count, long.firsts[0].item()) == (64, 0)
    assert long.of_dim.diff().unique().tolist() == [0, 1]
    assert long.of_dim[long.firsts].tolist() == list(range(64))
    assert long.of_dim[long.firsts[1:] - 1].tolist() == list(range(63))


def test_only_what_has_conditionals_is_asked() -> None:
    layouts = [Layout.permuted(EventSpec((9,), Discrete(2)), seed) for seed in (1, 2)]
    model = OFFERS["binary-3x3"].density(("conditionals",)).model
    members = [copy.deepcopy(model), copy.deepcopy(model)]
    for member, layout in zip(members, layouts, strict=True):
        member.layout = layout
    ensemble: Any = Ensemble(members)
    asking = Measuring(ensemble, OFFERS["binary-3x3"].dataset(), "it", seed=0, folder=Path())
    said = asking.refusal(Calibration())
    assert said is not None
    assert "needs the distribution of every dim (conditionals)" in said


@pytest.mark.parametrize("settings", ["num_events=0", "num_bins=1", "num_bins=100"])
def test_settings_are_checked(settings: str) -> None:
    with pytest.raises(ConfigError, match=settings.split("=")[0]):
        open_measurement(f"calibration?{settings}")


# Trained models.


@pytest.mark.usefixtures("ink")
def test_a_finished_run_is_measured(tmp_path: Path) -> None:
    run = copy_run(open_run("mnist-mini/nade").folder, tmp_path / "run")
    record = measure_run(run, "calibration?num_events=200", device="cpu")
    found = record.measurements["calibration?num_events=200"]
    assert (found.index, found.num_values) == ("first 200 of test", 200)
    opened = open_run("mnist-mini/nade")
    events = opened.dataset().split("test").events[:200]
    ones = opened.density.conditionals(events)[..., 1].exp().flatten().numpy()
    edges = np.append(-1, np.arange(1, 16) / 15)
    expected = by_hand(ones, events.flatten().double().numpy(), edges)
    assert found.rows[0].value == pytest.approx(expected, rel=1e-9)
    assert 0 < found.rows[0].error < 0.2 * found.rows[0].value
    assert found.details["predicts"] == "probability of 1"
    assert len(found.details["by_place"]["row"]) == 28
    assert sum(found.details["transform_counts"]) == 200 * 784
    names = {Path(picture).name for picture in found.pictures}
    assert names == {
        f"{name}.{kind}"
        for name in ("reliability", "transform", "places")
        for kind in ("png", "svg")
    }
    assert all((run / picture).stat().st_size > 5000 for picture in found.pictures)
