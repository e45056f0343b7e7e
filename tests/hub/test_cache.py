"""The cache of downloaded runs: full and read-only it serves, and what it cannot do it says."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hub_server import HubServer

import arbench
from arbench.cli import main

NOBODY = 65534


def as_nobody(work: Callable[[], object]) -> int:
    """Run in a child process that may write nowhere; returns its exit code."""
    if os.getuid() != 0:
        pytest.skip("needs to be root, to become somebody who may write nowhere")

    def child() -> None:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        work()

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(60)
    assert process.exitcode is not None
    return process.exitcode


@pytest.fixture
def readable(tmp_path: Path) -> None:
    """Let others look into pytest's folders, which are for their owner alone."""
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)


@pytest.mark.usefixtures("readable")
def test_a_full_cache_need_not_be_writable(hub: HubServer, trained: Path, cache: Path) -> None:
    commit = arbench.push(trained, "org/floor").commit
    arbench.download("hf:org/floor")
    before = {*cache.rglob("*")}
    names = ("hf:org/floor", f"hf:org/floor@{commit}")
    assert as_nobody(lambda: [arbench.load(name) for name in names]) == 0
    assert {*cache.rglob("*")} == before


@pytest.mark.usefixtures("readable")
def test_a_cache_that_cannot_be_written_is_named_with_its_variable(
    hub: HubServer, trained: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arbench.push(trained, "org/floor")
    capfd.readouterr()
    assert as_nobody(lambda: os._exit(main(["download", "hf:org/floor"]))) == 3
    (line,) = capfd.readouterr().err.splitlines()
    assert "cannot write to" in line
    assert "ARBENCH_CACHE" in line
