"""Models that are wrong at size only: `arbench check` passes them, and a run refuses them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from arbench.boards.results import read_runs
from arbench.cli import main
from arbench.registry.manager import registry
from arbench.runs.record.record import Record


@pytest.fixture(autouse=True)
def _plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The plugin of `at_size`, installed."""
    info = tmp_path / "site" / "at_size-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: at-size\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[arbench]\nat_size = at_size\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    registry.cache_clear()
    yield
    registry.cache_clear()


def run(folder: Path, task: str, model: str, *settings: str) -> int:
    """The exit code of a short run."""
    given = [part for setting in settings for part in ("--set", setting)]
    given += ["--epochs", "1", "--device", "cpu", "--out", str(folder)]
    return main(["run", "--task", task, "--model", model, *given])


# Task, model, head, the check that refuses it, and what it says.
CASES = [
    ("bits", "leaks-at-size", "", "causality", "leaks from the future"),
    ("bits", "leaks-at-size-and-steps", "", "causality", "leaks from the future"),
    ("levels", "leaks-at-size", "", "causality", "leaks from the future"),
    ("reals", "leaks-at-size", "gaussian", "causality", "leaks from the future"),
    ("bits", "leaks-at-its-end", "", "causality", "leaks from the future"),
    ("bits", "leaks-the-last-site", "", "causality", "when the values of site"),
    ("bits", "step-forgets-at-size", "", "step_equals_forward", "differs from forward by"),
    ("reals", "step-forgets-at-size", "", "step_equals_forward", "at site 101"),
    ("bits", "shifted-fast-step", "", "samples_follow", "less likely than log_prob expects"),
    ("bits", "decaying", "shifted-bernoulli", "samples_follow", "less likely"),
    ("levels", "decaying-steps", "shifted-categorical", "samples_follow", "less likely"),
    ("reals", "decaying-steps", "shifted-gaussian", "samples_follow", "less likely"),
    ("reals", "decaying-steps", "mean-gaussian", "samples_follow", "more likely"),
    ("bits", "decaying-steps", "unnormalised", "samples_follow", "more likely"),
]


@pytest.mark.parametrize(("task", "model", "head", "check", "said"), CASES)
def test_what_is_wrong_at_size_alone_is_refused(
    task: str,
    model: str,
    head: str,
    check: str,
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "runs" / "run"
    assert run(folder, f"large-{task}", model, *([f"head.name={head}"] if head else [])) == 5
    error = capsys.readouterr().err.splitlines()[-1]
    assert f"fails the check {check}: " in error
    assert said in error
    record = Record.read(folder / "record.json")
    assert (record.status, record.splits, record.speeds) == ("refused", {}, [])
    assert record.checks is not None
    failed = getattr(record.checks, check)
    assert failed.value > failed.threshold
    assert (folder / "model.safetensors").exists()  # it may be looked at
    assert not (folder / "per_event.safetensors").exists()
    found, left_out = read_runs(folder.parent)
    assert found == []
    assert "only finished runs" in left_out[0]
    assert main(["show", str(folder)]) == 0
    assert "refused" in capsys.readouterr().out
    assert main(["evaluate", str(folder)]) == 3
    assert "was refused and has no result" in capsys.readouterr().err
    if check == "step_equals_forward":  # trained to its end, and evaluated once more
        assert main(["resume", str(folder), "--device", "cpu"]) == 5
        assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("task", "model", "head"),
    [
        *((task, model, "") for task in ("bits", "levels") for model in ("", "-steps")),
        *(("reals", "-steps", head) for head in ("", "gaussian")),
    ],
)
def test_the_right_twin_is_not_refused(task: str, model: str, head: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    settings = [f"head.name={head}"] if head else []
    assert run(folder, f"large-{task}", f"decaying{model}", *settings) == 0
    record = Record.read(folder / "record.json")
    assert record.status == "finished"
    assert record.checks is not None
    assert (record.checks.step_equals_forward is not None) == (model == "-steps")
    for _, check in record.checks:
        assert check is None or check.value <= check.threshold


@pytest.mark.parametrize("model", ["leaks-at-size-and-steps", "step-forgets-at-size"])
def test_the_checks_of_tiny_events_pass_it(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Which is why a run has to look itself."""
    only = ["--only", "causality", "--only", "step_equals_forward"]
    assert main(["check", model, *only]) == 0
