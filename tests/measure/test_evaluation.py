"""Evaluation: batches that fit in memory, however long the events, and every event in its place."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import arbench
from arbench.data.dataset import Dataset
from arbench.data.tasks import Split, SplitName, Task, open_task
from arbench.errors import DataError, Diverged
from arbench.measure.likelihood import SplitRecord, evaluate_log_probs
from arbench.measure.statistics.paired import FEWEST_GROUPS, paired_difference
from arbench.measure.truth import compare_with_truth
from arbench.probability.density import Density
from arbench.probability.events import Discrete, EventSpec
from arbench.show.record_tables import likelihood_cells
from arbench_toys.markov import MarkovChain


class Numbering:
    """Says of every event what its first dim holds, and remembers how many came at once."""

    def __init__(self, spec: EventSpec) -> None:
        self.spec = spec
        self.batch_sizes: list[int] = []

    def log_prob(self, events: Tensor, scored: Tensor | None = None) -> Tensor:
        self.batch_sizes.append(len(events))
        return events[:, 0].double()


@pytest.mark.parametrize(
    ("num_dims", "num_values", "expected"),
    [
        (784, 2, [200, 200, 30]),
        (2048, 2, [128, 128, 128, 46]),
        (1 << 17, 2, [2] * 215),
        (784, 256, [20] * 21 + [10]),  # a softmax makes 256 numbers of each dim
        (1 << 17, 256, [1] * 430),
    ],
)
def test_long_events_come_in_small_batches(
    num_dims: int, num_values: int, expected: list[int]
) -> None:
    spec = EventSpec((num_dims,), Discrete(num_values))
    density: Density = Numbering(spec)  # type: ignore[assignment]
    events = torch.arange(430, dtype=torch.int16).unsqueeze(1).expand(-1, num_dims)
    log_probs = evaluate_log_probs(density, Split(events))
    assert density.batch_sizes == expected  # type: ignore[attr-defined]
    assert torch.equal(log_probs, torch.arange(430, dtype=torch.float64))


class Sitewise(Numbering, torch.nn.Module):
    """The same, as a module on the CPU whose part keeps many units of each site."""

    def __init__(self, spec: EventSpec, units: int) -> None:
        torch.nn.Module.__init__(self)
        Numbering.__init__(self, spec)
        self.device = torch.device("cpu")
        self.part = torch.nn.Module()
        self.part.units_per_site = units


@pytest.mark.parametrize(("units", "expected"), [(1, [200, 100]), (32, [20] * 15), (1 << 20, [1])])
def test_as_many_events_as_a_cache_holds_the_units_of(units: int, expected: list[int]) -> None:
    density = Sitewise(EventSpec((784,), Discrete(2)), units)
    num_events = sum(expected)
    events = torch.arange(num_events, dtype=torch.int16).unsqueeze(1).expand(-1, 784)
    log_probs = evaluate_log_probs(density, Split(events))  # type: ignore[arg-type]
    assert density.batch_sizes == expected
    assert torch.equal(log_probs, torch.arange(num_events, dtype=torch.float64))


class Threes(Task):
    """Says that its dims are bits, and is made of threes."""

    name, version, unit, source = "threes", "1", "dim", "nowhere"
    spec = EventSpec((2,), Discrete(2))

    def load(self, split: SplitName) -> Split:
        return Split(torch.full((5, 2), 3))


class Resampled(Threes):
    """The same, but that training draws its bits."""

    def training_view(self, events: Tensor, generator: torch.Generator) -> Tensor:
        return torch.randint(2, events.shape, generator=generator)


@pytest.mark.parametrize("name", ["train", "validation", "test"])
def test_a_split_that_breaks_its_task_is_not_loaded(name: SplitName) -> None:
    with pytest.raises(DataError, match=f"threes, {name}: .*does not keep its own spec"):
        Dataset(Threes()).split(name)


def test_what_training_resamples_is_not_checked_before() -> None:
    assert len(Dataset(Resampled(), limit=4).split("train")) == 4
    with pytest.raises(DataError, match="does not keep its own spec"):
        Dataset(Resampled()).split("test")


def test_no_events_have_no_likelihood() -> None:
    with pytest.raises(DataError, match="mnist-mini: its test split is empty"):
        arbench.evaluate("mnist-mini/nade", limit=0)


@pytest.mark.parametrize("unit", ["pixel", "char"])
def test_of_one_event_nobody_knows_the_error(unit: str) -> None:
    one, two = (arbench.evaluate("mnist-mini/nade", limit=n, device="cpu") for n in (1, 2))
    assert one.standard_error_nats is None
    assert one.standard_error_bits_per_dim is None
    assert not any("±" in cell for cell in likelihood_cells(one.model_dump(), unit))
    assert ["±" in cell for cell in likelihood_cells(two.model_dump(), unit)][:2] == [True, True]
    assert SplitRecord.model_validate_json(one.model_dump_json()) == one


def test_on_a_few_events_another_density_may_beat_the_true_one_by_luck() -> None:
    task = open_task("toy-markov")
    two = task.load("test").first(2)
    chain = MarkovChain(32, on=0.05, off=0.1)  # normalised, and not the task's
    log_probs = torch.from_numpy(chain.log_prob(two.events.numpy()))
    assert paired_difference(task.true_log_prob(two.events), log_probs).z < -4
    truth = compare_with_truth("chain", task, two, log_probs)
    assert truth is not None
    assert truth.gap_nats_per_event < 0


def test_on_enough_events_nothing_beats_the_true_density() -> None:
    task = open_task("toy-markov")
    enough = task.load("test").first(FEWEST_GROUPS)
    log_probs = task.true_log_prob(enough.events) / 2
    with pytest.raises(Diverged, match="standard errors: impossible"):
        compare_with_truth("half", task, enough, log_probs)
