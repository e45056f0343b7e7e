"""Names made to do harm, wherever one is taken: refused, and nothing is written or asked."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import arbench
from arbench.boards.speeds import SpeedReport
from arbench.cli import main
from arbench.errors import ArbenchError, CheckpointError, ConfigError, DataError
from arbench.files.canonical import canonical_sha256
from arbench.probability.foreign import ForeignDensity
from arbench.registry.entries import (
    CommandEntry,
    HeadEntry,
    LauncherEntry,
    LoggerEntry,
    ModelEntry,
    TaskEntry,
)
from arbench.runs.config import RunConfig
from arbench.runs.queue import read_queue
from arbench.runs.record.record import Record
from arbench.scaffold.projects import KINDS, Project
from arbench.training.checkpoints import CheckpointStore, Progress

HOSTILE = [
    *("", ".", "..", "/", "~", "~root", "$HOME", ".hidden", "_private", "-x", "--help"),
    *("../x", "x/..", "a/../../b", "a/b", "/etc/passwd", "\\", "..\\x", "C:\\x", "C:x"),
    *(" ", " x", "x\n", "a\tb", "\0", "x\0.json", "a;b", "a|b", "os:system", "a%2f..", "a*"),
    *("Upper", "é", "\uff41", "\u202egnp", "x" * 65),
]
# The Hub's own names may have capitals, and be longer.
HOSTILE_ON_THE_HUB = [name for name in HOSTILE if name not in ("Upper", "x" * 65)]
each = pytest.mark.parametrize("name", HOSTILE, ids=ascii)
each_on_the_hub = pytest.mark.parametrize("name", HOSTILE_ON_THE_HUB, ids=ascii)


def test_the_table_is_long_and_has_no_name_twice() -> None:
    assert len(HOSTILE) == len(set(HOSTILE)) >= 30


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run that the tests of this file only read."""
    out = tmp_path_factory.mktemp("runs") / "run"
    return arbench.run("toy-markov", "bernoulli", limit=50, device="cpu", out=out).path


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, the current one, and a Hub where nobody answers."""
    folder = tmp_path / "outer" / "inner"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_TOKEN", "hf_none")
    monkeypatch.setenv("ARBENCH_CACHE", str(folder / "cache"))
    return folder


def nothing_beside(folder: Path) -> bool:
    """Whether the folder, the one around it and the cache are as they were."""
    return {*folder.parent.parent.rglob("*")} == {folder.parent, folder}


ENTRIES: dict[str, Callable[[str], object]] = {
    "model": lambda name: ModelEntry(name=name, network="a.b:C"),
    "task": lambda name: TaskEntry(name=name, task="a.b:C"),
    "head": lambda name: HeadEntry(name=name, head="a.b:C"),
    "command": lambda name: CommandEntry(name=name, command="a.b:c"),
    "launcher": lambda name: LauncherEntry(name=name, launcher="a.b:C"),
    "logger": lambda name: LoggerEntry(name=name, logger="a.b:C"),
    "alias": lambda name: ModelEntry(name="a", network="a.b:C", aliases=(name,)),
}


@each
def test_nobody_registers_it(name: str) -> None:
    for make in ENTRIES.values():
        with pytest.raises(ValueError, match="does not match"):
            make(name)


@each
def test_no_project_is_called_so(name: str, empty: Path) -> None:
    for kind in KINDS:
        with pytest.raises(ConfigError, match="is no name for a"):
            Project(kind, name)
        assert main(["new", kind, "--", name]) == 2
    assert nothing_beside(empty)


@each
def test_no_run_of_a_queue_is_called_so(name: str, tmp_path: Path) -> None:
    queue = tmp_path / "queue.toml"
    queue.write_text(f'[[run]]\ntask = "mnist"\nmodel = "made"\nname = {json.dumps(name)}\n')
    with pytest.raises(ConfigError, match="run.0.name = .* should match pattern"):
        read_queue(queue)


@each
def test_no_density_is_evaluated_under_it(name: str, empty: Path, run: Path) -> None:
    density = ForeignDensity(arbench.load(run), spec=arbench.load(run).spec, kind="exact")
    with pytest.raises(ConfigError, match="is no name"):
        arbench.evaluate_density(density, "toy-markov", name=name)
    assert nothing_beside(empty)


REFUSED = "(should match pattern|holds the control character)"


def copied(source: Path, target: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """A document with something changed."""
    raw = json.loads(source.read_text())
    change(raw)
    target.write_text(json.dumps(raw))
    return target


@each
@pytest.mark.parametrize("key", ["task", "model", "head"])
def test_no_configuration_holds_it(name: str, key: str, run: Path, tmp_path: Path) -> None:
    config = copied(
        run / "config.json", tmp_path / "config.json", lambda raw: raw.update({key: name})
    )
    with pytest.raises(CheckpointError, match=f"{key} = .* {REFUSED}"):
        RunConfig.read(config)


@each
@pytest.mark.parametrize("key", ["task", "model"])
def test_no_record_and_no_report_of_speed_holds_it(
    name: str, key: str, run: Path, tmp_path: Path
) -> None:
    record = copied(
        run / "record.json", tmp_path / "record.json", lambda raw: raw[key].update(name=name)
    )
    with pytest.raises(DataError, match=f"{key}.name = .* {REFUSED}"):
        Record.read(record)
    (report,) = SpeedReport.of_record(Record.read(run / "record.json"))
    report.write(tmp_path / "speed.json")
    copied(tmp_path / "speed.json", tmp_path / "speed.json", lambda raw: raw.update({key: name}))
    with pytest.raises(DataError, match=f"{key} = .* {REFUSED}"):
        SpeedReport.read(tmp_path / "speed.json")


@each
def test_no_checkpoint_points_to_it(name: str, tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path / "run" / "checkpoint")
    store.save(Progress(step=1), {"w": torch.zeros(1)})
    file = store.folder / "state.json"
    state = json.loads(file.read_text()) | {"tensors": name}
    # As somebody would who binds it again.
    del state["state_sha256"]
    file.write_text(json.dumps({**state, "state_sha256": canonical_sha256(state)}))
    with pytest.raises(
        CheckpointError, match="outside its folder|holds the control character|no such file"
    ):
        store.load()


@each_on_the_hub
def test_no_repository_is_called_so(name: str, empty: Path, run: Path) -> None:
    arguments = ["run", "--task", "toy-markov", "--model", "bernoulli", "--limit", "50"]
    for repository in (f"{name}/x", f"x/{name}"):
        assert main(["push", str(run), f"--to={repository}"]) == 2
        assert main(["push", str(run), f"--board={repository}"]) == 2
        assert main(["push", f"--space={repository}"]) == 2
        assert main(["download", f"hf:{repository}"]) == 2
    assert main([*arguments, f"--push={name}"]) == 2
    assert nothing_beside(empty)


@each_on_the_hub
def test_no_revision_is_called_so(name: str, empty: Path) -> None:
    if name:  # after the @ nothing stands for main
        with pytest.raises(ConfigError, match="is no revision"):
            arbench.load(f"hf:org/name@{name}")
    assert nothing_beside(empty)


@pytest.mark.parametrize("name", [n for n in HOSTILE if "\0" not in n], ids=ascii)
@pytest.mark.parametrize(
    "verb", ["show", "data", "check", "leaderboard", "evaluate", "sample", "verify", "download"]
)
def test_a_verb_answers_in_one_line(
    name: str, verb: str, empty: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A NUL is not among them: no system hands one to a process."""
    assert main([verb, "--", name]) in (2, 3)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("arbench: error: ")
    assert "unexpected" not in line
    assert nothing_beside(empty)


@each
def test_no_run_is_of_it(name: str, empty: Path) -> None:
    for request in ((name, "bernoulli"), ("toy-markov", name)):
        with pytest.raises(ArbenchError):
            arbench.run(*request, device="cpu")
    with pytest.raises(ConfigError):
        arbench.run("toy-markov", "bernoulli", settings={"head": name}, device="cpu")
    with pytest.raises(ConfigError):
        arbench.run("toy-markov", "bernoulli", settings={name: 1}, device="cpu")
    assert nothing_beside(empty)
