"""Without a network: what needs none works, and whatever is imported asks for nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

Warm = Callable[..., list[str]]

# Every way to a socket is closed before the first line of arbench is read.
BLOCKED = """
import socket, sys
def refuse(*arguments, **options):
    raise AssertionError("a request")
socket.socket.connect = socket.socket.connect_ex = socket.socket.sendto = refuse
socket.create_connection = socket.getaddrinfo = socket.gethostbyname = refuse
"""
MAIN = "from arbench.cli import main\nsys.exit(main(sys.argv[1:]))\n"
IMPORT_ALL = """
import importlib, pathlib, arbench
root = pathlib.Path(arbench.__file__).parent
for file in sorted(root.rglob("*.py")):
    if "templates" not in file.parts and file.name != "__main__.py":
        parts = file.relative_to(root.parent).with_suffix("").parts
        importlib.import_module(".".join(parts).removesuffix(".__init__"))
from arbench.registry.manager import registry
offers = registry()
for found in (offers.models, offers.tasks, offers.heads):
    for offer in found.values():
        offer.load()
print(len(sys.modules))
"""
SMALL = ["--device", "cpu", "--limit", "50", "--out", "run"]


def blocked(
    program: str, *arguments: str, folder: Path, python: Sequence[str] = (sys.executable,)
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*python, "-c", BLOCKED + program, *arguments],
        capture_output=True,
        text=True,
        timeout=200,
        cwd=folder,
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--help"], "Usage: arbench"),
        (["list"], "mnist-mini"),
        (["list", "zoo"], "mnist-mini/nade"),
        (["show", "mnist-mini/nade"], "nade"),
        (["verify", "mnist-mini/nade"], "nade"),
        (["leaderboard", "mnist"], "nade"),
        (["check", "model:bernoulli", "--only", "causality"], "causality"),
        (["check", "toy-parity"], "splits_disjoint"),
        (["run", "--task", "mnist-mini", "--model", "bernoulli", *SMALL], "bernoulli"),
        (["run", "--task", "toy-markov", "--model", "bernoulli", *SMALL], "bernoulli"),
    ],
    ids=lambda value: " ".join(value[:3]) if isinstance(value, list) else None,
)
def test_it_works(
    arguments: list[str], said: str, warm: Warm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ARBENCH_DATA", raising=False)
    monkeypatch.setenv("ARBENCH_CACHE", str(tmp_path / "cache"))
    done = blocked(MAIN, *arguments, folder=tmp_path, python=warm())
    assert done.returncode == 0, done.stderr
    assert said in done.stdout


def test_importing_everything_asks_for_nothing(tmp_path: Path) -> None:
    done = blocked(IMPORT_ALL, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 500


def test_the_sockets_are_blocked(tmp_path: Path) -> None:
    ask = "import urllib.request\nurllib.request.urlopen('http://127.0.0.1:9/')"
    done = blocked(ask, folder=tmp_path)
    assert "AssertionError: a request" in done.stderr
