"""Log-probabilities of test events on disk: what is read, and what is refused."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from arbench.errors import DataError
from arbench.files.tensors import save_tensors
from arbench.runs.record.record import Record
from arbench.runs.record.values import (
    LogProbs,
    read_log_probs,
    recorded_nll,
)

FROZEN = Path(__file__).parents[1] / "tasks" / "frozen" / "table-1"
VALUES = torch.tensor([-1.0, -2.5, -3.0], dtype=torch.float64)


@pytest.mark.parametrize("groups", [None, torch.tensor([0, 0, 1])])
def test_what_was_saved_is_loaded(tmp_path: Path, groups: Tensor | None) -> None:
    LogProbs(VALUES, groups).save(tmp_path / "a.safetensors")
    found = LogProbs.load(tmp_path / "a.safetensors")
    assert torch.equal(found.values, VALUES)
    assert (found.groups is None) == (groups is None)
    assert groups is None or torch.equal(found.groups, groups)


def test_narrow_numbers_are_read_in_float64(tmp_path: Path) -> None:
    save_tensors(tmp_path / "a.safetensors", {"test": VALUES.float()})
    found = LogProbs.load(tmp_path / "a.safetensors")
    assert found.values.dtype == torch.float64


@pytest.mark.parametrize("values", [None, VALUES[None], torch.tensor([1, 2, 3])])
def test_values_are_one_real_number_per_event(tmp_path: Path, values: Tensor | None) -> None:
    tensors = {"other": VALUES} if values is None else {"test": values}
    save_tensors(tmp_path / "a.safetensors", tensors)
    with pytest.raises(DataError, match="one for each event|no log-probabilities|torch.int64"):
        LogProbs.load(tmp_path / "a.safetensors")


@pytest.mark.parametrize("groups", [torch.tensor([0, 1]), VALUES, torch.tensor([[0], [1], [2]])])
def test_groups_are_one_whole_number_per_event(tmp_path: Path, groups: Tensor) -> None:
    save_tensors(tmp_path / "a.safetensors", {"test": VALUES, "groups": groups})
    with pytest.raises(DataError, match="a whole number for each event|one for each event"):
        LogProbs.load(tmp_path / "a.safetensors")


def test_a_record_of_format_1_took_every_event_for_independent(tmp_path: Path) -> None:
    """Its own log-probabilities follow from it, and others do not."""
    record = Record.read(FROZEN / "record.json")
    test = record.splits["test"]
    assert test.num_groups is None
    found = read_log_probs(record, FROZEN / "log_probs.safetensors")
    nll = recorded_nll(record, found)
    assert nll.total_nats == pytest.approx(test.total_nats, rel=1e-12)
    assert nll.num_groups == len(found.values)
    error = found.values.std().item() / math.sqrt(len(found.values))
    assert nll.standard_error_nats == pytest.approx(error, rel=1e-9)
    LogProbs(found.values * 1.001).save(tmp_path / "a.safetensors")
    with pytest.raises(DataError, match="are not the record's: they sum to"):
        read_log_probs(record, tmp_path / "a.safetensors")
