"""The cache of downloaded runs: full and read-only it serves, and what it cannot do it says."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hub_server import HubServer

import arbench
from arbench.cli import main

# Linux: what lets root pass by the permissions of files, and the version of the call's structures.
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 1, 2
CAPABILITY_VERSION = 0x20080522


def obey_permissions() -> None:
    """Give up what lets root write where it may not; for others nothing changes."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)
    # Two triples: effective, permitted and inheritable, low words first.
    sets = (ctypes.c_uint32 * 6)()
    if libc.capget(header, sets):
        raise OSError(ctypes.get_errno(), "capget")
    sets[0] &= ~(1 << CAP_DAC_OVERRIDE | 1 << CAP_DAC_READ_SEARCH)
    if libc.capset(header, sets):
        raise OSError(ctypes.get_errno(), "capset")


def with_permissions(work: Callable[[], object]) -> int:
    """Run in a child process that obeys the permissions of files; returns its exit code."""

    def child() -> None:
        obey_permissions()
        work()

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(60)
    assert process.exitcode is not None
    return process.exitcode


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Nobody may change what is in the folder, nor below it."""
    folders = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    for path in folders:
        path.chmod(0o555)
    try:
        yield
    finally:
        for path in folders:
            path.chmod(0o755)


def test_permissions_hold_for_root_too(tmp_path: Path) -> None:
    with read_only(tmp_path):
        assert with_permissions((tmp_path / "file").touch) == 1
    assert with_permissions((tmp_path / "file").touch) == 0


def test_a_full_cache_need_not_be_writable(hub: HubServer, trained: Path, cache: Path) -> None:
    commit = arbench.push(trained, "org/floor").commit
    arbench.download("hf:org/floor")
    before = {*cache.rglob("*")}
    names = ("hf:org/floor", f"hf:org/floor@{commit}")
    with read_only(cache):
        assert with_permissions(lambda: [arbench.load(name) for name in names]) == 0
    assert {*cache.rglob("*")} == before


def test_a_cache_that_cannot_be_written_is_named_with_its_variable(
    hub: HubServer, trained: Path, cache: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arbench.push(trained, "org/floor")
    capfd.readouterr()
    cache.mkdir(exist_ok=True)
    with read_only(cache):
        assert with_permissions(lambda: os._exit(main(["download", "hf:org/floor"]))) == 3
    (line,) = capfd.readouterr().err.splitlines()
    assert "cannot write to" in line
    assert "ARBENCH_CACHE" in line
