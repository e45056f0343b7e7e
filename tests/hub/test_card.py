"""The model card: what it shows to people and says to machines."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from arbench.boards.boards import make_boards
from arbench.boards.curves import board_curve, curve_table
from arbench.boards.page import render_page
from arbench.boards.results import Result
from arbench.errors import DataError
from arbench.files.atomic import sha256_of
from arbench.hub.card import card_of, write_card
from arbench.runs.record.record import Record
from arbench.runs.zoo import zoo_folder

NADE = zoo_folder() / "mnist-mini" / "nade"
GOOD = json.dumps(
    {
        "step": 1,
        "epoch": 0.1,
        "validation_nats_per_event": 1.0,
        "validation_bits_per_dim": 2.0,
        "seconds": 0.5,
    }
)


def metadata_of(card: str) -> dict[str, Any]:
    text = card.removeprefix("---\n").partition("\n---\n")[0]
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


def changed(**parts: Any) -> Record:
    """NADE's record with other values in some of its parts."""
    raw = Record.read(NADE / "record.json").model_dump()
    for part, values in parts.items():
        raw[part] = raw[part] | values
    return Record.model_validate(raw)


_HASHES = Record.read(NADE / "record.json").sha256.model_copy(update={"metrics": None})
UNBOUND = changed(sha256=_HASHES.model_dump())  # any curve may stand beside it


def test_the_metadata_are_the_record_s_numbers() -> None:
    record = Record.read(NADE / "record.json")
    (model,) = metadata_of(card_of(NADE))["model-index"]
    (result,) = model["results"]
    assert result["dataset"]["type"] == "mnist-mini"
    assert result["dataset"]["revision"] == record.task.data_sha256
    assert {metric["type"]: metric["value"] for metric in result["metrics"]} == {
        "nats_per_event": record.splits["test"].nats_per_event,
        "bits_per_pixel": record.splits["test"].bits_per_dim,
    }


def test_nats_of_a_text_are_per_symbol() -> None:
    record = changed(task={"unit": "char"})
    (result,) = metadata_of(card_of(NADE, record))["model-index"][0]["results"]
    test = record.splits["test"]
    assert result["task"]["type"] == "text-generation"
    assert result["metrics"][0] == {
        "type": "nats_per_char",
        "name": "exact nats per char",
        "value": test.total_nats / test.num_dims,
    }


def test_a_part_of_the_data_is_no_result_for_machines() -> None:
    assert "model-index" not in metadata_of(card_of(NADE, changed(training={"limit": 100})))


def test_a_source_that_would_break_the_metadata_is_quoted() -> None:
    name = "a: [b]\n---\nlicense: evil"
    with pytest.raises(ValidationError):  # what becomes a path or a tag is a name
        changed(model={"name": name})
    with pytest.raises(ValidationError):  # and all else is a line
        changed(task={"unit": name})
    unit = "a: [b], license: evil # {"
    metadata = metadata_of(card_of(NADE, changed(task={"unit": unit})))
    assert "license" not in metadata
    assert f"bits_per_{unit}" in str(metadata["model-index"])


@pytest.mark.parametrize("load_as", ["hf:org/name", "mnist-mini/nade"])
def test_the_card_says_how_to_load_what_it_describes(load_as: str) -> None:
    assert f'arbench.load("{load_as}")' in card_of(NADE, load_as=load_as)


def test_the_curve_has_its_ends_and_little_between(tmp_path: Path) -> None:
    points = [
        {
            "step": step,
            "epoch": step / 10,
            "train_nats_per_event": 200.0 - step,
            "validation_nats_per_event": 210.0 - step,
            "validation_bits_per_dim": (210.0 - step) / 784,
            "seconds": step / 2,
        }
        for step in range(1, 101)
    ]
    metrics = tmp_path / "metrics.jsonl"
    for count in (1, 2, 8, 100):
        metrics.write_text("".join(json.dumps(p) + "\n" for p in points[:count]))
        steps = [int(row[0]) for row in curve_table(tmp_path, UNBOUND).rows]
        assert steps[0] == 1
        assert steps[-1] == count
        assert steps == sorted(set(steps))
        assert len(steps) == min(count, 8)


def test_without_a_curve_the_card_has_none(tmp_path: Path) -> None:
    assert "## Training curve, nats per event\n\n| step" in card_of(NADE)
    for _ in range(2):  # without the file, and with an empty one
        assert curve_table(tmp_path, UNBOUND).rows == []
        assert "Training curve" not in card_of(tmp_path, UNBOUND)
        assert "\n\n\n" not in card_of(tmp_path, UNBOUND)  # what is not there leaves no gap
        (tmp_path / "metrics.jsonl").write_text("")


@pytest.mark.parametrize(
    "line", ["{", "[]", '{"step": 1}', "17", "", GOOD[:-9], GOOD.replace("2.0", "NaN"), "\xff"]
)
def test_a_damaged_curve_is_named_and_shown_nowhere(tmp_path: Path, line: str) -> None:
    result = Result(UNBOUND, NADE / "log_probs.safetensors")
    boards = make_boards([replace(result, folder=tmp_path)])
    metrics = tmp_path / "metrics.jsonl"
    metrics.write_text(GOOD)
    assert "[[0.5,2.0]]" in render_page(boards)
    metrics.write_bytes(f"{GOOD}\n{line}\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"metrics.jsonl, line 2: .*JSON per evaluation"):
        curve_table(tmp_path, UNBOUND)
    # A page is of many runs: the row stands there without its curve, and `read_runs` says so.
    assert '"curve":[]' in render_page(boards)
    points, fault = board_curve(tmp_path, UNBOUND)
    assert points == []
    assert fault is not None
    assert fault.startswith(f"the training curve of {tmp_path}: {metrics}, line 2: expected a line")


def test_the_curve_of_another_run_is_named_and_shown_nowhere(tmp_path: Path) -> None:
    metrics = tmp_path / "metrics.jsonl"
    metrics.write_text(GOOD)
    hashes = {"metrics": sha256_of(metrics)}
    record = changed(sha256=hashes)
    assert [len(board_curve(tmp_path, record)[0]), len(curve_table(tmp_path, record).rows)] == [
        1,
        1,
    ]
    metrics.write_text(GOOD.replace("1.0", "0.9"))
    points, fault = board_curve(tmp_path, record)
    assert points == []
    assert fault is not None
    assert "its sha256 is not the record's" in fault
    with pytest.raises(DataError, match="not the record's"):
        curve_table(tmp_path, record)


def test_samples_are_shown_as_what_they_are(tmp_path: Path) -> None:
    for name in ("record.json", "config.json", "model.safetensors", "log_probs.safetensors"):
        shutil.copyfile(NADE / name, tmp_path / name)
    assert "samples." not in card_of(tmp_path).split("```")[0]
    (tmp_path / "samples.wav").touch()
    assert "[samples.wav](samples.wav)" in card_of(tmp_path)
    (tmp_path / "samples.txt").write_text("# no heading\n" + "line\n" * 50)
    assert "\n<pre># no heading\nline\n" in card_of(tmp_path)
    assert card_of(tmp_path).count("\nline") == 19
    (tmp_path / "samples.png").touch()
    (tmp_path / "samples.mid").touch()
    write_card(tmp_path)
    card = (tmp_path / "README.md").read_text()
    assert "![samples](samples.png)" in card
    assert "[samples.wav](samples.wav)\nSamples: [samples.mid](samples.mid)" in card
