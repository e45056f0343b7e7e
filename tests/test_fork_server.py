"""A program that is forked is what it would be by itself, except that torch is imported."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

Shell = Callable[..., subprocess.CompletedProcess[str]]
Warm = Callable[..., list[str]]

TOLD = """
import json, os, sys
print(json.dumps([
    sys.argv, sys.path, sys.prefix, sys.executable, os.getcwd(), dict(os.environ), os.umask(0),
    sys.stdin.read(), sys.stdout.encoding, sys.stdin.isatty(), __name__,
]))
"""


def outcome(command: list[str], folder: Path) -> tuple[int, str, str]:
    """How a command ends and what it prints."""
    previous = os.umask(0o027)
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(folder), "WORD": "\udcff é"},
            input="given",
            capture_output=True,
            text=True,
            timeout=120,
        )
    finally:
        os.umask(previous)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("arguments", [["-c", TOLD, "a", "-b"], ["-m", "told", "a", "-b"]])
def test_a_program_finds_what_it_would_find_by_itself(
    arguments: list[str], warm: Warm, tmp_path: Path
) -> None:
    (tmp_path / "told.py").write_text(TOLD)
    alone = outcome([sys.executable, *arguments], tmp_path)
    assert alone[0] == 0, alone
    assert outcome([*warm(), *arguments], tmp_path) == alone


@pytest.mark.parametrize(
    ("code", "status", "said"),
    [
        ("", 0, ""),
        ("raise SystemExit(3)", 3, ""),
        ("raise SystemExit('no')", 1, "no\n"),
        ("1 / 0", 1, "ZeroDivisionError: division by zero\n"),
        ("import os; os.kill(os.getpid(), 9)", 137, ""),
    ],
)
def test_a_program_ends_as_it_would(
    code: str, status: int, said: str, warm: Warm, tmp_path: Path
) -> None:
    found, _, stderr = outcome([*warm(), "-c", code], tmp_path)
    assert found == status
    assert stderr.endswith(said)


def test_another_python_has_its_own_packages(shell: Shell) -> None:
    code = "python -c 'import sys; print(sys.prefix, sys.executable, sys.path)'"
    assert shell(code).stdout == shell(code, fresh=True).stdout != ""


def test_torch_is_imported_and_arbench_is_not(warm: Warm, tmp_path: Path) -> None:
    code = "import sys; print(*(name in sys.modules for name in ('torch', 'arbench')))"
    assert outcome([*warm(), "-c", code], tmp_path) == (0, "True False\n", "")


def lives(process: int) -> bool:
    """Whether there is such a process."""
    with suppress(ProcessLookupError):
        os.kill(process, 0)
        return True
    return False


def test_a_program_for_which_nobody_waits_is_ended(warm: Warm, tmp_path: Path) -> None:
    code = "import os, time; open('pid', 'w').write(f'{os.getpid()} '); time.sleep(100)"
    asker = subprocess.Popen([*warm(), "-c", code], cwd=tmp_path)
    written = tmp_path / "pid"
    while not (written.exists() and written.read_text().endswith(" ")):
        time.sleep(0.01)
    asker.kill()
    asker.wait()
    while lives(int(written.read_text())):
        time.sleep(0.01)
