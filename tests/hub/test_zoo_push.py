"""The whole zoo goes up in one command; cut off anywhere, the same command goes on."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from hub_faults import Fault
from hub_server import HubServer

import arbench
from arbench.cli import main
from arbench.errors import NetworkError
from arbench.hub import remote_board, zoo_push
from arbench.hub.finding import find_run
from arbench.hub.push import Parcel
from arbench.hub.zoo_push import zoo_parcels
from arbench.runs.zoo import zoo_index

SMALL = ("caltech-silhouettes/pixelcnn", "mnist-mini/nade")
ARGUMENTS = ["push", "--zoo", "org", "--boards", "org/boards"]
REQUESTS = ("POST /api/repos/create", "PUT /upload/", "/preupload/", "/commit/main")


@pytest.fixture
def small_zoo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A zoo of two entries, and the results on one task."""
    entries = {name: zoo_index()[name] for name in SMALL}
    monkeypatch.setattr(zoo_push, "zoo_index", lambda: entries)
    kept = remote_board.kept_records()
    records = tmp_path / "kept" / "records"
    shutil.copytree(kept / "mnist-mini", records / "mnist-mini")
    monkeypatch.setattr(remote_board, "kept_records", lambda: records)
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)


def content_of(parcel: Parcel) -> Mapping[str, bytes]:
    return {
        path: content if isinstance(content, bytes) else content.read_bytes()
        for path, content in parcel.contents.items()
    }


def _num_commits(hub: HubServer, parcel: Parcel) -> int:
    repo = hub.repos.get((parcel.repo.kind, parcel.repo.name))
    return 0 if repo is None else len(repo.commits)


def assert_complete(hub: HubServer, parcels: list[Parcel]) -> None:
    """One commit in each repository beside the one that makes it, and every file right."""
    assert {*hub.repos} == {(parcel.repo.kind, parcel.repo.name) for parcel in parcels}
    for parcel in parcels:
        name, kind = parcel.repo.name, parcel.repo.kind
        assert len(hub.repos[kind, name].commits) == 2, parcel.repo
        assert hub.repos[kind, name].head.title == parcel.message
        files = hub.files(name, kind)
        files.pop(".gitattributes")
        assert files == content_of(parcel), parcel.repo


@pytest.mark.parametrize("seed", range(3))
def test_a_push_that_is_cut_off_twice_leaves_one_commit_in_each_repository(
    hub: HubServer, small_zoo: None, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    parcels = zoo_parcels("org", find_run, board="org/boards")
    generator = random.Random(seed)
    for kind in ("500", "cut"):
        hub.faults = [Fault(generator.choice(REQUESTS), "lost", times=generator.randint(0, 2))]
        repo = generator.choice(parcels[1:]).repo.name
        hub.faults.append(Fault(f"{repo}/(preupload|commit)/main", kind))
        with pytest.raises(NetworkError, match=r"of 3 repositories are complete: the same"):
            arbench.push_zoo("org", board="org/boards")
        complete = [p for p in parcels if _num_commits(hub, p) > 1]
        assert parcels[: len(complete)] == complete
    hub.faults = []
    assert main(ARGUMENTS) == 0
    assert capsys.readouterr().out.count(" at ") == len(parcels)
    assert_complete(hub, parcels)
    uploads = hub.seen("PUT /upload/")
    assert main(ARGUMENTS) == 0  # nothing is left to do
    assert hub.seen("PUT /upload/") == uploads
    assert_complete(hub, parcels)


def test_a_dry_run_lists_what_would_go_where_and_asks_nobody(
    hub: HubServer, small_zoo: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*ARGUMENTS, "--dry-run"]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [
        "datasets/org/boards",
        "org/caltech-silhouettes-pixelcnn",
        "org/mnist-mini-nade",
    ]
    sizes = [float(line.partition(" files ")[2].split()[0]) for line in lines]
    parcels = zoo_parcels("org", find_run, board="org/boards")
    expected = [sum(map(len, content_of(parcel).values())) / 1e6 for parcel in parcels]
    assert sizes == pytest.approx(expected, abs=0.005)
    assert last.startswith("3 repositories, ")
    assert hub.requests == []


def test_who_may_not_push_somewhere_is_told_before_anything_is_pushed(
    hub: HubServer, small_zoo: None
) -> None:
    with pytest.raises(NetworkError, match="may not write to others"):
        arbench.push_zoo("org", board="others/boards")
    assert hub.repos == {}


@pytest.mark.slow
def test_the_whole_zoo_is_complete_after_a_kill_and_a_refusal(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parcels = zoo_parcels("org", find_run, board="org/boards", space="org/page")
    command = [sys.executable, "-m", "arbench", *ARGUMENTS, "--space", "org/page"]
    generator = random.Random(28)
    first, second = (generator.choice(parcels[1:]).repo for _ in range(2))
    hub.faults = [Fault(f"PUT /upload/|POST .*{first.name}/commit", "stall")]
    child = subprocess.Popen(command, env=dict(os.environ), stderr=subprocess.PIPE)
    while not hub.seen(hub.faults[0].pattern):
        assert child.poll() is None, child.communicate()
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    assert child.wait(timeout=20) == -signal.SIGKILL
    hub.faults = [Fault(f"POST .*{second.name}/commit", "500")]
    assert subprocess.run(command, env=dict(os.environ), check=False).returncode == 4
    hub.faults = []
    assert subprocess.run(command, env=dict(os.environ), check=False).returncode == 0
    assert_complete(hub, parcels)
    monkeypatch.setenv("ARBENCH_CACHE", str(tmp_path / "empty"))
    for name, entry in zoo_index().items():
        folder = arbench.download(f"hf:org/{name.replace('/', '-')}")
        assert {*entry.files} <= {file.name for file in folder.iterdir()}
