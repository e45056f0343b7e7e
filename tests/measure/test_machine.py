"""What is timed has the machine for itself, or says that it had not."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import arbench
from arbench.boards.boards import best_speeds
from arbench.boards.results import read_runs
from arbench.measure.machine import at_work
from arbench.show.record_tables import speed_table


@pytest.fixture
def other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The lock of a machine of the test's own, opened by somebody else."""
    path = tmp_path / "machine.lock"
    monkeypatch.setenv("ARBENCH_MACHINE_LOCK", str(path))
    path.touch()
    file = os.open(path, os.O_RDONLY)
    yield file
    os.close(file)


def can_begin(file: int) -> bool:
    """Whether another process may begin to work; it does, if so."""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def test_what_is_timed_lets_nobody_begin(other: int) -> None:
    with at_work(), at_work():
        with at_work(alone=True) as is_alone:
            assert is_alone
            assert not can_begin(other)
        assert can_begin(other)
        with at_work(alone=True) as is_alone:
            assert not is_alone
        fcntl.flock(other, fcntl.LOCK_UN)
        with at_work(alone=True) as is_alone:
            assert is_alone
    fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)  # nobody is at work any more


def test_where_there_is_no_place_for_a_lock_nothing_is_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARBENCH_MACHINE_LOCK", str(tmp_path / "none" / "machine.lock"))
    with at_work(), at_work(alone=True) as is_alone:
        assert is_alone


def test_times_beside_other_runs_are_on_no_board(other: int, tmp_path: Path) -> None:
    assert can_begin(other)
    folder = tmp_path / "run"
    run = arbench.run("toy-markov", "bernoulli", device="cpu", out=folder)
    rows = run.record.model_dump(mode="json")["measurements"]["speed"]["rows"]
    assert [row["shared"] for row in rows] == [True, True]
    assert "Other runs were at work" in speed_table(rows).notes[0]
    (found,), _ = read_runs(tmp_path)
    assert best_speeds(found) == ()
    fcntl.flock(other, fcntl.LOCK_UN)
    rows_alone = arbench.bench(folder, device="cpu", methods=("step",), batch_sizes=(1,))
    assert {row.shared for row in rows_alone} == {False}
