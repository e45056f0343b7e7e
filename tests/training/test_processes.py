"""Two processes give the loss of one: data parallelism shares out each batch exactly."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ARGUMENTS = ["run", "--task", "toy-markov", "--model", "made", "--device", "cpu"]
# 333 events: the last batch of an epoch has 33, an odd number to share out between two.
ARGUMENTS += ["--set", "alternative=dropout", "--set", "batch_size=100", "--set", "dropout=0"]
ARGUMENTS += ["--limit", "333", "--epochs", "3", "--set", "hidden=8", "--set", "evaluations=3"]


def _metrics(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").open()]


def _launch(launcher: str, arguments: list[str]) -> list[subprocess.CompletedProcess[str]]:
    """Two processes: torchrun starts both; accelerate launch is started per rank, as by MPI."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    module = [sys.executable, "-m"]
    if launcher == "torchrun":
        commands = [[*module, "torch.distributed.run", "--nproc_per_node=2"]]
        ranks = [{}]
    else:
        command = [*module, "accelerate.commands.launch", "--cpu", "--num_processes=1"]
        command += ["--num_machines=1", "--mixed_precision=no", "--dynamo_backend=no"]
        shared = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
        shared["MASTER_PORT"] = str(_free_port())
        commands = [command, command]
        ranks = [{**shared, "RANK": rank, "LOCAL_RANK": rank} for rank in "01"]
    children = [
        subprocess.Popen(
            [*command, "-m", "arbench", *arguments],
            env={**environment, **rank},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for command, rank in zip(commands, ranks, strict=True)
    ]
    done = []
    for child in children:
        output, errors = child.communicate(timeout=240)
        done.append(subprocess.CompletedProcess(child.args, child.returncode, output, errors))
    return done


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, float]]:
    """The metrics of the same run in one process."""
    folder = tmp_path_factory.mktemp("alone") / "run"
    command = [sys.executable, "-m", "arbench", *ARGUMENTS, "--out", str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(command, env=environment, capture_output=True, timeout=240, check=True)
    return _metrics(folder)


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["torchrun", "accelerate launch"])
def test_two_cpu_processes_give_the_loss_of_one(
    tmp_path: Path, alone: list[dict[str, float]], launcher: str
) -> None:
    folder = tmp_path / "run"
    for done in _launch(launcher, [*ARGUMENTS, "--out", str(folder)]):
        assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads((folder / "record.json").read_text())["training"]["processes"] == 2
    for single, together in zip(alone, _metrics(folder), strict=True):
        assert single["step"] == together["step"]
        for key in ("train_nats_per_event", "validation_nats_per_event"):
            assert together[key] == pytest.approx(single[key], rel=1e-5)


@pytest.mark.slow
def test_two_processes_that_fit_count_every_event_once(tmp_path: Path) -> None:
    # A network that fits itself sees every batch in every process; nobody adds up counts.
    arguments = ["run", "--task", "toy-markov", "--model", "cpt", "--device", "cpu"]
    arguments += ["--limit", "333"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "arbench", *arguments, "--out", str(tmp_path / "one")]
    subprocess.run(command, env=environment, capture_output=True, timeout=240, check=True)
    for done in _launch("torchrun", [*arguments, "--out", str(tmp_path / "two")]):
        assert done.returncode == 0, done.stderr[-3000:]
    records = {
        name: json.loads((tmp_path / name / "record.json").read_text()) for name in ("one", "two")
    }
    assert [records[name]["training"]["processes"] for name in ("one", "two")] == [1, 2]
    splits = [records[name]["measurements"]["likelihood"]["test"] for name in ("one", "two")]
    assert splits[0] == splits[1]
    assert records["two"]["sha256"]["weights"] == records["one"]["sha256"]["weights"]
