"""How data of one's own that state no splits are divided: draws by index, works by content."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

import arbench
from arbench.data.dataset import Dataset
from arbench.data.repeats import describe_own, describe_splits
from arbench.data.streams import StreamTask
from arbench.data.tasks import SPLITS, Division, Split, Task, open_task
from arbench.errors import ConfigError, DataError
from arbench.runs.config import RunConfig
from arbench.runs.folder import RunFolder
from arbench.runs.record.record import Record
from arbench.show.reporting import Reporter
from arbench.testing.suites import find_suite
from arbench_files.division import places, row_shares
from arbench_files.tables import TableTask

ROWS, FILES = Division(rule="rows"), Division(rule="files")
COINS = np.random.default_rng(1).integers(0, 2, (10_000, 3))
ENTROPY = 3 * math.log(2)  # 2.079 nats
# Validation and test of 20 rows, with seeds 0 and 1, and of 20 works.
PINNED = [[[2, 18], [17, 19]], [[11, 16], [8, 12]], [[16, 19], [5, 18]]]
TABLES = st.tuples(st.integers(30, 120), st.integers(1, 6))


def _indices(rows: np.ndarray, division: Division | None) -> list[np.ndarray]:
    found = places({"all": rows}, Path("x"), division)
    assert all(part == "all" for part, _ in found.values())
    return [found[name][1] for name in SPLITS]


# Rows are draws


@given(arrays(np.uint8, TABLES, elements=st.integers(0, 1)))
@settings(max_examples=40, deadline=None)
def test_rows_are_divided_by_their_place_alone_and_none_is_lost(rows: np.ndarray) -> None:
    parts = _indices(rows, ROWS)
    tenth = len(rows) // 10
    assert [len(part) for part in parts] == [len(rows) - 2 * tenth, tenth, tenth]
    assert sorted(np.concatenate(parts)) == list(range(len(rows)))
    for part, same in zip(parts, _indices(1 - rows, ROWS), strict=True):
        assert (np.diff(part) > 0).all()  # in the order of the file
        np.testing.assert_array_equal(part, same)


def test_which_rows_are_where_is_pinned() -> None:
    """Another rule would silently move test rows into training."""
    rows = np.zeros((20, 1), np.uint8)
    assert [part.tolist() for part in _indices(rows, ROWS)][1:] == PINNED[0]
    assert [part.tolist() for part in _indices(rows, Division(rule="rows", seed=1))][1:] == PINNED[
        1
    ]
    works = np.arange(20, dtype=np.uint8)[:, None]
    assert [part.tolist() for part in _indices(works, FILES)][1:] == PINNED[2]
    shares = row_shares(np.array([[0, 0], [0, 1], [1, 0]], dtype=np.uint8))
    assert [round(float(share), 6) for share in shares] == [0.588418, 0.703429, 0.280706]


def test_every_row_is_as_likely_to_be_tested_as_any_other() -> None:
    counts = np.zeros(50)
    for seed in range(2000):
        counts[_indices(np.zeros((50, 1)), Division(rule="rows", seed=seed))[2]] += 1
    # 5 of 50, so 200 each; the sum of 50 nearly independent squares has a deviation of about 10.
    assert ((counts - 200) ** 2 / (200 * 0.9)).sum() == pytest.approx(49, abs=60)


def test_a_train_part_gives_its_ninth_to_validation() -> None:
    rows = np.zeros((90, 2), np.uint8)
    for division in (ROWS, FILES):
        parts = {"train": np.arange(180).reshape(90, 2), "test": rows[:5]}
        found = places(parts, Path("x"), division)  # type: ignore[arg-type]
        assert [len(found[name][1]) for name in SPLITS] == [80, 10, 5]
        assert [found[name][0] for name in SPLITS] == ["train", "train", "test"]
        assert not set(found["train"][1]) & set(found["validation"][1])


@pytest.mark.parametrize("division", [ROWS, FILES])
@pytest.mark.parametrize("count", [1, 2])
def test_too_few_to_divide_are_refused(division: Division, count: int) -> None:
    with pytest.raises(DataError, match=f"{count} to divide, .* leave nothing for the train split"):
        _indices(np.arange(count)[:, None], division)
    assert [len(part) for part in _indices(np.arange(3)[:, None], division)] == [1, 1, 1]


# Files are works


@given(arrays(np.uint8, TABLES, elements=st.integers(0, 1)), st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_equal_works_are_in_one_split_and_works_are_counted(rows: np.ndarray, seed: int) -> None:
    works = len(np.unique(rows, axis=0))
    if works < 3:
        with pytest.raises(DataError, match=f"{works} of them different"):
            _indices(rows, FILES)
        return
    parts = _indices(rows, Division(rule="files", seed=seed))
    assert sorted(np.concatenate(parts)) == list(range(len(rows)))
    contents = [{bytes(row) for row in rows[part]} for part in parts]
    assert sum(map(len, contents)) == works
    tenth = max(1, works // 10)
    assert [len(content) for content in contents] == [works - 2 * tenth, tenth, tenth]


def test_another_name_moves_a_work_nowhere() -> None:
    works = np.random.default_rng(3).integers(0, 256, (60, 12), dtype=np.uint8)
    order = np.random.default_rng(4).permutation(60)
    for part, other in zip(_indices(works, FILES), _indices(works[order], FILES), strict=True):
        assert sorted(order[other]) == sorted(part)


def _save_images(folder: Path, images: np.ndarray) -> None:
    folder.mkdir()
    for index, pixels in enumerate(images):
        Image.fromarray(pixels).save(folder / f"{index:03}.png")


def test_equal_files_stay_together_unless_rows_are_asked_for(tmp_path: Path) -> None:
    images = np.random.default_rng(5).integers(0, 256, (30, 4, 4), dtype=np.uint8)
    _save_images(tmp_path / "twice", np.concatenate([images, images]))
    text = f"images:{tmp_path / 'twice'}"
    works, rows = open_task(text), open_task(f"{text}?split=rows")
    assert (works.division, rows.division) == (FILES, ROWS)
    assert [len(works.load(split)) for split in SPLITS] == [48, 6, 6]
    for earlier, later in (("train", "validation"), ("train", "test"), ("validation", "test")):
        assert works.load(later).num_events_also_in(works.load(earlier)) == 0  # type: ignore[arg-type]
    assert rows.load("test").num_events_also_in(rows.load("train")) > 0
    assert len({works.name, rows.name, open_task(f"{text}?split=files").name}) == 2


def test_copies_of_a_file_are_one_group_in_the_errors(tmp_path: Path) -> None:
    """Twice the files say no more than once."""
    images = np.random.default_rng(5).integers(0, 2, (60, 2, 2), dtype=np.uint8) * 255
    images[:, 0, 0] = np.arange(60)  # all different
    found = {}
    for times in (1, 2):
        _save_images(tmp_path / str(times), np.concatenate([images] * times))
        text = f"images:{tmp_path / str(times)}"
        run = arbench.run(text, "bernoulli", out=tmp_path / f"run-{times}", device="cpu")
        found[times] = run.record
        assert run.record.task.groups == "distinct file"
        assert arbench.verify(run.path, task=text, device="cpu").holds
    once, twice = found[1].splits["test"], found[2].splits["test"]
    assert (once.num_events, twice.num_events) == (6, 12)
    assert once.num_groups == twice.num_groups == 6
    assert twice.standard_error_nats == pytest.approx(once.standard_error_nats, rel=0.05)
    rows = open_task(f"images:{tmp_path / '2'}?split=rows")
    assert (rows.group, rows.load("test").groups) == ("event", None)


def test_a_way_that_is_none_and_one_that_nobody_needs_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "all.npz", rows=COINS[:100])
    np.savez(tmp_path / "stated.npz", train=COINS[:80], valid=COINS[80:90], test=COINS[90:100])
    with pytest.raises(ConfigError, match=r"expected \?split=rows or \?split=files"):
        open_task(f"table:{tmp_path / 'all.npz'}?split=content")
    with pytest.raises(ConfigError, match="states its three splits"):
        open_task(f"table:{tmp_path / 'stated.npz'}?split=rows")
    assert open_task(f"table:{tmp_path / 'stated.npz'}").division is None


# What a run says and keeps


class _Heard(Reporter):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def _coins(folder: Path, rows: np.ndarray = COINS) -> str:
    path = folder / "coins.csv"
    np.savetxt(path, rows, fmt="%d", delimiter=",")
    return f"table:{path}"


def test_a_run_says_how_it_divided_and_what_repeats(tmp_path: Path) -> None:
    heard = _Heard()
    run = arbench.run(_coins(tmp_path), "bernoulli", out=tmp_path / "run", reporter=heard)
    (splits,) = [line for line in heard.lines if line.startswith("splits")]
    assert "by rows (rule version 1, seed 0): 8,000 train, 1,000 validation, 1,000 test" in splits
    (repeats,) = [line for line in heard.lines if line.startswith("repeats")]
    assert "within a split 7,992 of train, 992 of validation, 992 of test" in repeats
    assert "across 1,000 of validation in train, 1,000 of test in train" in repeats
    config = RunConfig.read(RunFolder(run.path).config)
    assert config.division == ROWS
    assert run.record.task.version == config.task_version == "2"


def test_a_run_with_another_rule_is_found_again_by_its_configuration(tmp_path: Path) -> None:
    text = _coins(tmp_path, np.random.default_rng(2).integers(0, 2, (300, 6)))
    run = arbench.run(f"{text}?split=files", "bernoulli", out=tmp_path / "run")
    assert RunConfig.read(RunFolder(run.path).config).division == FILES
    assert open_task(text).name != run.record.task.name
    assert arbench.verify(run.path, task=text, device="cpu").holds
    assert arbench.evaluate(run.path, task=text, device="cpu") == run.record.splits["test"]


def test_what_comes_with_a_task_is_said_in_its_readme(tmp_path: Path) -> None:
    assert describe_own(Dataset("toy-parity")) == []
    (tmp_path / "x.txt").write_text("abc " * 300)
    stream = open_task(f"text:{tmp_path / 'x.txt'}")
    assert isinstance(stream, StreamTask)
    assert describe_own(Dataset(stream.windows(8, 8))) == []
    own = Dataset(_coins(tmp_path), limit=4)
    assert "4 train, 4 validation, 4 test" in describe_own(own)[0]


def test_draws_are_no_fault_of_a_task(tmp_path: Path) -> None:
    """`arbench check table:PATH` does not ask draws to be different."""
    rows = f"task:{_coins(tmp_path)}"
    results = {trial.check: trial.run() for trial in find_suite(rows).trials()}
    assert {result.status for result in results.values()} == {"passed", "not applicable"}
    assert results["splits_disjoint"].message.endswith("draws repeat themselves")


def test_a_seed_in_the_configuration_is_obeyed(tmp_path: Path) -> None:
    task = open_task(_coins(tmp_path))
    other = task.as_of("2", Division(rule="rows", seed=7))
    assert other.division == Division(rule="rows", seed=7)
    assert Dataset(other).sha256 != Dataset(task).sha256
    again = other.as_of("2", ROWS)
    assert Dataset(again).sha256 == Dataset(task).sha256
    assert again.name == task.name


def _splits(train: list[int], validation: list[int], test: list[int]) -> dict[str, Split]:
    parts = (train, validation, test)
    return {
        name: Split(torch.tensor(part, dtype=torch.uint8)[:, None])
        for name, part in zip(SPLITS, parts, strict=True)
    }


def test_repeats_are_counted_by_hand() -> None:
    lines = describe_splits(None, _splits([1, 1, 2, 3], [3, 3, 4], [4, 5, 6]))  # type: ignore[arg-type]
    assert lines == [
        "splits  as stated: 4 train, 3 validation, 3 test events",
        "repeats within a split 1 of train, 1 of validation; across 2 of validation in train, "
        "1 of test in validation",
    ]
    none = describe_splits(FILES, _splits([1], [2], [3]))  # type: ignore[arg-type]
    assert none[1] == "repeats within a split none; across none"
    assert len(none) == 4  # one event is one distinct event


def test_padding_tells_events_apart() -> None:
    split = Split(torch.zeros(2, 3), torch.tensor([[True, True, True], [True, True, False]]))
    assert "within a split none" in describe_splits(None, dict.fromkeys(SPLITS, split))[1]


def test_a_test_split_of_one_event_is_said(tmp_path: Path) -> None:
    lines = describe_splits(ROWS, _splits([1, 2], [1, 2], [2, 2, 2]))  # type: ignore[arg-type]
    assert lines[2:] == [
        "note    test holds a single distinct event: a number on it says nothing about others"
    ]
    heard = _Heard()
    rows = np.concatenate([np.eye(4, dtype=int)] * 10)
    np.savez(tmp_path / "x.npz", train=rows, valid=rows, test=rows[::4])
    arbench.run(f"table:{tmp_path}/x.npz", "bernoulli", out=tmp_path / "run", reporter=heard)
    assert any("test holds a single distinct event" in line for line in heard.lines)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_source_whose_name_is_no_utf8_loses_no_run(tmp_path: Path, suffix: str) -> None:
    rows = pd.DataFrame(np.random.default_rng(2).integers(0, 2, (300, 4)), columns=[*"abcd"])
    name = b"\xff.".decode(errors="surrogateescape") + suffix
    try:
        with open(tmp_path / name, "wb") as file:
            rows.to_csv(file, index=False) if suffix == "csv" else rows.to_parquet(file)
    except OSError:
        pytest.skip("this file system takes names of UTF-8 alone")
    run = arbench.run(f"table:{tmp_path / name}", "bernoulli", out=tmp_path / "run")
    assert run.record.task.source == f"\ufffd.{suffix}"
    assert Record.read(RunFolder(run.path).record) == run.record
    assert arbench.verify(run.path, task=f"table:{tmp_path / name}", device="cpu").holds


def test_what_no_record_takes_is_refused_before_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TableTask, "unit", "\x1b[2J")
    with pytest.raises(ConfigError, match="unit"):
        arbench.run(_coins(tmp_path), "bernoulli", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


# The numbers


def _nats(text: str, model: str, out: Path, **settings: object) -> tuple[float, float]:
    run = arbench.run(text, model, settings=settings, out=out, device="cpu")
    test = run.record.splits["test"]
    assert test.standard_error_nats is not None
    return test.nats_per_event, test.standard_error_nats


class _ByContent:
    """What 0.1.0 did: the copies of a row meet in one split."""

    @staticmethod
    def task(text: str) -> Task:
        return open_task(text).as_of("1", None)


@pytest.mark.parametrize(
    ("model", "settings"),
    [
        ("bernoulli", {}),
        ("cpt", {}),
        ("fvsbn", {"epochs": 4, "alternative": "free"}),
        ("nade", {"epochs": 4, "hidden": 8}),
    ],
)
def test_three_fair_coins_cost_three_bits(
    model: str, settings: dict[str, object], tmp_path: Path
) -> None:
    nats, error = _nats(_coins(tmp_path), model, tmp_path / "run", **settings)
    assert nats == pytest.approx(ENTROPY, abs=3 * error)
    assert 0 < error < 0.01


@pytest.mark.parametrize(
    ("model", "settings"),
    [
        ("bernoulli", {}),
        ("cpt", {}),
        pytest.param("fvsbn", {"epochs": 10, "alternative": "free"}, marks=pytest.mark.slow),
        pytest.param("nade", {"epochs": 10, "hidden": 32}, marks=pytest.mark.slow),
    ],
)
def test_a_benchmark_undivided_gives_what_its_stated_splits_give(
    model: str, settings: dict[str, object], data_dir: Path, tmp_path: Path
) -> None:
    """NLTCS: 21,574 rows, of which many repeat themselves."""
    source = data_dir / "density" / "nltcs"
    if not source.is_dir():
        pytest.skip(f"{source} is not there")
    parts = {
        part: np.loadtxt(source / f"nltcs.{part}.data", dtype=np.uint8, delimiter=",")
        for part in ("train", "valid", "test")
    }
    np.savez(tmp_path / "stated.npz", **parts)
    np.savez(tmp_path / "undivided.npz", rows=np.concatenate(list(parts.values())))
    found = [
        _nats(f"table:{tmp_path / name}.npz", model, tmp_path / name, **settings)
        for name in ("stated", "undivided")
    ]
    error = math.hypot(*(error for _, error in found))
    assert found[0][0] == pytest.approx(found[1][0], abs=3 * error)
    assert error < 0.15


def test_division_by_content_holds_rows_that_no_training_saw(tmp_path: Path) -> None:
    """The fault itself: each of eight equally likely rows is in one split only."""
    old = _ByContent.task(_coins(tmp_path))
    seen = [Counter(map(bytes, old.load(split).events.numpy())) for split in SPLITS]
    assert not seen[0] & seen[2]
    assert sum(map(len, seen)) == 8
