"""The README says what is so: its commands exist, its list is complete, its example runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
LISTED_INSIDE = ("arbench", "plugins", "tasks")


def blocks(language: str) -> list[str]:
    """The README's fenced blocks in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def listed() -> set[str]:
    """The paths that the README's list describes; folders end in a slash."""
    (text,) = blocks("text")
    paths, folders = set(), list[str]()
    for line in text.splitlines():
        indent, name, description = re.fullmatch(r"( *)(\S+) +(\S.*)", line).groups()
        assert description
        del folders[len(indent) // 2 :]
        paths.add("".join(folders) + name)
        folders.append(name)
    return paths


def test_the_list_has_a_line_for_every_file_and_folder() -> None:
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip("this is no git checkout, so nothing is tracked")
    expected = set()
    for name in done.stdout.splitlines():
        top, *rest = name.split("/")
        expected.add(f"{top}/" if rest else top)
        if top in LISTED_INSIDE and name.endswith(".py") and rest[0] != "examples":
            inner = [top, *rest]
            expected |= {"/".join(inner[:n]) + "/" for n in range(2, len(inner))}
            expected |= {name} - {name.replace(inner[-1], "__init__.py")}
    assert listed() - {"plugins/examples/"} == expected


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    assert targets == {
        *(
            "help",
            "run",
            "test",
            "test-all",
            "bench",
            "mutants",
            "versions",
            "dist",
            "gpu",
            "gpu-report",
            "gpu-wheels",
            "check",
            "docs",
            "format",
        )
    }
    used = set(re.findall(r"^make ([a-z-]+)", "\n".join(blocks("sh")), re.MULTILINE))
    assert {"run", "test"} <= used <= targets


def test_commands_and_their_options_exist() -> None:
    commands = re.findall(r"^arbench (\S+)(.*?)(?:  #.*)?$", "\n".join(blocks("sh")), re.MULTILINE)
    assert len(commands) > 4
    for verb, rest in commands:
        done = subprocess.run(
            [sys.executable, "-m", "arbench", verb, "--help"],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        for option in re.findall(r"(?<!\S)-{1,2}[a-z]+", rest):
            assert re.search(rf"(?<!\S){option}\b", done.stdout), f"arbench {verb} {option}"


def test_the_python_example_runs(tmp_path: Path) -> None:
    (code,) = blocks("python")
    assert '"60s"' in code
    done = subprocess.run(
        [sys.executable, "-c", code.replace('"60s"', '"2s"')],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    nats = float(done.stdout.splitlines()[0])
    assert 60 < nats < 28 * 28
