"""A push or a download under every fault: bounded, one line, one commit, and nothing half-done."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hub_faults import TOKEN, Fault
from hub_server import HubServer

import arbench
from arbench.cli import main
from arbench.errors import CheckpointError, ConfigError, NetworkError
from arbench.hub import attempts
from arbench.hub import push as push_module
from arbench.hub.push import check_push, push_trained
from arbench.registry.entries import ModelEntry
from arbench.registry.manager import Registered, Registry
from arbench.runs.experiment import Run
from arbench.runs.record.record import Record

# Every request of a push to a repository that does not exist yet.
ENDPOINTS = {
    "whoami": "GET /api/whoami-v2",
    "create": "POST /api/repos/create",
    "head": "GET /api/models/org/floor",
    "readme": "POST /api/validate-yaml",
    "preupload": "POST /api/models/org/floor/preupload",
    "batch": "POST /org/floor.git/info/lfs/objects/batch",
    "upload": "PUT /upload/",
    "commit": "POST /api/models/org/floor/commit",
}

PASSING_FAULTS = ("429", "500", "503", "stall", "cut", "lost")


def commits(hub: HubServer) -> int:
    """How many there are beside the first, which makes the repository."""
    repo = hub.repos.get(("model", "org/floor"))
    return 0 if repo is None else len(repo.commits) - 1


@pytest.mark.parametrize(
    ("endpoint", "kind"),
    [(endpoint, kind) for endpoint in ENDPOINTS for kind in PASSING_FAULTS],
)
def test_what_passes_is_tried_again_and_ends_in_one_commit(
    hub: HubServer, trained: Path, endpoint: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The client itself waits a second and more between its tries; only how often counts here.
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DOWNLOAD_TIMEOUT", 0.5)
    hub.faults = [Fault(ENDPOINTS[endpoint], kind, times=1)]
    pushed = arbench.push(trained, "org/floor")
    assert hub.faults[0].times == 0
    assert commits(hub) == 1
    assert pushed.commit == hub.repos["model", "org/floor"].head.oid
    weights = (trained / "model.safetensors").read_bytes()
    assert hub.files("org/floor")["model.safetensors"] == weights


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_what_does_not_pass_ends_after_a_few_tries_and_can_be_finished_later(
    hub: HubServer, trained: Path, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    hub.faults = [Fault(ENDPOINTS[endpoint], "500")]
    with pytest.raises(NetworkError, match="status 500; try again later"):
        arbench.push(trained, "org/floor")
    # For uploads the client makes six tries of each of ours, for each of three files.
    most = 4 * 6 * 3 if endpoint in ("preupload", "batch", "upload") else 8
    assert 2 <= hub.seen(ENDPOINTS[endpoint] + ".*") <= most
    assert commits(hub) == 0
    hub.faults = []
    arbench.push(trained, "org/floor")
    assert commits(hub) == 1


def test_a_deadline_ends_what_would_go_on(
    hub: HubServer, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "DEADLINE_S", 0.5)
    hub.faults = [Fault(ENDPOINTS["commit"], "412")]  # as if somebody else always came first
    started = time.monotonic()
    with pytest.raises(NetworkError, match="others keep committing"):
        arbench.push(trained, "org/floor")
    assert time.monotonic() - started < 5


def test_a_long_wait_is_told_and_not_slept(hub: HubServer, trained: Path) -> None:
    for endpoint in ("whoami", "preupload", "upload"):
        hub.faults = [Fault(ENDPOINTS[endpoint], "wait")]
        started = time.monotonic()
        with pytest.raises(NetworkError, match="3,600 seconds"):
            arbench.push(trained, "org/floor")
        assert time.monotonic() - started < 3


@pytest.mark.parametrize("status", ["401", "403", "404"])
@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_refusal_is_not_repeated_and_says_what_to_do(
    hub: HubServer,
    trained: Path,
    endpoint: str,
    status: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    hub.faults = [Fault(ENDPOINTS[endpoint], status)]  # its body holds the request's token
    assert main(["push", str(trained), "--to", "org/floor"]) == 4
    output = capsys.readouterr()
    asked = [request for _, request, _ in hub.requests if request.startswith(ENDPOINTS[endpoint])]
    assert len(asked) == len(set(asked)) > 0  # several files are uploaded at once, each once
    assert commits(hub) == 0
    (line,) = output.err.splitlines()
    assert line.startswith("arbench: error: the Hub")
    assert any(word in line for word in ("log in", "write access", "check the name"))
    assert TOKEN not in output.err + output.out


@pytest.mark.parametrize("endpoint", ["whoami", "preupload", "upload"])
def test_not_even_a_traceback_shows_the_token(
    hub: HubServer, trained: Path, endpoint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.faults = [Fault(ENDPOINTS[endpoint], "403")]
    assert main(["push", str(trained), "--to", "org/floor", "--debug"]) == 4
    errors = capsys.readouterr().err
    assert "Traceback" in errors
    assert TOKEN not in errors


def test_a_token_that_may_only_read_is_refused_before_anything(
    hub: HubServer, trained: Path
) -> None:
    hub.role = "read"
    with pytest.raises(NetworkError, match="may only read"):
        arbench.push(trained, "org/floor")
    assert hub.seen("POST") == 0


def test_somebody_else_s_organisation_is_refused_before_anything(
    hub: HubServer, trained: Path
) -> None:
    with pytest.raises(NetworkError, match="may not write to others; you may write to: somebody"):
        arbench.push(trained, "others/floor")
    hub.org_role = "read"
    with pytest.raises(NetworkError, match="may not write to org"):
        arbench.push(trained, "org/floor")
    assert hub.seen("POST") == 0


def test_without_a_token_the_line_says_how_to_log_in(
    hub: HubServer, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    with pytest.raises(NetworkError, match="hf auth login"):
        arbench.push(trained, "org/floor")
    assert hub.requests == []


def test_access_is_checked_before_a_training(
    hub: HubServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["run", "--task", "mnist-mini", "--model", "bernoulli", "--limit", "50"]
    out = tmp_path / "new run"
    assert main([*arguments, "--out", str(out), "--push", "others"]) == 4
    assert "you may not write to others" in capsys.readouterr().err
    assert not out.exists()
    assert main([*arguments, "--out", str(out), "--push", "org", "--device", "cpu"]) == 0
    assert "model.safetensors" in hub.files("org/mnist-mini-bernoulli")


@pytest.mark.parametrize("model", ["my--net", "net.", "n" * 64])
def test_a_name_that_no_repository_can_have_is_refused_before_a_training(
    hub: HubServer, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = ModelEntry(name=model, network="nowhere:Net", aliases=("alias",))
    offers = Registry([Registered(entry, "plug", "dist", "1")])
    monkeypatch.setattr(push_module, "registry", lambda: offers)
    org = "o" * 32
    for name in (model, "Alias"):
        with pytest.raises(ConfigError, match=f"'{org}/toy-markov-{model}' names no repository"):
            check_push(org, task="Toy-Markov", model=name)
    assert hub.requests == []


@pytest.mark.parametrize("is_new", [True, False])
def test_the_name_of_the_repository_is_checked_before_a_training(
    hub: HubServer,
    trained: Path,
    tmp_path: Path,
    is_new: bool,
    capsys: pytest.CaptureFixture[str],
) -> None:
    new = [
        "run",
        "--task",
        "mnist-mini",
        "--model",
        "bernoulli",
        "--out",
        str(tmp_path / "new run"),
    ]
    which = new if is_new else ["resume", str(trained)]
    org = "o" * 80
    assert main([*which, "--push", org]) == 2
    assert f"'{org}/mnist-mini-bernoulli' names no repository" in capsys.readouterr().err
    assert not (tmp_path / "new run").exists()
    assert hub.requests == []
    assert main([*which, "--push", "others", "--device", "cpu"]) == 4
    assert "you may not write to others" in capsys.readouterr().err


def test_whatever_ends_the_push_of_a_trained_run_says_how_to_finish_it(
    hub: HubServer, run: Path, tmp_path: Path
) -> None:
    (run / "samples.png").rename(tmp_path / "elsewhere")
    (run / "samples.png").symlink_to(tmp_path / "elsewhere")
    made = Run(run, Record.read(run / "record.json"))
    finish = f"arbench push {run} --to org/mnist-mini-bernoulli"
    with pytest.raises(CheckpointError, match=f"not a link. The run is complete: `{finish}`"):
        push_trained(made, "org")
    (run / "samples.png").unlink()
    hub.faults = [Fault(ENDPOINTS["create"], "403")]
    with pytest.raises(NetworkError, match=finish) as caught:
        push_trained(made, "org")
    assert caught.value.status == 403


def test_a_push_that_fails_after_the_training_keeps_the_run_and_says_how_to_go_on(
    hub: HubServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    hub.faults = [Fault("POST /api/repos/create", "403")]
    arguments = ["--task", "mnist-mini", "--model", "bernoulli", "--limit", "50", "--push", "org"]
    assert main(["run", *arguments, "--out", str(out), "--device", "cpu"]) == 4
    assert f"arbench push {out} --to org/mnist-mini-bernoulli" in capsys.readouterr().err
    hub.faults = []
    assert main(["push", str(out), "--to", "org/mnist-mini-bernoulli"]) == 0


# Downloads


def below(folder: Path) -> set[str]:
    """All files of the cache but its lock."""
    return {p.name for p in folder.rglob("*") if p.is_file()} - {".lock"}


@pytest.mark.parametrize(
    ("pattern", "kind"),
    [
        (pattern, kind)
        for pattern in (
            "GET /api/models/org/floor/revision",
            "GET /api/models/org/floor/tree",
            "HEAD /org/floor/resolve/.*/record.json",
            "GET /org/floor/resolve/.*/record.json",
            "GET /blob/",
        )
        for kind in PASSING_FAULTS
        if (kind, pattern[:4]) != ("cut", "HEAD")  # which has no body
    ],
)
def test_a_download_goes_on_after_what_passes(
    hub: HubServer,
    trained: Path,
    cache: Path,
    pattern: str,
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DOWNLOAD_TIMEOUT", 0.5)
    arbench.push(trained, "org/floor")
    hub.faults = [Fault(pattern, kind, times=1)]
    folder = arbench.download("hf:org/floor")
    assert hub.faults[0].times == 0
    weights = (trained / "model.safetensors").read_bytes()
    assert (folder / "model.safetensors").read_bytes() == weights


@pytest.mark.parametrize("pattern", ["GET /blob/", "GET /org/floor/resolve/.*/config.json"])
def test_a_flipped_byte_is_refused_and_leaves_nothing(
    hub: HubServer, trained: Path, cache: Path, tmp_path: Path, pattern: str
) -> None:
    arbench.push(trained, "org/floor")
    hub.faults = [Fault(pattern, "flip")]
    with pytest.raises(CheckpointError, match="came with hash [0-9a-f]+, expected [0-9a-f]+"):
        arbench.download("hf:org/floor", out=tmp_path / "target")
    assert below(cache) == set()
    assert not (tmp_path / "target").exists()
    hub.faults = []
    assert arbench.download("hf:org/floor").is_dir()


def test_a_download_that_never_ends_whole_leaves_nothing(
    hub: HubServer, trained: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda seconds: None)
    arbench.push(trained, "org/floor")
    hub.faults = [Fault("GET /org/floor/resolve/.*/record.json", "503")]
    with pytest.raises(NetworkError, match=r"download record.json.*try again later"):
        arbench.download("hf:org/floor")
    assert below(cache) == set()


@pytest.mark.parametrize(
    ("name", "said"),
    [("hf:org/nothing", "no such thing"), ("hf:org/floor@v9", "check the name and the revision")],
)
def test_what_is_not_there_is_said_in_one_line(
    hub: HubServer, trained: Path, name: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arbench.push(trained, "org/floor")
    assert main(["download", name]) == 4
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert TOKEN not in line


def test_a_damaged_file_in_the_cache_is_refused(hub: HubServer, trained: Path) -> None:
    arbench.push(trained, "org/floor")
    folder = arbench.download("hf:org/floor")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    with pytest.raises(CheckpointError, match=r"model.safetensors: has sha256"):
        arbench.load("hf:org/floor")
