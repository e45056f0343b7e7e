"""Records: what one says holds together, or it is no record."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from arbench.data.streams import overlapping_windows
from arbench.data.tasks import open_task
from arbench.errors import DataError
from arbench.measure.likelihood import SplitRecord, WindowsRecord
from arbench.runs.record.record import Record, TaskRecord
from arbench.runs.zoo import zoo_folder

ZOO = zoo_folder()
BLOCK = {"rule": "a rule", "length": 5, "num_blocks": 20, "still_growing": False}
FROZEN = Path(__file__).parent / "frozen" / "run-1" / "record.json"


def changed(tmp_path: Path, name: str, **values: Any) -> Path:
    """The record of a zoo entry with other values in its test split."""
    raw = json.loads((ZOO / name / "record.json").read_text())
    raw["nll"]["test"] |= values
    path = tmp_path / "record.json"
    path.write_text(json.dumps(raw))
    return path


def split(total_nats: float, **values: Any) -> dict[str, Any]:
    """A split of 100 events of 8 dims that adds up, but for what is given."""
    return {
        "total_nats": total_nats,
        "num_events": 100,
        "num_dims": 800,
        "nats_per_event": total_nats / 100,
        "bits_per_dim": total_nats / 800 / math.log(2),
        "standard_error_nats": 0.8,
        "standard_error_bits_per_dim": 0.1 / math.log(2),
        "kind": "exact",
        **values,
    }


@pytest.mark.parametrize("path", [FROZEN, *sorted(ZOO.glob("*/*/record.json"))], ids=str)
def test_what_was_written_is_read(path: Path) -> None:
    record = Record.read(path)
    assert Record.model_validate(record.model_dump()) == record


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"bits_per_dim": 0.0123}, "bits_per_dim is not total_nats over num_dims in bits, 0.18"),
        ({"bits_per_dim": None}, "bits_per_dim is not total_nats over num_dims"),
        ({"num_dims": 7_840_000}, "bits_per_dim is not total_nats over num_dims"),
        ({"num_dims": 7_840_000, "bits_per_dim": 0.018473680}, "bits_per_dim is not"),
        ({"nats_per_event": 80.0}, "nats_per_event is not total_nats over num_events, 100.39"),
        ({"total_nats": 8e4}, "nats_per_event is not total_nats"),
        ({"num_events": 500}, "nats_per_event is not total_nats"),
        ({"standard_error_bits_per_dim": 1e-9}, "standard_error_bits_per_dim is not 0.0016"),
        ({"standard_error_nats": 1e-9}, "standard_error_bits_per_dim is not"),
        ({"standard_error_nats": -1.0}, "standard_error_nats = -1.0"),
        ({"standard_error_nats": None}, "standard_error_nats must be null for one group"),
        (
            {"standard_error_bits_per_dim": None},
            "standard_error_bits_per_dim must be given exactly",
        ),
        ({"num_groups": 1}, "standard_error_nats must be null for one group"),
        ({"num_groups": 1001}, "1,001 groups of 1,000 events"),
        ({"block": BLOCK | {"num_blocks": 21}, "num_groups": 20}, "it has 21 blocks"),
        ({"block": BLOCK, "num_groups": 20}, "only a stream has one"),
        ({"num_events": 0}, "num_events = 0"),
        ({"num_dims": 0}, "num_dims = 0"),
        ({"num_dims": -784}, "num_dims = -784"),
        ({"num_events": 10**400}, "num_events = "),
    ],
)
def test_a_likelihood_that_does_not_add_up_is_refused(
    tmp_path: Path, values: dict[str, Any], said: str
) -> None:
    with pytest.raises(DataError, match=f"likelihood.*test.*{said}"):
        Record.read(changed(tmp_path, "mnist-mini/nade", **values))


def test_more_dims_than_the_events_have_are_refused(tmp_path: Path) -> None:
    test = Record.read(ZOO / "mnist-mini" / "nade" / "record.json").splits["test"]
    assert test.bits_per_dim is not None
    values = {"num_dims": 10 * test.num_dims, "bits_per_dim": test.bits_per_dim / 10}
    with pytest.raises(DataError, match="test: 1,000 events have 784,000 dims at most"):
        Record.read(changed(tmp_path, "mnist-mini/nade", **values))


def test_a_stream_is_scored_in_as_many_windows_as_it_takes(tmp_path: Path) -> None:
    test = Record.read(ZOO / "shakespeare" / "gpt" / "record.json").splits["test"]
    values = {"num_events": 870, "nats_per_event": test.total_nats / 870}
    with pytest.raises(DataError, match="111,540 symbols are scored in 1,740 windows"):
        Record.read(changed(tmp_path, "shakespeare/gpt", **values))


@pytest.mark.parametrize("status", ["interrupted", "diverged"])
def test_what_did_not_finish_has_no_likelihood(status: str) -> None:
    raw = Record.read(ZOO / "mnist-mini" / "nade" / "record.json").model_dump()
    raw["training"]["status"] = status
    assert Record.model_validate(raw | {"measurements": {}}).status == status
    with pytest.raises(ValueError, match=f"a training that is {status} has no measurements"):
        Record.model_validate(raw)


@pytest.mark.parametrize(("context", "stride"), [(8, 8), (8, 3), (8, 1), (5, 4)])
def test_windows_are_counted_as_they_are_cut(context: int, stride: int) -> None:
    windows = WindowsRecord(context=context, stride=stride)
    for num_symbols in range(context, 40):
        cut = overlapping_windows(torch.arange(num_symbols), context, stride)
        for num_windows in range(1, len(cut) + 1):  # as `--limit` leaves them
            part = cut.first(num_windows)
            assert windows.count(part.num_scored_dims) == num_windows


@pytest.mark.parametrize("bits", [None, -3.5])
@pytest.mark.parametrize("kind", ["density", "bound"])
def test_a_density_s_bits_depend_on_bins_that_no_record_holds(
    kind: str, bits: float | None
) -> None:
    error = None if bits is None else 0.01
    values = {"kind": kind, "bits_per_dim": bits, "standard_error_bits_per_dim": error}
    assert SplitRecord.model_validate(split(-40.0, **values)).kind == kind
    with pytest.raises(ValueError, match="nats_per_event is not"):
        SplitRecord.model_validate(split(-40.0, **values, nats_per_event=-0.5))


def test_without_bits_there_is_no_error_of_them() -> None:
    values = {"kind": "density", "bits_per_dim": None, "standard_error_bits_per_dim": 0.01}
    with pytest.raises(ValueError, match="standard_error_bits_per_dim must be given exactly"):
        SplitRecord.model_validate(split(-40.0, **values))


@pytest.mark.parametrize("left", [{}, {"validation"}, {"test"}])
def test_a_likelihood_is_of_a_split(left: set[str]) -> None:
    raw = Record.read(ZOO / "mnist-mini" / "nade" / "record.json").model_dump(mode="json")
    raw["measurements"]["likelihood"] |= {
        name: None for name in ("validation", "test") if name not in left
    }
    if left:
        assert {*Record.model_validate(raw).splits} == left
    else:
        with pytest.raises(ValueError, match="a likelihood needs validation, test or both"):
            Record.model_validate(raw)


def test_a_number_of_nothing_adds_up() -> None:
    """What is certain costs nothing, and no event differs from another."""
    errors = {"standard_error_nats": 0.0, "standard_error_bits_per_dim": 0.0}
    assert SplitRecord.model_validate(split(0.0, **errors)).bits_per_dim == 0


def texts_of(raw: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Where in a document there are texts."""
    if isinstance(raw, str):
        return [path]
    parts = [*raw.items()] if isinstance(raw, dict) else []
    if isinstance(raw, list):
        parts = [*enumerate(raw)]
    return [found for key, part in parts for found in texts_of(part, (*path, key))]


@pytest.mark.parametrize("character", ["\x1b", "\n", "\0", "\x7f", "\x9b"])
def test_no_text_of_a_record_controls_a_terminal(character: str) -> None:
    """But for settings, whose texts may be anything and which are shown as they are nowhere."""
    raw = json.loads((ZOO / "mnist-mini" / "nade" / "record.json").read_text())
    raw["environment"] |= {"gpu": "a card", "git_commit": "abc"}
    paths = [p for p in texts_of(raw) if p[1] not in ("settings", "hyperparameters")]
    assert ("environment", "cpu") in paths
    assert ("sampling", 0, "method") in paths
    for path in paths:
        changed = json.loads(json.dumps(raw))
        part = changed
        for key in path[:-1]:
            part = part[key]
        part[path[-1]] += f"{character}[2J"
        with pytest.raises(ValueError, match=str(path[-1])):
            Record.model_validate(changed)
        part[path[-1]] = part[path[-1]].replace(character, "")
    raw["environment"]["cpu"] = "Prozessor \u201eß\u201c \U0001f40c, 8 cores"
    assert Record.model_validate(raw).environment.cpu == raw["environment"]["cpu"]


def test_a_record_of_a_file_with_a_hostile_name_can_be_written() -> None:
    task = open_task("toy-markov")
    task.source = "data\x1b[2J\n\n.csv"
    record = TaskRecord.from_task(task, "0" * 64)
    assert record.source == "data\ufffd[2J .csv"
