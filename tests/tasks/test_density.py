"""The density benchmarks: their files, their sizes, and what a wrong file is answered with."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

import arbench_density
from arbench.data.offline import NotHereError, offline
from arbench.data.tasks import SPLITS, open_task
from arbench.errors import DataError
from arbench_density.binary import DensitySet, Kdd, Nltcs
from arbench_density.rows import read_rows

SHARES_OF_ONES = {  # as the repository's own table states them, to three digits
    "density-nltcs": 0.332,
    "density-plants": 0.180,
    "density-baudio": 0.199,
    "density-jester": 0.608,
    "density-bnetflix": 0.541,
    "density-accidents": 0.291,
    "density-pumsb-star": 0.270,
    "density-dna": 0.253,
    "density-bbc": 0.078,
}


def _classes() -> list[type[DensitySet]]:
    places = [entry.task.partition(":") for entry in arbench_density.arbench_entries]
    return [getattr(importlib.import_module(module), name) for module, _, name in places]


def test_twenty_entries_lead_to_classes_of_their_name_and_width() -> None:
    entries = arbench_density.arbench_entries
    assert len(entries) == 20
    for entry, cls in zip(entries, _classes(), strict=True):
        assert cls.name == entry.name
        assert f" {cls.spec.num_dims:,} dims" in entry.summary
    assert {cls.name for cls in _classes() if cls.pinned} == set(SHARES_OF_ONES)
    assert len({file.path for cls in _classes() for file in cls.files}) == 60


def test_the_readme_lists_the_sizes_and_checksums_of_the_tasks() -> None:
    readme = Path(arbench_density.__file__).with_name("README.md").read_text()
    listed = re.findall(r"^([0-9a-f]{64})  (\S+)$", readme, re.MULTILINE)
    known = [file for cls in _classes() for file in cls.files if file.sha256 is not None]
    assert listed == [(file.sha256, file.path.removeprefix("density/")) for file in known]
    for cls in _classes():
        rows = [(file.size or 0) // (2 * cls.spec.num_dims) for file in cls.files]
        sizes = " | ".join(f"{num_rows:,}" for num_rows in rows)
        assert f"| {cls.name} | {cls.spec.num_dims:,} | {sizes} |" in readme


@pytest.mark.parametrize("name", SHARES_OF_ONES)
def test_the_share_of_ones_is_the_published_one(name: str) -> None:
    task = open_task(name)
    try:
        with offline():
            splits = [task.load(split).events for split in SPLITS]
    except NotHereError as error:
        pytest.skip(str(error))
    ones = sum(int(events.sum()) for events in splits)
    dims = sum(events.numel() for events in splits)
    assert ones / dims == pytest.approx(SHARES_OF_ONES[name], abs=5e-4)


def test_rows_keep_their_order(tmp_path: Path) -> None:
    (tmp_path / "a.data").write_text("0,1,1\n1,0,0\n")
    assert read_rows(tmp_path / "a.data", 3).tolist() == [[0, 1, 1], [1, 0, 0]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0,1\n1,2\n", r"row 1, column 1: found b'2\\n', expected 0 or 1 and then the end of"),
        ("0,1\n/,1\n", r"row 1, column 0: found b'/,'"),
        ("0 1\n1,1\n", r"row 0, column 0: found b'0 ', expected 0 or 1 and then a comma"),
        ("0,1,1,1\n", r"row 0, column 1: found b'1,', expected 0 or 1 and then the end of"),
        ("0,1\r\n", "found 5 bytes, expected lines of 4"),
        ("0,1\n1,1", "found 7 bytes, expected lines of 4"),
    ],
    ids=["value", "below", "space", "width", "carriage-return", "cut"],
)
def test_what_is_no_row_is_named(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.data").write_bytes(text.encode())
    with pytest.raises(DataError, match=message) as caught:
        read_rows(tmp_path / "a.data", 2)
    assert "\n" not in str(caught.value)


def test_an_unpinned_file_is_checked_by_its_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARBENCH_DATA", str(tmp_path))
    monkeypatch.setenv("ARBENCH_CACHE", str(tmp_path / "cache"))
    (tmp_path / "density/kdd").mkdir(parents=True)
    (tmp_path / "density/kdd/kdd.train.data").write_bytes(b"0," * 63 + b"1\n")
    with pytest.raises(DataError, match=r"kdd\.train\.data: 128 bytes, expected 23051776"):
        Kdd().load("train")


def test_a_changed_pinned_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARBENCH_DATA", str(tmp_path))
    (tmp_path / "density/nltcs").mkdir(parents=True)
    (tmp_path / "density/nltcs/nltcs.test.data").write_bytes((b"0," * 15 + b"1\n") * 3236)
    with pytest.raises(DataError, match=r"nltcs\.test\.data: sha256 .*, expected f9ffa6b7"):
        Nltcs().load("test")
