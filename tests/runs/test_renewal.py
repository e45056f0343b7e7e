"""Errors made anew: of old records, by the rule of today, and nothing else changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import arbench
from arbench.data.dataset import Dataset
from arbench.data.streams import StreamTask
from arbench.data.tasks import Split, SplitName, Task
from arbench.errors import DataError
from arbench.measure.likelihood import SplitRecord
from arbench.measure.statistics.metrics import NLL
from arbench.probability.events import Discrete, EventSpec
from arbench.runs.comparison import compare_runs
from arbench.runs.record.record import Record
from arbench.runs.record.renewal import with_errors
from arbench.runs.record.values import LogProbs, read_log_probs

ERRORS = ("standard_error_nats", "standard_error_bits_per_dim")


class Coins:
    """Fair coins, at a price that the event itself says: dependent events cost alike."""

    def log_prob(self, x: Tensor, scored: Tensor | None) -> Tensor:
        price = -0.1 - x.double().flatten(1)[:, :1]
        return (price * (torch.ones_like(x) if scored is None else scored)).sum(1)

    def sample(self, n: int) -> Tensor:
        return torch.zeros(n, 4, dtype=torch.int64)


class Recordings(Task):
    """Windows of four symbols, five to a recording, the last padded."""

    name, version, unit, group = "recordings", "1", "sample", "recording"
    spec = EventSpec((4,), Discrete(5))

    def load(self, split: SplitName) -> Split:
        generator = torch.Generator().manual_seed(len(split))
        groups = torch.arange(30).repeat_interleave(5)
        events = torch.randint(5, (30, 1), generator=generator).repeat_interleave(5, 0)
        scored = torch.arange(4) < torch.tensor([4, 4, 4, 4, 2]).repeat(30).unsqueeze(1)
        return Split(events.expand(-1, 4).clone(), scored, groups)


class Text(StreamTask):
    """A text in which a symbol often comes again."""

    name, version, unit, domain = "symbols", "1", "char", Discrete(5)

    def load_stream(self, split: SplitName) -> Tensor:
        generator = torch.Generator().manual_seed(len(split))
        return torch.randint(5, (400,), generator=generator).repeat_interleave(20)


def evaluated(task: Task, folder: Path) -> tuple[Record, LogProbs]:
    density = arbench.ForeignDensity(Coins(), spec=EventSpec((4,), Discrete(5)), kind="bound")
    run = arbench.evaluate_density(density, task, name="coins", out=folder)
    return run.record, read_log_probs(run.record, folder / "per_event.safetensors")


def with_test(record: Record, test: SplitRecord) -> Record:
    """A record with another test number."""
    assert record.likelihood is not None
    return record.with_sections(likelihood=record.likelihood.model_copy(update={"test": test}))


def aged(record: Record, log_probs: LogProbs, dims: Any) -> Record:
    """The record as format 1 had it: every event independent of every other."""
    nll = NLL.from_log_probs(log_probs.values, dims, None)
    old = {
        "num_groups": None,
        "block": None,
        "standard_error_nats": nll.standard_error_nats,
        "standard_error_bits_per_dim": None
        if record.splits["test"].bits_per_dim is None
        else nll.standard_error_nats_per_dim,
    }
    test = record.splits["test"].model_copy(update=old)
    task = record.task.model_copy(update={"groups": "event"})
    return with_test(record.model_copy(update={"task": task}), test)


@pytest.mark.parametrize("task", [Recordings(), Text()], ids=lambda task: task.name)
def test_errors_made_anew_are_those_of_a_new_evaluation(task: Task, tmp_path: Path) -> None:
    record, log_probs = evaluated(task, tmp_path / "run")
    grouped = isinstance(task, Recordings)
    split = Dataset(task).split("test") if grouped else None
    old = aged(record, log_probs, 1 if split is None else split.scored_dims)
    new_error, old_error = (r.splits["test"].standard_error_nats for r in (record, old))
    assert new_error is not None
    assert old_error is not None
    assert new_error > 1.5 * old_error  # five windows of one recording are not five
    found = with_errors(old, log_probs, split, "recording" if grouped else "block")
    assert found.splits["test"].model_dump() == record.splits["test"].model_dump()
    assert found.task == record.task
    assert found.splits["validation"] == record.splits["validation"]


def test_what_a_recording_costs_is_the_error_s_unit(tmp_path: Path) -> None:
    record, log_probs = evaluated(Recordings(), tmp_path / "run")
    test = record.splits["test"]
    assert (record.task.groups, test.num_groups, test.num_events) == ("recording", 30, 150)
    assert log_probs.groups is not None
    means = -log_probs.values.view(30, 5).mean(1)
    assert test.standard_error_nats == pytest.approx(means.std().item() / 30**0.5)


def test_without_its_data_nothing_is_made_up(tmp_path: Path) -> None:
    record, log_probs = evaluated(Recordings(), tmp_path / "run")
    with pytest.raises(ValueError, match="the scored dims of its events are in its data"):
        with_errors(record, log_probs, None, "recording")


@pytest.mark.parametrize("change", ["groups", "none", "block"])
def test_groups_that_are_not_the_record_s_are_refused(tmp_path: Path, change: str) -> None:
    task = Text() if change == "block" else Recordings()
    record, log_probs = evaluated(task, tmp_path / "run")
    file = tmp_path / "other.safetensors"
    groups = log_probs.groups
    if change == "groups":
        assert groups is not None
        groups = groups // 2
    elif change == "none":
        groups = None
    else:
        block = record.splits["test"].block
        assert block is not None
        other = block.model_copy(update={"length": block.length + 1})
        test = record.splits["test"].model_copy(update={"block": other})
        record = with_test(record, test)
    digest = LogProbs(log_probs.values, groups).save(file)
    record = record.model_copy(
        update={"sha256": record.sha256.model_copy(update={"per_event": digest})}
    )
    with pytest.raises(DataError, match="are not the record's"):
        read_log_probs(record, file)


def test_an_old_record_of_events_that_are_not_independent_is_not_compared(tmp_path: Path) -> None:
    """Nothing in its folder says which windows are of one recording: the test would be wrong."""
    record, log_probs = evaluated(Recordings(), tmp_path / "run")
    split = Dataset(Recordings()).split("test")
    old = aged(record, log_probs, split.scored_dims)
    task = old.task.model_copy(update={"name": "fsdd"})
    digest = LogProbs(log_probs.values).save(tmp_path / "run" / "per_event.safetensors")
    hashes = old.sha256.model_copy(update={"per_event": digest})
    renamed = old.model_copy(update={"task": task, "sha256": hashes})
    renamed.write(tmp_path / "run" / "record.json")
    with pytest.raises(DataError, match="which events belong to one recording.*`arbench verify "):
        compare_runs(tmp_path / "run", tmp_path / "run")
