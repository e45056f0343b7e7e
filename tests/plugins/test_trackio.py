"""What trackio has of a run, read with trackio itself, is what the run's own files say."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

# In a process of its own: trackio fixes its folder when it is imported.
READ = """
import json, sys, trackio
from trackio.sqlite_storage import SQLiteStorage
runs = trackio.Api().runs("toy-markov")
logs = [SQLiteStorage.get_logs(run.project, run.name, run_id=run.id) for run in runs]
print(json.dumps([{"name": r.name, "config": r.config, "logs": l} for r, l in zip(runs, logs)]))
"""
# As an interrupted run would, a second sitting hands over all points once more.
AGAIN = """
import json, sys
from pathlib import Path
from arbench import LogPoint
from arbench_trackio.logger import Trackio
for folder in sys.argv[1:]:
    logger = Trackio()
    logger.begin(Path(folder), "toy", json.loads((Path(folder) / "config.json").read_text()))
    logger.log(LogPoint(1, "train", 0.5, "nats/event", 0.0))
    logger.close()
"""
RUN = """
from arbench.cli import main
main("run --task toy-markov --model bernoulli --limit 100 --out toy --log trackio --json".split())
"""
Run = Callable[..., str]


@pytest.fixture
def asked(warm: Callable[..., list[str]], tmp_path: Path) -> Run:
    """Runs a program where trackio has a folder of the test."""
    env = {**os.environ, "TRACKIO_DIR": str(tmp_path / "trackio")}

    def run(*arguments: str) -> str:
        command = [*warm(), *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env=env, text=True, check=True, stdout=subprocess.PIPE
        ).stdout

    return run


def values(logs: list[dict[str, Any]], tag: str) -> list[tuple[int, float]]:
    """Step and value of one number, in the order of the steps."""
    return sorted((entry["step"], entry[tag]) for entry in logs if tag in entry)


def test_trackio_has_the_curve_the_results_and_the_configuration(
    asked: Run, tmp_path: Path
) -> None:
    *record_lines, last = asked("-c", RUN + READ).splitlines()
    record = json.loads("\n".join(record_lines))  # trackio said nothing in between
    (found,) = json.loads(last)
    lines = [json.loads(line) for line in (tmp_path / "toy/metrics.jsonl").read_text().splitlines()]
    assert len(lines) > 0
    for tag, key in {
        "nats_per_event/validation": "validation_nats_per_event",
        "bits_per_dim/validation": "validation_bits_per_dim",
    }.items():
        assert values(found["logs"], tag) == [(line["step"], line[key]) for line in lines]
    likelihood = record["measurements"]["likelihood"]
    for split in ("validation", "test"):
        for key in ("nats_per_event", "bits_per_dim"):
            ((_, value),) = values(found["logs"], f"result/{split}_{key}")
            assert value == likelihood[split][key]
    assert (found["name"], found["config"]["task"]) == ("toy", "toy-markov")
    assert found["config"]["folder"] == str(tmp_path / "toy")
    other = tmp_path / "other" / "toy"
    other.mkdir(parents=True)
    (other / "config.json").write_bytes((tmp_path / "toy/config.json").read_bytes())
    again = json.loads(asked("-c", AGAIN + READ, str(tmp_path / "toy"), str(other), str(other)))
    assert {run["config"]["folder"] for run in again} == {str(tmp_path / "toy"), str(other)}
    assert [values(run["logs"], "nats_per_event/train") for run in again] == [[(1, 0.5)]] * 2
