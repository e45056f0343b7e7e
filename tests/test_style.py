"""Rules for every tracked file that no linter knows."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAX_LINES = 400
VAGUE = {"utils", "util", "common", "helpers", "helper", "misc"}
# A path of somebody's machine, the host name of a package registry, or work left undone.
FORBIDDEN = re.compile(
    r"(?<![\w./~-])/(work|root|home/\w+|Users/\w+|opt/\w+)/"
    r"|\b(files\.)?py(pi|thonhosted)\.org"
    r"|\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b"
)


@pytest.fixture(scope="module")
def tracked() -> list[Path]:
    """The tracked files, relative to the root."""
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip("this is no git checkout, so nothing is tracked")
    return [Path(name) for name in done.stdout.split("\0") if (ROOT / name).is_file()]


def test_files_stay_short(tracked: list[Path]) -> None:
    lengths = {
        str(file): len((ROOT / file).read_text().splitlines())
        for file in tracked
        if file.suffix == ".py"
    }
    most = {file: MAX_LINES + 20 * file.startswith("tests/") for file in lengths}
    assert {file: length for file, length in lengths.items() if length > most[file]} == {}


def test_no_file_has_a_vague_name(tracked: list[Path]) -> None:
    assert [file for file in tracked if {*file.parts, file.stem} & VAGUE] == []


def test_nothing_of_one_machine_and_nothing_undone(tracked: list[Path]) -> None:
    found = []
    for file in tracked:
        try:
            text = (ROOT / file).read_text()
        except UnicodeDecodeError:
            continue  # binary: data and weights
        found += [f"{file}: {match.group()}" for match in FORBIDDEN.finditer(text)]
    assert found == []


def test_the_forbidden_pattern_finds_what_it_should() -> None:
    for text in ("see /home/" + "ann/x", "'/opt/" + "venv/bin'", "TO" + "DO: later"):
        assert FORBIDDEN.search(text), text
    for text in ("https://arxiv.org/home/x/", "runs/work/x", "./work/x"):
        assert not FORBIDDEN.search(text), text
