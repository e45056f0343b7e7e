"""JSON is read with suspicion, by every reader alike."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from arbench.boards.curves import read_curve
from arbench.boards.speeds import SpeedReport
from arbench.cli import main
from arbench.errors import ArbenchError, CheckpointError
from arbench.files.strict_json import parse_json, read_json
from arbench.hub.snapshots import MANIFEST, _read_manifest
from arbench.runs.config import RunConfig
from arbench.runs.record.record import Record
from arbench.runs.zoo import read_index, zoo_folder
from arbench.show.escaping import one_line
from arbench.training.checkpoints import CheckpointStore

DIRECTION = "\u202e"
ZOO = zoo_folder()


@pytest.mark.parametrize(
    "text",
    [
        "null",
        '{"a": [1, 2.5, "é", true], "b": {"a": 1}}',
        '{"rendering": {"symbols": ["\\n", "\\u202e", "a"]}}',  # of a text task: data
        "[" * 32 + "]" * 32,
    ],
)
def test_what_documents_hold_is_read_as_it_stands(text: str) -> None:
    assert parse_json(text) == parse_json(text.encode()) == json.loads(text)


REFUSED = {
    "a key twice": ('{"a": {"b": 1, "b": 1}}', "'b' is there twice"),
    "NaN": ("[NaN]", "JSON has no number NaN"),
    "an infinity": ('{"a": -Infinity}', "JSON has no number -Infinity"),
    "beyond float64": ('{"a": {"b": 1e999}}', "the number at a.b is too large"),
    "beyond reading": ("1" * 5000, "digits"),
    "levels": ("[" * 34 + "]" * 34, "more than 32 levels"),
    "levels without end": ("[" * 200_000, "more than 32 levels"),
    "levels of keys": ('{"a":' * 200_000, "more than 32 levels"),
    "a control character": ('{"a": "x\\u001b[2J"}', "the control character"),
    "a line feed": ('{"a": "x\\ny"}', "the control character"),
    "one in a key": ('{"\\u0000": 1}', "the control character"),
    "a direction": (f'["{DIRECTION}evil"]', "the control character"),
    "an isolate": ('["\\u2067"]', "the control character"),
    "a line separator": ('["\\u2028"]', "the control character"),
    "half a character": ('["\\ud800"]', "the control character"),
    "symbols elsewhere": ('{"symbols": ["\\u001b"]}', "the control character"),
    "a byte order mark": ("\ufeff{}", "BOM"),
    "nothing": ("", "Expecting value"),
    "two": ("{} {}", "Extra data"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_no_document_holds_is_refused_in_a_line(kind: str) -> None:
    text, words = REFUSED[kind]
    with pytest.raises(ValueError, match=words) as caught:
        parse_json(text)
    assert len(str(caught.value)) < 300
    assert "\x1b" not in str(caught.value)


def test_what_is_no_utf8_is_refused(tmp_path: Path) -> None:
    for data in (b"\xff{}", '{"a": 1}'.encode("utf-16")):
        (tmp_path / "x.json").write_bytes(data)
        with pytest.raises(CheckpointError, match="not readable as JSON"):
            read_json(tmp_path / "x.json", CheckpointError, "missing")


def test_no_message_turns_its_own_direction() -> None:
    assert one_line(f"a{DIRECTION}b\x1b c\u2029d") == "a\ufffdb\ufffd c d"


def _state(path: Path) -> None:
    CheckpointStore(path.parent).load()


def _index(path: Path) -> None:
    read_index(path)


# Every reader of JSON, and what its file has to be called.
READERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "configuration": ("config.json", RunConfig.read),
    "record": ("record.json", Record.read),
    "checkpoint": ("state.json", _state),
    "metrics": ("metrics.jsonl", read_curve),
    "speeds": ("speed-x.json", SpeedReport.read),
    "index": ("index.json", _index),
    "downloaded files": (MANIFEST, lambda path: _read_manifest(path.parent)),
}
TEXTS = ["[" * 100_000, '{"schema_version": 1, "schema_version": 1}', '{"task": NaN}', "[1]", "3"]


@pytest.mark.parametrize("text", TEXTS, ids=["deep", "twice", "NaN", "list", "number"])
@pytest.mark.parametrize("reader", READERS)
def test_every_reader_refuses_it_in_one_line(tmp_path: Path, reader: str, text: str) -> None:
    name, read = READERS[reader]
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(ArbenchError) as caught:
        read(path)
    assert caught.value.exit_code == 3
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_show_refuses_it_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "record.json").write_text("[" * 100_000)
    assert main(["show", str(tmp_path)]) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert "more than 32 levels" in line


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--set=clip_norm=inf", "clip_norm = inf"),
        ("--set=checkpoint_seconds=inf", "checkpoint_seconds = inf"),
        ("--set=layout.seed=10000000000000000000000000000000", "layout.seed"),
        ("--set=batch_size=10000000000000000000000000000000", "batch_size"),
        ("--seed=10000000000000000000000000000000", "seed"),
        ("--limit=10000000000000000000000000000000", "limit"),
        ("--set=activation=\x1b[2J", "activation"),
        (f"--set=hidden={'[' * 50_000}", "nested too deeply"),
    ],
)
def test_what_no_document_takes_is_refused_before_a_run_has_a_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, said: str
) -> None:
    arguments = ["run", "--task", "toy-ar1", "--model", "rnade", "--epochs", "1"]
    assert main([*arguments, option, "--out", str(tmp_path / "run")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert "\x1b" not in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        ("model", "num_parameters", 10**30),
        ("model", "num_parameters", 1e30),
        ("model", "num_copies", 10**30),
        ("model", "plugin_version", "1\u202e2"),
        ("model", "hyperparameters", {"a": ["\u2066"]}),
        ("training", "settings", {"a": {"b": float("nan")}}),
        ("training", "steps", 1e30),
        ("training", "device", "cpu\u2028"),
        ("environment", "threads", 10**30),
        ("environment", "undone", ["\x9b31m"]),
    ],
)
def test_no_record_is_made_of_it(part: str, key: str, value: object) -> None:
    raw = json.loads((ZOO / "mnist-mini" / "nade" / "record.json").read_text())
    raw[part][key] = value
    with pytest.raises(ValidationError, match=key):
        Record.model_validate(raw)


def test_a_plugin_s_setting_is_held_to_it_where_it_is_written_too() -> None:
    raw = json.loads((ZOO / "mnist-mini" / "nade" / "config.json").read_text())
    for key, value in (("hyperparameters", {"a": "\x1b"}), ("seed", 1e30), ("plugin", "\u202e")):
        with pytest.raises(ValidationError, match=key):
            RunConfig.model_validate({**raw, key: value})
