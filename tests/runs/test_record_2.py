"""Records of format 2: canonical JSON, the hash that one carries, and what format 1 becomes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbench.errors import DataError
from arbench.files.atomic import sha256_of
from arbench.files.canonical import canonical_json, sealed
from arbench.runs.record.record import Record

FROZEN = Path(__file__).parent / "frozen" / "run-1"


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A record of the newest format."""
    path = tmp_path / "record.json"
    Record.read(FROZEN / "record.json").write(path)
    return path


def test_canonical_json_is_what_its_definition_says() -> None:
    value = {"b": [1, 1.0, 1e-07, 1e22, True, None], "a": {"é": "ß\n/", "A": "\u2028"}}
    expected = '{"a":{"A":"\u2028","é":"ß\\n/"},"b":[1,1.0,1e-07,1e+22,true,null]}'
    assert canonical_json(value) == expected.encode("utf-8")
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json({"x": float("nan")})
    with pytest.raises(ValueError, match="surrogate"):
        canonical_json("\ud800")


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("abcé"), inner),
    max_leaves=20,
)


@given(JSON)
def test_canonical_json_reads_back_as_the_same_value_and_is_unique(value: Any) -> None:
    text = canonical_json(value)
    assert json.loads(text) == value
    assert canonical_json(json.loads(json.dumps(value, indent=3))) == text


def test_a_record_carries_the_hash_of_itself_without_that_field(written: Path) -> None:
    raw = json.loads(written.read_text())
    assert raw["schema_version"] == 3
    named = raw["sha256"].pop("record")
    text = json.dumps(raw, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert named == hashlib.sha256(text.encode()).hexdigest() == sealed(raw)["sha256"]["record"]
    record = Record.read(written)
    assert record.is_bound
    again = written.with_name("again.json")
    assert record.write(again) == record
    assert again.read_bytes() == written.read_bytes()


def test_format_1_becomes_format_2_and_is_not_bound() -> None:
    old = json.loads((FROZEN / "record.json").read_text())
    record = Record.read(FROZEN / "record.json")
    assert not record.is_bound
    assert record.sha256.weights == old["checkpoint"]["sha256"] == record.result_sha256
    assert record.sha256.weights == sha256_of(FROZEN / "model.safetensors")
    assert (record.sha256.config, record.sha256.per_event) == (None, None)
    new = record.model_dump(mode="json")
    assert new["task"].pop("groups") == "event"
    assert new["environment"].pop("undone") == []
    for name in ("task", "environment"):
        assert new[name] == old[name], name
    measured = new["measurements"]
    assert measured["speed"]["rows"] == [
        row | {"kernel": "python", "shared": False} for row in old["sampling"]
    ]
    assert measured["speed"]["environment"] == new["environment"] | {"undone": []}
    for name, value in old["truth"].items():
        assert measured["truth"][name] == value


def test_a_foreign_density_of_format_1_keeps_its_name() -> None:
    old = json.loads((FROZEN / "record.json").read_text()) | {"training": None, "checkpoint": None}
    old["foreign"] = {
        "object": "m.C",
        "log_det_nats": 0.0,
        "dequantisation": None,
        "seed": 0,
        "limit": None,
        "device": "cpu",
        "repeat_nats": 0.0,
        "log_probs_sha256": "1" * 64,
    }
    record = Record.model_validate(old)
    assert record.result_sha256 == record.sha256.per_event == "1" * 64
    del old["foreign"]["log_probs_sha256"]
    with pytest.raises(ValueError, match="must name the sha256 of its log-probabilities"):
        Record.model_validate(old)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"environment": "threads"}, "does not fit the sha256"),
        ({"sha256": "weights"}, "does not fit the sha256"),
        ({"sha256": "record"}, "does not fit the sha256"),
    ],
)
def test_an_edit_is_seen(written: Path, change: dict[str, str], said: str) -> None:
    raw = json.loads(written.read_text())
    ((part, name),) = change.items()
    raw[part][name] = 77 if name == "threads" else "0" * 64
    written.write_text(json.dumps(raw))
    with pytest.raises(DataError, match=said):
        Record.read(written)
    if name != "record":
        written.write_text(json.dumps(sealed(raw)))
        Record.read(written)  # this detects edits, and proves nothing about who made them


@pytest.mark.parametrize("how", ["null", "absent", "record null", "format 1", "no format"])
def test_a_record_does_not_get_rid_of_its_hash(written: Path, how: str) -> None:
    raw = json.loads(written.read_text())
    if how == "null":
        raw["sha256"] = None
    elif how == "absent":
        del raw["sha256"]
    elif how == "record null":
        raw["sha256"]["record"] = None
    elif how == "format 1":
        raw["schema_version"] = 1
    else:
        del raw["schema_version"]
    written.write_text(json.dumps(raw))
    with pytest.raises(DataError, match=r"names no hash|belongs to format 2|sha256"):
        Record.read(written)


def test_layout_of_the_file_is_no_edit(written: Path) -> None:
    raw = json.loads(written.read_text())
    record = Record.read(written)
    written.write_text(json.dumps(dict(reversed(raw.items())), indent=7))
    assert Record.read(written) == record


@pytest.mark.parametrize("name", ["checks", "foreign"])
def test_a_field_that_a_later_version_adds_breaks_no_hash(written: Path, name: str) -> None:
    """The hash is over what stands there, and not over what is read into it."""
    raw = json.loads(written.read_text())
    del raw[name]
    written.write_text(json.dumps(sealed(raw)))
    assert getattr(Record.read(written), name) is None
