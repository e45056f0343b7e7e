"""Loggers: what they are handed is the training curve, each point once, whatever interrupts it."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import arbench
from arbench import Interrupted, Logger, LogPoint, Record, Reporter
from arbench.cli import main

ROOT = Path(__file__).parent.parent.parent
SETTINGS = {"alternative": "free", "training.evaluations": 8, "training.checkpoint_seconds": 0.0}
TOY: dict[str, Any] = {"limit": 300, "epochs": 4, "settings": SETTINGS, "device": "cpu"}
KEYS = {
    ("train", "nats/event"): "train_nats_per_event",
    ("validation", "nats/event"): "validation_nats_per_event",
    ("validation", "bits/dim"): "validation_bits_per_dim",
}


class Kept(Logger):
    """Keeps what it is handed."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.points: list[LogPoint] = []
        self.record: Record | None = None
        self.steps_at_bar: list[int] = []

    def begin(self, folder, name, config) -> None:
        self.calls.append("begin")
        self.folder, self.name, self.config = folder, name, config

    def log(self, point: LogPoint) -> None:
        self.points.append(point)

    def end(self, record: Record) -> None:
        self.calls.append("end")
        self.record = record

    def close(self) -> None:
        self.calls.append("close")


class Broken(Logger):
    """Fails at its second point."""

    count = 0

    def log(self, point: LogPoint) -> None:
        self.count += 1
        if self.count == 2:
            raise OSError("no space on the server")


class Lines(Reporter):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def metrics(run: Path) -> list[dict[str, float]]:
    """The lines of a run's `metrics.jsonl`."""
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Step and value of the scalars in event files, by tag."""
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    return {
        tag: [(each.step, each.value) for each in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }


def expected(run: Path) -> dict[str, list[tuple[int, float]]]:
    """The same from `metrics.jsonl`; an event file has float32."""
    return {
        f"{unit.replace('/', '_per_')}/{what}": [
            (int(line["step"]), float(np.float32(line[key]))) for line in metrics(run)
        ]
        for (what, unit), key in KEYS.items()
    }


def test_event_files_have_the_values_of_the_curve(tmp_path: Path) -> None:
    kept, out = Kept(), tmp_path / "toy"
    run = arbench.run("toy-markov", "fvsbn", out=out, log=["tensorboard", kept], seed=3, **TOY)
    found = scalars(out / "tensorboard")
    wanted = expected(out)
    assert len(metrics(out)) >= 8
    assert {tag: found[tag] for tag in wanted} == wanted
    assert {*found} - {*wanted} == {"bits_per_dim/train"}
    lines = metrics(out)
    for (what, unit), key in KEYS.items():
        mine = [p for p in kept.points if (p.what, p.unit) == (what, unit)]
        assert [(p.step, p.value) for p in mine] == [(x["step"], x[key]) for x in lines]
    assert kept.calls == ["begin", "end", "close"]
    assert (kept.name, kept.config["task"], kept.config["seed"]) == ("toy", "toy-markov", 3)
    assert kept.config["training.evaluations"] == 8
    assert kept.record == run.record


class StopsAfter(Kept):
    """Ends the run without a checkpoint, once it has had points of so many steps."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.left = steps

    def log(self, point: LogPoint) -> None:
        super().log(point)
        if [(p.what, p.unit) for p in self.points].count(("validation", "bits/dim")) == self.left:
            raise KeyboardInterrupt


@pytest.mark.parametrize("seconds", [0.0, 1e6], ids=["at the point", "long before it"])
def test_a_killed_run_goes_on_without_a_point_twice(seconds: float, tmp_path: Path) -> None:
    """A checkpoint after every step; or none at all, so that points are measured again."""
    settings = {**SETTINGS, "training.checkpoint_seconds": seconds}
    out, killed = tmp_path / "toy", StopsAfter(4)
    with pytest.raises(Interrupted):  # no logger's failure: the run ends there and then
        arbench.run(
            "toy-markov",
            "fvsbn",
            out=out,
            log=["tensorboard", killed],
            **{**TOY, "settings": settings},
        )
    assert len(metrics(out)) == 4, "points come while the run trains, each at once"
    assert len(scalars(out / "tensorboard")["nats_per_event/validation"]) == 4
    kept = Kept()
    arbench.resume(out, device="cpu", log=["tensorboard", kept])
    assert len(metrics(out)) >= 8
    found, wanted = scalars(out / "tensorboard"), expected(out)
    assert {tag: found[tag] for tag in wanted} == wanted
    keys = [(each.step, each.what, each.unit) for each in kept.points]
    assert len(keys) == len({*keys})
    assert kept.record is not None
    assert kept.record.status == "finished"


def test_a_logger_that_fails_is_named_and_the_run_goes_on(tmp_path: Path) -> None:
    lines, kept = Lines(), Kept()
    run = arbench.run(
        "toy-markov",
        "fvsbn",
        out=tmp_path / "toy",
        log=[Broken(), kept],
        reporter=lines,
        **TOY,
    )
    (line,) = [line for line in lines.lines if "Broken" in line]
    assert "failed (OSError: no space on the server); the run goes on without it" in line
    assert run.record.status == "finished"
    assert len({each.step for each in kept.points}) == len(metrics(run.path))


class Enough(Exception):
    """What a search raises."""


class GivesUp(Kept):
    """Ends the run at its third point."""

    ends_run = (Enough,)

    def log(self, point: LogPoint) -> None:
        super().log(point)
        if len(self.points) == 3:
            raise Enough


def test_a_logger_ends_a_run_by_what_it_names_and_the_run_can_go_on(tmp_path: Path) -> None:
    first, gives_up, last = Kept(), GivesUp(), Kept()
    with pytest.raises(Enough):
        arbench.run("toy-markov", "fvsbn", out=tmp_path / "toy", log=[first, gives_up, last], **TOY)
    assert not (tmp_path / "toy" / "record.json").exists()
    assert [len(each.points) for each in (first, gives_up, last)] == [3, 3, 2]
    assert all(each.calls == ["begin", "close"] for each in (first, gives_up, last))
    assert arbench.resume(tmp_path / "toy").record.status == "finished"


def test_the_logger_of_the_page_is_a_plugin_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from arbench.registry.manager import registry

    page = (ROOT / "docs" / "loggers.md").read_text()
    (source,) = re.findall(r'```python title="csv_logger.py"\n(.*?)```', page, re.DOTALL)
    (tmp_path / "csv_logger.py").write_text(source)
    info = tmp_path / "csv_logger-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: csv-logger\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[arbench]\ncsv_logger = csv_logger\n")
    monkeypatch.syspath_prepend(tmp_path)
    registry.cache_clear()
    try:
        assert main(["list", "loggers"]) == 0
        assert {line.split()[0] for line in capsys.readouterr().out.splitlines()} >= {
            "csv",
            "tensorboard",
        }
        command = ["run", "--task", "toy-markov", "--model", "fvsbn", "--limit", "100"]
        command += ["--epochs", "2", "--device", "cpu", "--out", str(tmp_path / "toy"), "--log"]
        assert main([*command, "csv?name=own.csv"]) == 0
        assert main([*command, "csv?nmae=own.csv"]) == 2
        assert "no setting 'nmae': did you mean name?" in capsys.readouterr().err
        assert main([*command, "cvs"]) == 2
        assert "no logger is called 'cvs': did you mean csv?" in capsys.readouterr().err
        assert main([*command, "csv", "--seeds", "2"]) == 2
    finally:
        registry.cache_clear()
        sys.modules.pop("csv_logger", None)
    rows = [line.split(",") for line in (tmp_path / "toy" / "own.csv").read_text().splitlines()]
    values = [
        float(value)
        for _, what, value, unit in rows
        if (what, unit) == ("validation", "nats/event")
    ]
    assert values == [line["validation_nats_per_event"] for line in metrics(tmp_path / "toy")]
