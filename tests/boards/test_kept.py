"""The boards that `leaderboards/<task>.json` holds: those of the results, shown without torch."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from making import KEPT

from arbench.boards import kept
from arbench.boards.boards import make_boards
from arbench.boards.kept import kept_boards
from arbench.boards.results import kept_records

# Whoever imports torch fails, as where nobody has installed it.
WITHOUT_TORCH = """
import sys
from importlib.abc import MetaPathFinder

class Refusal(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ImportError("there is no torch")

sys.meta_path.insert(0, Refusal())
from arbench.cli import main
sys.exit(main(sys.argv[1:]))
"""
HEAVY = {"numpy", "pandas", "pydantic", "scipy"}


def without_torch(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, *arguments], capture_output=True, text=True
    )


@pytest.mark.parametrize("unchecked", [False, True])
def test_they_are_the_boards_of_the_results(unchecked: bool) -> None:
    ready = kept_boards(unchecked=unchecked)
    assert ready is not None
    made = make_boards(KEPT, unchecked=unchecked)
    # As JSON has them, since what is read holds no results.
    plain = [json.loads(json.dumps([board.to_json() for board in each])) for each in (ready, made)]
    assert plain[0] == plain[1]


def test_torch_is_not_needed() -> None:
    (board, _) = json.loads(without_torch("leaderboard", "mnist", "--format", "json").stdout)
    own = [board for board in make_boards(KEPT) if (board.task, board.kind) == ("mnist", "exact")]
    assert board == json.loads(json.dumps(own[0].to_json()))
    every = without_torch("leaderboard")
    assert every.returncode == 0, every.stderr
    assert "Holm" in every.stdout
    # Of a task that papers alone have numbers on, and of one that is none.
    assert "(unchecked)" in without_torch("leaderboard", "uci-adult", "--unchecked").stdout
    misspelt = without_torch("leaderboard", "mnits")
    assert misspelt.returncode == 2
    assert "did you mean mnist" in misspelt.stderr


def test_nothing_that_is_slow_to_import_is_imported() -> None:
    code = "import sys; from arbench.cli import main; main(['leaderboard']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    loaded = {name.partition(".")[0] for name in done.stdout.splitlines()[-1].split()}
    assert "arbench" in loaded
    assert not loaded & {*HEAVY, "torch"}


def _other_record(folder: Path) -> None:
    record = next(folder.glob("*.json"))
    record.write_text(record.read_text().replace('"seed": 0', '"seed": 1'))


def _other_values(folder: Path) -> None:
    next(folder.glob("*.safetensors")).write_bytes(b"others")


def _one_less(folder: Path) -> None:
    next(folder.glob("verified/*.json")).unlink()


@pytest.mark.parametrize("change", [_other_record, _other_values, _one_less])
def test_what_no_longer_fits_the_results_is_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None]
) -> None:
    shutil.copytree(kept_records() / "uci-dna", tmp_path / "records" / "uci-dna")
    shutil.copy(kept_records().parent / "uci-dna.json", tmp_path)
    monkeypatch.setattr(kept, "_kept_records", lambda: tmp_path / "records")
    assert kept_boards("uci-dna")
    change(tmp_path / "records" / "uci-dna")
    assert kept_boards("uci-dna") is None
    assert kept_boards() is None
    (tmp_path / "uci-dna.json").unlink()
    assert kept_boards("uci-dna") is None


def test_a_paper_s_number_that_changes_is_a_reason_too(monkeypatch: pytest.MonkeyPatch) -> None:
    assert kept_boards("mnist")
    others = kept.published_results("mnist")[1:]
    monkeypatch.setattr(kept, "published_results", lambda task: others)
    assert kept_boards("mnist") is None
