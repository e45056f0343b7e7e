"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
import sysconfig
import tempfile
import venv
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from making import MakeResult, maker

Shell = Callable[..., subprocess.CompletedProcess[str]]
Warm = Callable[..., list[str]]
FORK_SERVER = Path(__file__).with_name("fork_server.py")
# Compiling takes seconds a network, so tests of other things take Python steps.
# `ARBENCH_KERNEL=native pytest tests/conformance` proves every promise with native ones.
os.environ.setdefault("ARBENCH_KERNEL", "python")
# What is timed is to be alone on the machine; processes of one test session are not each other's.
os.environ["ARBENCH_MACHINE_LOCK"] = f"{tempfile.gettempdir()}/arbench-test-{os.getpid()}.lock"


@pytest.fixture(autouse=True)
def _deterministic() -> None:
    """Every test starts from the same generator state, alone or in company."""
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Tensors of tests are tiny, threads would only wait; a benchmark may set more itself."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data, `$ARBENCH_DATA`; without it the test is skipped and says why."""
    folder = os.environ.get("ARBENCH_DATA")
    if not folder:
        pytest.skip("ARBENCH_DATA is not set: this test needs real data")
    return Path(folder)


@pytest.fixture(scope="session")
def warm() -> Iterator[Warm]:
    """What to write for a Python, so that torch is imported already; see `fork_server`."""
    python = [sys.executable, "-I", "-S", str(FORK_SERVER)]
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        address = f"{folder}/socket"
        listener.bind(address)
        listener.listen()
        server = subprocess.Popen(
            [*python, "serve", str(listener.fileno())],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            pass_fds=[listener.fileno()],
        )
        yield lambda wanted=sys.executable: [*python, "ask", address, str(wanted)]
        server.communicate()


@pytest.fixture(scope="module")
def shell(warm: Warm, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """Runs bash scripts as a third party would: `pip` installs into an environment of their own.

    That environment sees the packages of this one too, and nothing is downloaded. A script runs in
    a folder of the module's own unless it is given another, and stops at the first failure. Its
    commands find torch imported already, unless it asks for a fresh start.
    """
    home = tmp_path_factory.mktemp("third-party")
    outer = sysconfig.get_path("purelib")
    venv.create(home / "venv")
    scheme = {"base": str(home / "venv"), "platbase": str(home / "venv")}
    site = Path(sysconfig.get_path("purelib", vars=scheme))
    # Not a plain line: only `addsitedir` looks at what is installed there to be edited.
    (site / "outer.pth").write_text(f"import site; site.addsitedir({outer!r})\n")
    (home / "warm").mkdir()
    python = home / "venv" / "bin" / "python"
    for script, command in {
        **{f"venv/bin/{name}": [python, "-m", name] for name in ("arbench", "pip", "pytest")},
        **{f"warm/{name}": [*warm(python), "-m", name] for name in ("arbench", "pytest")},
        "warm/python": warm(python),
    }.items():
        words = shlex.join(map(str, command))
        (home / script).write_text(f'#!/bin/sh\nexec {words} "$@"\n')
        (home / script).chmod(0o755)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("ARBENCH_", "PYTEST_"))}
    environment = {
        **kept,
        "OMP_NUM_THREADS": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_BUILD_ISOLATION": "0",  # pip reads this one the wrong way round
        "PIP_NO_INDEX": "1",
    }
    work = home / "work"
    work.mkdir()

    def run(
        script: str, folder: Path = work, *, fresh: bool = False, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        programs = [home / "venv" / "bin", os.environ["PATH"]]
        path = os.pathsep.join(map(str, programs if fresh else [home / "warm", *programs]))
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=folder,
            env={**environment, "PATH": path, **variables},
            capture_output=True,
            text=True,
            timeout=280,
        )

    return run


@pytest.fixture
def make_result(tmp_path: Path) -> MakeResult:
    """A maker of results; see `making.maker`."""
    return maker(tmp_path)
