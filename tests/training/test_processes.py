"""Two processes give the loss of one: data parallelism shares out each batch exactly."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

ARGUMENTS = ["run", "--task", "toy-markov", "--model", "made", "--device", "cpu"]
# 333 events: the last batch of an epoch has 33, an odd number to share out between two.
ARGUMENTS += ["--set", "alternative=dropout", "--set", "batch_size=100", "--set", "dropout=0"]
ARGUMENTS += ["--limit", "333", "--epochs", "3", "--set", "hidden=8", "--set", "evaluations=3"]


def _metrics(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").open()]


def _launch(
    launcher: str, arguments: list[str], count: int = 2
) -> list[subprocess.CompletedProcess[str]]:
    """Processes: torchrun starts all; accelerate launch is started per rank, as by MPI."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    module = [sys.executable, "-m"]
    if launcher == "torchrun":
        commands = [[*module, "torch.distributed.run", f"--nproc_per_node={count}"]]
        ranks = [{}]
    else:
        command = [*module, "accelerate.commands.launch", "--cpu", "--num_processes=1"]
        command += ["--num_machines=1", "--mixed_precision=no", "--dynamo_backend=no"]
        shared = {"WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count)}
        shared["MASTER_ADDR"] = "127.0.0.1"
        shared["MASTER_PORT"] = str(_free_port())
        commands = [command] * count
        ranks = [{**shared, "RANK": str(r), "LOCAL_RANK": str(r)} for r in range(count)]
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
def test_processes_that_fit_and_measure_give_what_one_gives(tmp_path: Path) -> None:
    # A network that fits itself sees every batch in every process; nobody adds up counts. So its
    # weights are equal to the bit, and of what is measured, which is dealt, every value has to be.
    # Of 333 events a split has two batches: a third process has none.
    arguments = ["run", "--task", "toy-markov", "--model", "cpt", "--device", "cpu"]
    arguments += ["--limit", "333", "--measure", "calibration?num_events=50"]
    records = {}
    for count in (1, 2, 3):
        folder = tmp_path / str(count)
        for done in _launch("torchrun", [*arguments, "--out", str(folder)], count):
            assert done.returncode == 0, done.stderr[-3000:]
        records[count] = json.loads((folder / "record.json").read_text())
        assert records[count]["training"]["processes"] == count
        for key in ("weights", "per_event"):
            assert records[count]["sha256"][key] == records[1]["sha256"][key]
        measured = records[count]["measurements"]
        assert len(measured) == 4
        for key in measured.keys() - {"speed"}:
            assert measured[key] == records[1]["measurements"][key]
        assert records[count]["checks"] == records[1]["checks"]
        names = [{file.name for file in (tmp_path / n).iterdir()} for n in ("1", str(count))]
        assert names[0] == names[1]


@pytest.mark.slow
def test_verbs_of_several_processes_say_once_what_one_says(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    for done in _launch("torchrun", [*ARGUMENTS, "--out", str(folder)], 1):
        assert done.returncode == 0, done.stderr[-3000:]
    verbs = [["evaluate", str(folder), "--split", "train", "--device", "cpu", "--json"]]
    verbs += [["measure", str(folder), "calibration?num_events=50", "--device", "cpu", "--json"]]
    for number, verb in enumerate(verbs):
        copies = {count: tmp_path / f"{number}-{count}" for count in (1, 3)}
        said = []
        for count, copy in copies.items():
            shutil.copytree(folder, copy)
            words = [str(copy) if word == str(folder) else word for word in verb]
            (done,) = _launch("torchrun", words, count)
            assert done.returncode == 0, done.stderr[-3000:]
            said.append(json.loads(done.stdout))
        assert said[0] == said[1]


@pytest.mark.slow
def test_a_sharded_run_that_was_stopped_goes_on_to_the_bit(tmp_path: Path) -> None:
    arguments = ["run", "--task", "toy-markov", "--model", "gpt", "--device", "cpu", "--shard"]
    sizes = {"width": 8, "num_heads": 2, "num_layers": 2, "checkpoint_seconds": 1}
    arguments += [word for each in sizes.items() for word in ("--set", "=".join(map(str, each)))]
    arguments += ["--limit", "100", "--epochs", "100", "--out"]
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "-m"]
    with subprocess.Popen(
        [*command, "arbench", *arguments, str(stopped)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as first:
        while not (stopped / "checkpoint/state.json").exists():
            assert first.poll() is None
            time.sleep(0.1)
        first.terminate()
    assert not (stopped / "model.safetensors").exists()
    (resumed,) = _launch("torchrun", ["resume", str(stopped), "--device", "cpu"])
    assert "resuming after step" in resumed.stdout + resumed.stderr
    for done in (resumed, *_launch("torchrun", [*arguments, str(whole)])):
        assert done.returncode == 0, done.stderr[-3000:]
    for name in ("model.safetensors", "per_event.safetensors"):
        assert (stopped / name).read_bytes() == (whole / name).read_bytes()
