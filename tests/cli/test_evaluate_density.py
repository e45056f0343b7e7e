"""`arbench evaluate --density`: somebody else's object, named on the command line."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import pytest

from arbench.cli import main
from arbench.runs.record.record import Record

CODE = """
import math
import torch
import arbench

class Coins:
    def __init__(self, spec):
        self.spec = spec

    def log_prob(self, x, scored=None):
        counted = torch.ones_like(x) if scored is None else scored
        return -math.log(self.spec.domain.size) * counted.flatten(1).sum(1).double()

    def sample(self, n):
        return torch.randint(self.spec.domain.size, (n, *self.spec.shape))

class Wrong(Coins):
    def log_prob(self, x, scored=None):
        return super().log_prob(x, scored) - 1

bits = Coins(arbench.open_task("toy-markov").spec)
adapted = arbench.ForeignDensity(bits, spec=bits.spec, kind="exact", library="torch")
number = 3
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a module of the user's in it."""
    (tmp_path / "mine.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    # The installed command has no current folder on its path, as `python -m` has.
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("target", "kind", "name"),
    [
        ("mine:Coins", ["--kind", "exact"], "coins"),
        ("mine:bits", ["--kind", "exact"], "bits"),
        ("mine:adapted", [], "adapted"),
    ],
)
def test_a_class_an_object_and_a_density_leave_a_folder(
    capsys: pytest.CaptureFixture[str], folder: Path, target: str, kind: list[str], name: str
) -> None:
    command = ["evaluate", "--density", target, "--task", "toy-markov", "--out", "out"]
    assert main([*command, *kind]) == 0
    assert "self-reported" in capsys.readouterr().out
    record = Record.read(folder / "out" / "record.json")
    assert record.splits["test"].nats_per_event == pytest.approx(32 * math.log(2))
    assert record.model.name == name
    assert record.model.plugin == ("torch" if name == "adapted" else "")
    assert main(["show", "out"]) == 0
    shown = capsys.readouterr().out
    assert "self-reported" in shown
    assert f"{name}: " in shown
    assert "trained elsewhere" in shown


def test_two_folders_compare_and_json_is_the_record_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for out in ("a", "b"):
        command = ["evaluate", "--density", "mine:adapted", "--task", "toy-markov", "--limit", "9"]
        assert main([*command, "--out", out, "--name", out, "--json"]) == 0
        assert Record.model_validate(json.loads(capsys.readouterr().out)).model.name == out
    assert main(["compare", "a", "b", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["difference_nats_per_event"] == 0
    assert found["verdict"] == "no verdict: a test needs at least 10 independent groups of events"


def test_a_stream_is_seen_through_windows(folder: Path) -> None:
    (folder / "text.txt").write_text("abcd" * 400)
    command = ["evaluate", "--density", "mine:Coins", "--kind", "exact", "--task", "text:text.txt"]
    assert main([*command, "--context", "12", "--stride", "5", "--out", "out"]) == 0
    record = Record.read(folder / "out" / "record.json")
    assert record.splits["test"].bits_per_dim == pytest.approx(2.0)
    assert record.windows is not None
    assert (record.windows.context, record.windows.stride) == (12, 5)


def test_checks_from_outside_come_first(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    command = ["evaluate", "--task", "toy-markov", "--kind", "exact", "--check", "--out", "out"]
    assert main([*command, "--density", "mine:Coins", "--limit", "9"]) == 0
    assert "none failed" in capsys.readouterr().err
    (folder / "out").rename(folder / "before")
    assert main([*command, "--density", "mine:Wrong"]) == 5
    assert "the probabilities of all events sum to 0.36" in capsys.readouterr().err
    assert not (folder / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "give a RUN, or --density"),
        (["run", "--density", "mine:bits"], 2, "give a RUN, or --density"),
        (["--density", "mine:bits"], 2, "needs a --task"),
        (["run", "--name", "x"], 2, "--name belongs to --density"),
        (["--density", "mine:bits", "--split", "train"], 2, "--split belongs to a RUN"),
        (["--density", "mine"], 2, "write MODULE:OBJECT"),
        (["--density", "yours:bits"], 2, "no module 'yours' in this folder"),
        (["--density", "mine:byts"], 2, "module 'mine' has no object 'byts'"),
        (["--density", "mine:bits"], 2, "say what log_prob is, with --kind"),
        (["--density", "mine:number", "--kind", "exact"], 2, "no log_prob and cannot be called"),
        (["--density", "mine:adapted", "--kind", "bound"], 2, "the density says that it is exact"),
        (["--density", "mine:adapted", "--context", "9"], 2, "--context is for a stream"),
        (["--density", "mine:adapted", "--stride", "9"], 2, "only a stream has a stride"),
        (["--density", "mine:bits", "--kind", "density"], 2, "say dequantisation='uniform'"),
    ],
)
def test_a_wrong_request_is_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, message: str
) -> None:
    task = [] if "needs a --task" in message or "run" in arguments else ["--task", "toy-markov"]
    assert main(["evaluate", *arguments, *task]) == code
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert message in lines[0]


def test_a_module_that_misses_another_says_which(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    (folder / "needy.py").write_text("import no_such_module\n")
    assert main(["evaluate", "--density", "needy:x", "--task", "toy-markov"]) == 1
    assert "No module named 'no_such_module'" in capsys.readouterr().err
