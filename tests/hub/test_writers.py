"""Many writers of one board: no row is lost or doubled, on disk or on the page."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hub_faults import Fault
from hub_server import HubServer

import arbench

PUSH = "import sys, arbench; [arbench.push_board('org/board', [run]) for run in sys.argv[1:]]"


def page(hub: HubServer) -> str:
    return hub.files("org/board", "dataset")["mnist-mini.md"].decode()


def results(hub: HubServer) -> int:
    return sum(path.endswith(".json") for path in hub.files("org/board", "dataset"))


def rows(hub: HubServer) -> int:
    return sum("| bernoulli" in line for line in page(hub).splitlines())


def test_who_comes_second_makes_the_page_again(
    hub: HubServer, result: Callable[[int], Path]
) -> None:
    first, second = result(1), result(2)

    def somebody_else() -> None:
        hub.before_commit = lambda: None
        arbench.push_board("org/board", [second])

    hub.before_commit = somebody_else
    arbench.push_board("org/board", [first])
    assert results(hub) == rows(hub) == 2
    assert len(hub.repos["dataset", "org/board"].commits) == 3


def test_a_result_that_is_taken_back_meanwhile_is_on_no_page(
    hub: HubServer, result: Callable[[int], Path]
) -> None:
    arbench.push_board("org/board", [result(1)])
    board = hub.repos["dataset", "org/board"]

    def somebody_else() -> None:
        hub.before_commit = lambda: None
        files = board.head.files.items()
        board.add("taken back", {p: blob for p, blob in files if "/bernoulli-00000001" not in p})

    hub.before_commit = somebody_else
    arbench.push_board("org/board", [result(2)])
    assert results(hub) == rows(hub) == 1


def test_a_lost_answer_doubles_no_row(hub: HubServer, result: Callable[[int], Path]) -> None:
    arbench.push_board("org/board", [result(1)])
    hub.faults = [Fault("POST /api/datasets/org/board/commit", "lost", times=1)]
    arbench.push_board("org/board", [result(2)])
    assert results(hub) == rows(hub) == 2
    assert len(hub.repos["dataset", "org/board"].commits) == 3


@pytest.mark.parametrize("count", [8, pytest.param(32, marks=pytest.mark.slow)])
def test_threads_lose_and_double_no_row(
    hub: HubServer, result: Callable[[int], Path], count: int
) -> None:
    runs = [result(number) for number in range(count)]
    with ThreadPoolExecutor(count) as pool:
        commits = {
            pushed.commit
            for pushed in pool.map(lambda run: arbench.push_board("org/board", [run]), runs)
        }
    assert results(hub) == rows(hub) == count
    assert len(commits) == count
    assert len(hub.repos["dataset", "org/board"].commits) == count + 1


@pytest.mark.slow
def test_four_processes_lose_no_row(hub: HubServer, result: Callable[[int], Path]) -> None:
    environment = {**os.environ, "HF_HUB_DOWNLOAD_TIMEOUT": "30"}
    children = [
        subprocess.Popen(
            [sys.executable, "-c", PUSH, *(str(result(10 * child + n)) for n in range(3))],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for child in range(4)
    ]
    for child in children:
        _, errors = child.communicate(timeout=250)
        assert child.returncode == 0, errors
    assert results(hub) == rows(hub) == 12
