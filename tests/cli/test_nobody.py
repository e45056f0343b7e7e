"""A user who owns nothing: no home, no folder that can be written, perhaps no cache."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from arbench.cli import main
from arbench.data.sources import SourceFile

NOBODY = 65534
# Linux: the right to read everything, and how it outlives a change of the user and of the program.
CAP_DAC_READ_SEARCH, CAPABILITY_VERSION = 2, 0x20080522
PR_SET_KEEPCAPS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 8, 47, 2
MAIN = "import sys; from arbench.cli import main; sys.exit(main(sys.argv[1:]))"
CONTENT = b"0110"
SOURCE = SourceFile(
    path="probe/bits.txt",
    urls=("http://127.0.0.1:9/bits.txt",),  # the discard port: nobody answers there
    sha256=hashlib.sha256(CONTENT).hexdigest(),
)
FETCH = f"""
import sys
from arbench.errors import ArbenchError
from arbench.data.sources import SourceFile, fetch
try:
    print(fetch({SOURCE!r}).read_bytes())
except ArbenchError as error:
    print(f"{{type(error).__name__}}: {{error}}")
"""
COMPILED = """
import torch
from arbench import Discrete, EventSpec, Layout
from arbench_nade.network import NADE
network = NADE(Layout(EventSpec((256,), Discrete(2))), 1, hidden=256)
network(torch.ones(2, 256, 1, dtype=torch.int64)).sum().backward()
print(network.forward_kernel)
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that everybody may enter and nobody else may write; pytest's own are private."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def become_nobody() -> None:
    """Take on user 65534, who may write nothing of others; root's right to read stays.

    It has to: Python may be installed where only root enters.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    read = 1 << CAP_DAC_READ_SEARCH
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)
    sets = (ctypes.c_uint32 * 6)(read, read, read)  # effective, permitted, inheritable
    failed = libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    failed |= libc.capset(header, sets)
    failed |= libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_READ_SEARCH, 0, 0)
    if failed:
        raise OSError(ctypes.get_errno(), "capset")


def as_nobody(
    program: str, *arguments: str, folder: Path, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run Python as user 65534, or as oneself where one is not root, without a home."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("ARBENCH_", "XDG_", "HF_"))}
    kept.pop("HOME", None)
    path = os.pathsep.join(filter(None, sys.path))
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={**kept, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", **variables},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=200,
        preexec_fn=become_nobody if os.getuid() == 0 else None,
    )


def test_nobody_writes_nothing_here(place: Path) -> None:
    place.chmod(0o555)
    done = as_nobody("open('x', 'w')", folder=place)
    assert "PermissionError" in done.stderr


@pytest.mark.parametrize("home", [None, "/nonexistent"])
def test_it_works_without_a_home(place: Path, home: str | None) -> None:
    out = place / "runs"
    out.mkdir()
    out.chmod(0o777)
    variables = {} if home is None else {"HOME": home}
    small = ["--device", "cpu", "--limit", "50", "--out", str(out / "run")]
    for command in (
        ["list"],
        ["run", "--task", "mnist-mini", "--model", "bernoulli", *small],
    ):
        done = as_nobody(MAIN, *command, folder=place, **variables)
        assert done.returncode == 0, done.stderr
    assert (out / "run" / "record.json").exists()
    assert [path.name for path in place.iterdir()] == ["runs"]


def test_what_cannot_be_kept_is_compiled_all_the_same(place: Path) -> None:
    done = as_nobody(COMPILED, folder=place, HOME="/nonexistent")
    assert done.stdout == "compiled\n", done.stderr


def test_a_finished_run_in_a_folder_that_may_not_be_written_is_resumed(place: Path) -> None:
    run = place / "run"
    arguments = ["--task", "toy-markov", "--model", "bernoulli", "--limit", "50"]
    assert main(["run", *arguments, "--device", "cpu", "--out", str(run)]) == 0
    (run / "README.md").unlink()  # which would be made again if it could
    run.chmod(0o555)
    done = as_nobody(MAIN, "resume", str(run), "--json", folder=place)
    run.chmod(0o755)
    assert done.returncode == 0, done.stderr
    assert done.stderr == f"{run} is finished: there is nothing to resume\n"


def test_a_full_cache_is_enough_and_an_empty_one_is_named_with_its_variable(place: Path) -> None:
    cache = place / "cache"
    (cache / "probe").mkdir(parents=True)
    (cache / "probe" / "bits.txt").write_bytes(CONTENT)
    done = as_nobody(FETCH, folder=place, ARBENCH_CACHE=str(cache))
    assert done.stdout == f"{CONTENT!r}\n", done.stderr
    (cache / "probe" / "bits.txt").unlink()
    done = as_nobody(FETCH, folder=place, ARBENCH_CACHE=str(cache))
    assert done.stdout.startswith(f"DataError: cannot write to {cache / 'probe'} (Permission"), done
    assert "set ARBENCH_CACHE to a folder that can be written" in done.stdout
    assert done.stdout.count("\n") == 1


@pytest.mark.parametrize("home", [None, "/nonexistent"])
def test_no_home_for_a_cache_is_one_line_with_the_variable(place: Path, home: str | None) -> None:
    """Where there is a home in the list of users, it is not one that can be written."""
    variables = {} if home is None else {"HOME": home}
    done = as_nobody(FETCH, folder=place, **variables)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    assert "DataError: cannot write to" in done.stdout
    assert "ARBENCH_CACHE" in done.stdout
