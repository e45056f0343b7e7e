"""The launcher `slurm`: runs survive their time limits, by submitit's script on a fake SLURM."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cloudpickle
import pytest
import shell_jobs
from fake_slurm import fake_slurm
from shell_jobs import Shell, in_sittings, shell_job

import arbench
from arbench import Notice
from arbench.files.atomic import sha256_of
from arbench.show.reporting import Reporter
from arbench_slurm.launcher import SlurmLauncher

LONG = """[[run]]
task = "toy-markov"
model = "fvsbn"
limit = 1000
epochs = 40
seed = [0, 1, 2]
settings = { alternative = "free", "training.checkpoint_seconds" = 0.1 }
"""


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A SLURM on the PATH, whose folder this is; jobs of tests go there by value."""
    from submitit.slurm.slurm import SlurmJob

    cloudpickle.register_pickle_by_value(shell_jobs)
    with fake_slurm(tmp_path / "cluster", os.environ["PATH"]) as path:
        monkeypatch.setenv("PATH", path)
        yield tmp_path / "cluster"
    SlurmJob.watcher.clear()  # it remembers jobs by number, for as long as the process lives
    cloudpickle.unregister_pickle_by_value(shell_jobs)


def wait_for(file: Path) -> None:
    """Wait until a file is there; a loaded machine takes its time."""
    end = time.monotonic() + 240
    while not file.exists():
        assert time.monotonic() < end, f"{file} never came"
        time.sleep(0.02)


def ended(launcher: SlurmLauncher, jobs: list[Shell], at_once: int | None) -> dict[str, Notice]:
    """The last notice of each job."""
    launcher.start(jobs, at_once)
    return notices_of(launcher, len(jobs))


def notices_of(launcher: SlurmLauncher, wanted: int) -> dict[str, Notice]:
    """The last notice of each of so many jobs."""
    told: dict[str, Notice] = {}
    end = time.monotonic() + 240
    while len(told) < wanted:
        assert time.monotonic() < end, told
        told |= {notice.job: notice for notice in launcher.poll()}
        time.sleep(0.05)
    return told


def test_an_array_job_goes_on_after_its_time_limit(cluster: Path, tmp_path: Path) -> None:
    """Every process hears the signal; only who answers by a checkpoint is done in the end."""
    jobs = [in_sittings(tmp_path, "once", 1), in_sittings(tmp_path, "at-once", 0)]
    jobs.append(shell_job(tmp_path, "killed", "kill -9 $$"))
    sbatch = {"partition": "short"}
    launcher = SlurmLauncher(minutes=30, signal_seconds=20, cpus=3, memory_gb=1.5, sbatch=sbatch)
    launcher.start(jobs, 2)
    wait_for(tmp_path / "once.begun")
    (cluster / "near-its-end.100_0").touch()
    told = notices_of(launcher, 3)
    assert told["once"] == Notice("once", "ended")
    assert told["at-once"] == Notice("at-once", "ended")
    assert told["killed"] == Notice("killed", "lost", "killed by signal 9")
    assert (cluster / "requeued").read_text().splitlines() == ["100_0"]
    assert (tmp_path / "once.done").read_text() == "3\n"  # threads
    script = (cluster / "script.100").read_text()
    flags = dict(re.findall(r"^#SBATCH --([\w-]+)=(\S+)$", script, re.MULTILINE))
    assert flags["array"] == "0-2%2"
    assert (flags["time"], flags["signal"]) == ("30", "USR2@20")
    assert (flags["cpus-per-task"], flags["mem"], flags["partition"]) == ("3", "1536M", "short")


def test_what_slurm_ends_is_lost_and_what_is_cancelled_is_over(
    cluster: Path, tmp_path: Path
) -> None:
    launcher = SlurmLauncher()
    launcher.start([in_sittings(tmp_path, "slow", 5), in_sittings(tmp_path, "unwanted", 5)], None)
    wait_for(tmp_path / "slow.begun")
    wait_for(tmp_path / "unwanted.begun")
    (cluster / "at-its-end.100_0").touch()  # with no signal before
    wait_for(tmp_path / "slow.checkpoint.0")
    launcher.stop()
    assert notices_of(launcher, 2) == {
        "slow": Notice("slow", "lost", "job 100_0: TIMEOUT"),
        "unwanted": Notice("unwanted", "ended", "job 100_1: CANCELLED BY 0"),
    }
    wait_for(tmp_path / "unwanted.checkpoint.0")


def test_where_there_is_no_slurm_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(arbench.RunError, match='slurm: .*Could not detect "srun"'):
        SlurmLauncher().start([shell_job(tmp_path, "a", "exit 0")], None)


@pytest.mark.timeout(900)
@pytest.mark.slow  # eight sittings of seconds
def test_submitits_own_controller_gives_up_after_six_sittings_and_the_launcher_does_not(
    tmp_path: Path,
) -> None:
    cloudpickle.register_pickle_by_value(shell_jobs)
    launcher = SlurmLauncher(cluster="local", minutes=0.15, signal_seconds=5)
    job = in_sittings(tmp_path, "patient", 7)
    (told,) = ended(launcher, [job], 1).values()
    assert told.kind == "lost"
    assert len([*tmp_path.glob("patient.checkpoint.*")]) == 6
    (told,) = ended(launcher, [job], 1).values()
    assert told == Notice("patient", "ended")
    assert (tmp_path / "patient.done").read_text() == "1\n"


@pytest.mark.timeout(900)
@pytest.mark.slow  # trainings that take several sittings, each with an import of torch
def test_a_queue_on_slurm_is_equal_in_bytes_to_one_process(cluster: Path, tmp_path: Path) -> None:
    names = [f"toy-markov-fvsbn.seed-{seed}" for seed in range(3)]
    queue = tmp_path / "queue.toml"
    queue.write_text(LONG)
    launcher = "slurm?minutes=10&signal_seconds=60"
    arguments = ["queue", str(queue), "--device", "cpu", "--launcher", launcher, "--workers", "2"]
    time_limits = threading.Thread(target=interrupt, args=(cluster, tmp_path / "shared", names))
    time_limits.start()
    assert arbench.main([*arguments, "--out", str(tmp_path / "shared")]) == 0
    time_limits.join()
    arbench.run_queue(queue, out=tmp_path / "alone", device="cpu", reporter=Reporter())
    assert sorted((cluster / "requeued").read_text().split()) == ["100_0", "100_1", "100_2"]
    for name in names:
        said = (tmp_path / "shared" / ".queue" / f"{name}.log").read_text()
        assert said.count("resuming after step") == 1, said
        one, other = (tmp_path / out / name / "model.safetensors" for out in ("shared", "alone"))
        assert sha256_of(one) == sha256_of(other), name


def interrupt(cluster: Path, home: Path, names: list[str]) -> None:
    """Let the time of each run be over in its middle."""
    for number, name in enumerate(names):
        wait_for(home / name / "checkpoint" / "state.json")
        (cluster / f"near-its-end.100_{number}").touch()
