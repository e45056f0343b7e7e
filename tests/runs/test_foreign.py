"""Evaluating a foreign density: the folder, what its record admits, and what is refused."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import arbench
from arbench.boards.results import keep_result, read_results, results_table
from arbench.data.dataset import Dataset
from arbench.errors import CheckpointError, ConfigError, DataError, Diverged, PluginError
from arbench.files.atomic import sha256_of
from arbench.files.tensors import load_tensors
from arbench.probability.events import Discrete, EventSpec
from arbench.runs.comparison import compare_runs
from arbench.runs.record.record import Record

MARKOV = arbench.open_task("toy-markov")


class Bits:
    """Independent bits with a given probability of 1; its log_prob can be told to misbehave."""

    def __init__(self, p: float = 0.25, wrong: Any = None) -> None:
        self.p = p
        self.wrong = wrong or (lambda log_probs: log_probs)

    def log_prob(self, x: Tensor) -> Tensor:
        ones = x.flatten(1).sum(1).double()
        zeros = x[0].numel() - ones
        return self.wrong(ones * math.log(self.p) + zeros * math.log1p(-self.p))

    def sample(self, n: int) -> Tensor:
        return (torch.rand(n, 32) < self.p).long()


def bits(wrong: Any = None, **options: Any) -> arbench.ForeignDensity:
    return arbench.ForeignDensity(
        Bits(wrong=wrong), **{"spec": MARKOV.spec, "kind": "exact", **options}
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "bits"
    return arbench.evaluate_density(bits(), "toy-markov", name="bits", out=out).path


def test_the_number_is_the_mean_over_all_test_events(folder: Path) -> None:
    test = MARKOV.load("test").events
    ones = test.sum().item()
    total = -ones * math.log(0.25) - (test.numel() - ones) * math.log(0.75)
    nll = Record.read(folder / "record.json").splits["test"]
    assert nll.total_nats == pytest.approx(total, rel=1e-12)
    assert (nll.num_events, nll.num_dims, nll.kind) == (4000, 4000 * 32, "exact")
    log_probs = load_tensors(folder / "per_event.safetensors")["likelihood:log_prob"]
    assert -log_probs.sum().item() == pytest.approx(total, rel=1e-12)


def test_the_record_says_that_it_is_self_reported(folder: Path) -> None:
    record = Record.read(folder / "record.json")
    assert record.training is None
    assert record.sha256.weights is None
    assert record.foreign is not None
    assert record.foreign.object.endswith("test_foreign.Bits")
    assert record.result_sha256 == sha256_of(folder / "per_event.safetensors")
    assert record.task.data_sha256 == Dataset(MARKOV).sha256
    assert (record.model.head, record.model.num_parameters) == (None, None)
    assert record.truth is not None
    assert record.truth.gap_nats_per_event > 0
    assert [(row.method, row.batch_size) for row in record.speeds] == [("own", 1), ("own", 64)]
    assert "self-reported" in (folder / "README.md").read_text()
    assert {file.name for file in folder.iterdir()} == {
        ".lock",
        "README.md",
        "per_event.safetensors",
        "record.json",
        "samples.csv",
    }


def test_it_is_compared_with_a_run_event_by_event(folder: Path, tmp_path: Path) -> None:
    run = arbench.run("toy-markov", "bernoulli", device="cpu", out=tmp_path / "run")
    difference = compare_runs(folder, run.path)
    means = [
        Record.read(p / "record.json").splits["test"].nats_per_event for p in (run.path, folder)
    ]
    assert difference.nats == pytest.approx(means[0] - means[1], rel=1e-9)
    assert difference.num_events == 4000


def test_numbers_of_different_kinds_are_not_compared(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "bound"
    arbench.evaluate_density(bits(kind="bound"), "toy-markov", name="bits", out=out)
    with pytest.raises(DataError, match="kind exact.*kind bound: only numbers of one kind"):
        compare_runs(folder, out)


def test_a_kept_result_is_named_by_its_log_probabilities_and_marked(
    folder: Path, tmp_path: Path
) -> None:
    kept = keep_result(folder, tmp_path)
    digest = sha256_of(folder / "per_event.safetensors")
    assert kept == tmp_path / "toy-markov" / f"bits-{digest[:8]}.json"
    assert sha256_of(kept.with_suffix(".safetensors")) == digest
    assert "bits (self-reported exact)" in results_table(read_results(tmp_path))


def test_what_needs_weights_says_that_there_are_none(folder: Path) -> None:
    for use in (arbench.load, arbench.evaluate, arbench.bench, arbench.resume):
        with pytest.raises(CheckpointError, match="a foreign density holds no weights"):
            use(folder)


def test_a_record_has_one_origin(folder: Path) -> None:
    values = Record.read(folder / "record.json").model_dump()
    for wrong in ({"foreign": None}, {"sha256": {"weights": "0" * 64}}):
        with pytest.raises(ValueError, match=r"and not both|its record names some"):
            Record.model_validate({**values, **wrong})


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (lambda x: x.index_fill(0, torch.tensor([1]), math.nan), PluginError, "nan nats for event"),
        (lambda x: x.index_fill(0, torch.tensor([1]), math.inf), PluginError, "inf nats for event"),
        (lambda x: x.index_fill(0, torch.tensor([1]), -math.inf), Diverged, "event 1 has.*-inf"),
        (lambda x: x + torch.randn(len(x)) - 9, PluginError, "only a bound may be random"),
        (lambda x: x - len(x), PluginError, "a batch of another size"),
        (lambda x: x / 2, Diverged, "better than the true density.*impossible"),
    ],
)
def test_a_number_that_cannot_be_trusted_is_refused_and_leaves_nothing(
    tmp_path: Path, wrong: Any, error: type[Exception], message: str
) -> None:
    out = tmp_path / "run"
    with pytest.raises(error, match=message):
        arbench.evaluate_density(bits(wrong), "toy-markov", name="bits", out=out)
    assert not out.exists()


def test_a_random_bound_is_reproducible_and_its_record_says_how_random(tmp_path: Path) -> None:
    nats, moved = [], []
    for index, seed in enumerate((3, 3, 4)):
        record = arbench.evaluate_density(
            bits(lambda x: x - torch.rand(len(x)), kind="bound"),
            MARKOV,
            name="bits",
            seed=seed,
            limit=100,
            out=tmp_path / str(index),
        ).record
        assert record.foreign is not None
        nats.append(record.splits["test"].total_nats)
        moved.append(record.foreign.repeat_nats)
    assert nats[0] == nats[1] != nats[2]
    assert 0.1 < min(moved) <= max(moved) < 1
    assert record.limit == 100


@pytest.mark.parametrize(
    ("task", "options", "message"),
    [
        ("toy-parity", {}, "the density describes.*toy-parity has"),
        ("toy-markov", {"name": "My Bits"}, "is no name"),
        ("toy-markov", {"stride": 4}, "only a stream has a stride"),
    ],
)
def test_what_does_not_fit_is_refused(
    tmp_path: Path, task: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        arbench.evaluate_density(bits(), task, out=tmp_path / "x", **{"name": "bits", **options})
    assert not (tmp_path / "x").exists()


def test_a_library_that_is_not_there_is_no_source(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'no-such-library' is not installed"):
        arbench.evaluate_density(
            bits(library="no-such-library"), MARKOV, name="bits", out=tmp_path / "x"
        )


def test_every_symbol_of_a_stream_counts_once(tmp_path: Path) -> None:
    class Uniform:
        def log_prob(self, x: Tensor, scored: Tensor | None) -> Tensor:
            assert scored is not None
            return -math.log(2) * scored.sum(1, dtype=torch.float64)

        def sample(self, n: int) -> Tensor:
            return torch.randint(2, (n, 10))

    text = tmp_path / "text.txt"
    text.write_text("ab" * 500)
    task = arbench.open_task(f"text:{text}")
    density = arbench.ForeignDensity(Uniform(), spec=EventSpec((10,), Discrete(2)), kind="exact")
    record = arbench.evaluate_density(
        density, task, name="uniform", stride=3, out=tmp_path / "run"
    ).record
    assert record.windows is not None
    assert (record.windows.context, record.windows.stride) == (10, 3)
    assert record.splits["test"].num_dims == task.load("test").events.numel()
    assert record.splits["test"].bits_per_dim == pytest.approx(1.0)
    assert not record.task.pinned
