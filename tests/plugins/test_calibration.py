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
from torch import Tensor

from arbench import (
    ConfigError,
    Density,
    Discrete,
    Diverged,
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
    calibration_error,
    equal_width,
)
from arbench_calibration.frequencies import Frequencies
from arbench_calibration.groups import Groups
from arbench_calibration.measurement import Calibration
from arbench_calibration.places import Places
from arbench_calibration.temperature import Kept, best_temperature, gains

figures = pytest.importorskip("matplotlib.figure")
test_conformance = conformance("calibration")


def part_of(split: Split, most: int) -> Split:
    """The events that the measurement looks at."""
    return split.take(split.spread(most))


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
    found = measured(told_of(task), task, tmp_path, num_events=3000)
    rows, temperature = rows_of(found), found.details["temperature"]
    assert found.values["dims"].tolist() == [12] * 3000
    chance = rows["by chance if calibrated"].value
    assert 0.4 * chance < found.number.value < 1.9 * chance
    assert rows["transform is uniform"].value > 0.01
    assert abs(temperature["value"] - 1) < 3 * temperature["error"] < 0.1
    gain = rows["gain by"]
    assert abs(gain.value) < 3 * gain.error
    assert rows["transform from uniform"].value < 1.6 / np.sqrt(3000 * 12)


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
    test = part_of(task.load("test"), 2000).events
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
    ordered = np.sort(predictions(name, dataset.split("validation"))[0])
    quantiles = ordered[np.arange(1, 10) * len(ordered) // 10]
    even = by_hand(predicted, happened, np.concatenate(([-1], quantiles, [2])))
    assert rows_of(found)["bins of equal mass"].value == pytest.approx(even, rel=1e-9)


def test_errors_of_further_rows_are_those_of_the_first(tmp_path: Path) -> None:
    """With the same edges both bins are one, and so are their errors over pairs of words."""
    offer = OFFERS["pairs-of-words"]
    found = measured(offer.density(("conditionals",)), offer.dataset().task, tmp_path)
    groups = Groups(offer.dataset().split("test"))
    assert groups.count == 30
    gaps = torch.stack([v for name, v in found.values.items() if name != "dims"], 1)
    again = calibration_error(groups.resampled(gaps), groups.resampled(found.values["dims"]))
    assert found.number.error == pytest.approx(groups.error(again), rel=1e-9)


def test_events_that_depend_on_each_other_are_named(tmp_path: Path) -> None:
    """Pairs of words, and a few windows of a stream in a row; of a whole split the core knows."""

    def groups_of(name: str, num_events: int) -> list[int] | None:
        offer = OFFERS[name]
        density, task = offer.density(("conditionals",)), offer.dataset().task
        found = measured(density, task, tmp_path, num_events=num_events)
        known, first = (part_of(task.load(part), num_events) for part in ("validation", "test"))
        pooled = Frequencies(task.spec, known, pooled=True)
        expected = pooled.calibration_error(first, equal_width(15))
        is_pooled = found.baselines[0].value == expected
        assert is_pooled == (name == "stream-8")
        return None if found.groups is None else found.groups.tolist()

    assert groups_of("binary-3x3", 60) is None
    spaced = groups_of("pairs-of-words", 45)
    assert spaced is not None
    words = len(OFFERS["pairs-of-words"].dataset().split("test"))
    assert spaced == [number * words // 45 // 2 for number in range(45)]
    assert groups_of("stream-8", 50) == [number // 8 for number in range(50)]
    assert groups_of("stream-8", 500) is None


def test_the_baseline_is_how_often_values_occur() -> None:
    """Words of five letters that end: letters after the end count nowhere."""
    split = OFFERS["pairs-of-words"].dataset().split("validation")
    spec = OFFERS["pairs-of-words"].dataset().task.spec
    assert split.scored is not None
    shares = torch.zeros(6, 5)
    for event, scored in zip(split.events, split.scored, strict=True):
        for place in range(int(scored.sum())):
            shares[place, event[place]] += 1
    expected = (shares + 1) / (shares + 1).sum(1, keepdim=True)
    found = Frequencies(spec, split, pooled=False)
    np.testing.assert_allclose(found.log_probs.exp(), expected, rtol=1e-6)
    top, letters = expected.max(1)
    hits = (split.events == letters)[split.scored].double().numpy()
    said = top.expand(len(split), -1)[split.scored].double().numpy()
    edges = np.append(-1, np.arange(1, 16) / 15)
    error = found.calibration_error(split, equal_width(15))
    assert error == pytest.approx(by_hand(said, hits, edges), rel=1e-5)
    pooled = Frequencies(spec, split, pooled=True).log_probs.exp()
    np.testing.assert_allclose(pooled, ((shares.sum(0) + 1) / (shares.sum() + 5)).expand(6, -1))


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


def test_an_event_that_was_impossible_is_named(tmp_path: Path) -> None:
    task = Chain(3)
    wrong = task.load("test").events[7, 3].item()

    def tell(events: Tensor) -> Tensor:
        found = task.log_probs(events)
        if torch.equal(events[7], task.load("test").events[7]):
            found[7, 3, int(wrong)] = -torch.inf
        return found.log_softmax(-1)

    density: Any = Told(task.spec, tell)
    with pytest.raises(Diverged, match="event 7 of test has a value of probability 0"):
        measured(density, task, tmp_path, num_events=3000)


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
    assert (found.index, found.num_values) == ("200 of test", 200)
    opened = open_run("mnist-mini/nade")
    events = opened.dataset().split("test").events[::5]
    ones = opened.density.conditionals(events)[..., 1].exp().flatten().numpy()
    edges = np.append(-1, np.arange(1, 16) / 15)
    expected = by_hand(ones, events.flatten().double().numpy(), edges)
    assert found.rows[0].value == pytest.approx(expected, rel=1e-9)
    assert 0 < found.rows[0].error < 0.2 * found.rows[0].value
    assert found.details["predicts"] == "probability of 1"
    rows = opened.density.conditionals(events)[:, 0, :, :, 1].exp().sum((0, 2))
    by_place = found.details["by_place"]
    assert (by_place["row"], by_place["num_dims"]) == ([*range(28)], [200 * 28] * 28)
    np.testing.assert_allclose(by_place["predicted"], rows, rtol=1e-9)
    assert by_place["happened"] == events.double().sum((0, 1, 3)).tolist()
    assert sum(found.details["transform_counts"]) == 200 * 784
    names = {Path(picture).name for picture in found.pictures}
    assert names == {
        f"{name}.{kind}"
        for name in ("reliability", "transform", "places")
        for kind in ("png", "svg")
    }
    assert all((run / picture).stat().st_size > 5000 for picture in found.pictures)


@pytest.mark.slow
@pytest.mark.usefixtures("data_dir")
@pytest.mark.parametrize(
    ("name", "error", "temperature"),
    [("mnist/nade", 0.0019, 1.0032), ("mnist/fvsbn", 0.0070, 1.0003), ("names/lstm", 0.034, 1.076)],
)
def test_the_numbers_of_the_readme(
    name: str, error: float, temperature: float, tmp_path: Path
) -> None:
    run = copy_run(open_run(name).folder, tmp_path / "run")
    found = measure_run(run, "calibration", device="cpu").measurements["calibration"]
    print(name, found.rows[0], found.details["temperature"])
    assert found.rows[0].value == pytest.approx(error, rel=0.03)
    assert found.details["temperature"]["value"] == pytest.approx(temperature, abs=1e-3)
