"""Every fault at every endpoint of everything that talks to the Hub: the whole table.

Whatever happens, an operation ends with the promised exit code and, where it fails, in one sentence
that shows nothing of the server's; there is one commit if it succeeded and none if it did not; and
once the fault is gone the same command does what was asked. `make test` takes a tenth, by a seed.
"""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from hub_faults import BODIES, SPOILED, TOKEN, Fault
from hub_repositories import Repo
from hub_server import HubServer, hub_server

import arbench
from arbench.boards.boards import find_boards
from arbench.boards.measured_boards import find_measured_boards
from arbench.cli import main
from arbench.files.canonical import sealed
from arbench.hub import attempts

SHARE = 0.1
COUNTS: Counter[str] = Counter()

WRITES = {
    "whoami": "GET /api/whoami-v2",
    "create": "POST /api/repos/create",
    "info": r"GET /api/{kinds}/org/it(/revision/.*)?$",
    "tree": "GET /api/{kinds}/org/it/tree/",
    "readme": "POST /api/validate-yaml",
    "preupload": "POST /api/{kinds}/org/it/preupload/",
    "commit": "POST /api/{kinds}/org/it/commit/",
}
LARGE = {"batch": r"POST .*org/it\.git/info/lfs/objects/batch", "upload": "PUT /upload/"}
READS = {
    "head": "HEAD /.*org/it/resolve/.*",
    "file": "GET /.*org/it/resolve/.*json",
    "blob": "GET /blob/",
}
COMMITTING = {"readme", "commit", "preupload", *LARGE}  # where 412 says: somebody was faster
LOOKS = {"info": WRITES["info"], "tree": WRITES["tree"]}


@dataclass(frozen=True)
class Operation:
    """A command, and the requests that it makes.

    Attributes:
        command: its words; "RUN" stands for a run folder.
        kinds: what the address of its repository begins with.
        endpoints: the pattern of each request.
        seeded: whether the repository exists before.
    """

    command: tuple[str, ...]
    kinds: str
    endpoints: dict[str, str]
    seeded: bool

    @property
    def writes(self) -> bool:
        return self.command[0] == "push"


OPERATIONS = {
    "push": Operation(("push", "RUN", "--to", "org/it"), "models", WRITES | LARGE, False),
    "board": Operation(
        ("push", "RUN", "--board", "org/it"),
        "datasets",
        WRITES | READS | {"batch": LARGE["batch"]},
        True,
    ),
    "first": Operation(("push", "RUN", "--board", "org/it"), "datasets", LARGE, False),
    "space": Operation(("push", "--space", "org/it"), "spaces", WRITES, False),
    "download": Operation(("download", "hf:org/it"), "models", LOOKS | READS, True),
    "verify": Operation(("verify", "hf:org/it", "--device", "cpu"), "models", LOOKS | READS, True),
}
REFUSALS = ("400", "401", "402", "403", "404", "405", "409", "410", "412", "413", "422", "451")
PASSING = ("408", "429", "500", "502", "503", "504")
STATUSES = (*REFUSALS, *PASSING, "501", "401 null", "403 html", "404 array", "409 object")
ODD_STATUSES = ("500 html", "502 empty", "503 null", "503 array", "504 nested", "429 string")
SILENCE = ("stall", "cut", "lost", "wait")
INSTEAD = tuple(f"instead {body}" for body in BODIES)
AFTER = tuple(f"after {body}" for body in (*BODIES, *SPOILED))
FAULTS = (*STATUSES, *ODD_STATUSES, *SILENCE, "flip", *INSTEAD, *AFTER)
JSON_ENDPOINTS = {"whoami", "create", "info", "tree", "readme", "preupload", "batch", "commit"}


def cases(operation: str, endpoint: str) -> list[tuple[str, int]]:
    """The faults that an endpoint can have, each once and for ever."""
    faults = [
        fault
        for fault in FAULTS
        if not (fault.startswith("after") and endpoint not in JSON_ENDPOINTS)
        and not (fault == "flip" and endpoint not in ("file", "blob"))
    ]
    # What `verify` reads is what `download` reads; a fault that passes is not worth evaluating.
    times = (10**6,) if operation == "verify" else (1, 10**6)
    return [(fault, count) for fault in faults for count in times]


def promised(operation: Operation, endpoint: str, fault: str, *, once: bool) -> set[int]:
    """The exit codes that may be."""
    kind = fault.partition(" ")[0]
    if fault == "flip":
        return {3}
    if fault == "wait":
        return {4}
    if endpoint == "head" and fault == "cut":  # there is no body to cut
        return {0}
    if endpoint == "upload":
        if kind == "instead":  # nobody stored it, so the commit is refused
            return {4}
        if fault in ("lost", "cut"):  # it was stored
            return {0}
    if endpoint == "commit" and (fault in ("lost", "cut") or kind == "after"):
        return {0}  # looking again shows that it was made
    if endpoint == "create":
        if kind == "after" or fault == "cut":
            return {0}  # the second answer, that it exists, is enough
        if operation.seeded and kind in ("401", "402", "403", "409"):
            return {0}  # it is there, and what comes next says whether one may write
    if endpoint == "readme" and kind in ("instead", "after"):
        return {0} if once else {0, 4}  # the client asks only whether there is a complaint
    if kind in PASSING or kind in ("stall", "cut", "lost", "instead", "after"):
        return {0} if once else {4}
    if endpoint == "info" and operation.seeded and kind in ("401", "403", "404") and once:
        return {0} if operation.writes else {4}  # asked once more whether it is there
    if kind == "409" or (kind == "412" and endpoint in COMMITTING):
        return {0} if once else {4}
    return {4}


Seed = tuple[dict[tuple[str, str], Repo], dict[str, bytes]]


@pytest.fixture(scope="module")
def seed(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Seed:
    """A model and a board on the Hub, made once."""
    other = Path(shutil.copytree(trained, tmp_path_factory.mktemp("other") / "run"))
    record = json.loads((other / "record.json").read_text())
    record["sha256"]["weights"] = f"{1:064x}"
    (other / "record.json").write_text(json.dumps(sealed(record)))
    with hub_server() as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_TOKEN", TOKEN)
        patch.setenv("HF_ENDPOINT", server.url)
        arbench.push(trained, "org/it")
        arbench.push_board("org/it", [other])
        huggingface_hub.close_session()
        return server.repos, server.storage


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    """A board for the page: a fault of the Hub does not depend on what, or how much, it shows."""
    task = "mnist-mini"
    return {"find_boards": find_boards(task), "find_measured_boards": find_measured_boards(task)}


@pytest.fixture
def state(hub: HubServer, seed: Seed) -> Callable[[bool], None]:
    """Puts the Hub back to where it was."""
    repos = {key: tuple(repo.commits) for key, repo in seed[0].items()}

    def reset(seeded: bool) -> None:
        hub.faults, hub.requests = [], []
        hub.storage = dict(seed[1]) if seeded else {}
        kept = repos if seeded else {}
        hub.repos = {key: Repo([*commits]) for key, commits in kept.items()}

    return reset


@pytest.mark.parametrize(
    "share", [SHARE, pytest.param(1.0, marks=pytest.mark.slow)], ids=["tenth", "whole"]
)
@pytest.mark.parametrize(
    ("name", "endpoint"),
    [
        (name, endpoint)
        for name, operation in OPERATIONS.items()
        for endpoint in operation.endpoints
    ],
)
def test_every_fault_ends_as_promised(
    hub: HubServer,
    state: Callable[[bool], None],
    trained: Path,
    found: dict[str, Any],
    tmp_path: Path,
    name: str,
    endpoint: str,
    share: float,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    operation = OPERATIONS[name]
    monkeypatch.setattr(attempts, "FIRST_WAIT_S", 0.01)
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    for finder, boards in found.items():
        monkeypatch.setattr(f"arbench.hub.push.{finder}", lambda task, boards=boards: boards)
    command = [str(trained) if word == "RUN" else word for word in operation.command]
    pattern = operation.endpoints[endpoint].replace("{kinds}", operation.kinds)
    every = cases(name, endpoint)
    drawn = random.Random(f"{name} {endpoint}").sample(every, max(1, round(share * len(every))))
    wrong = []
    for number, (fault, times) in enumerate(drawn):
        state(operation.seeded)
        monkeypatch.setenv("ARBENCH_CACHE", str(tmp_path / f"cache {number}"))
        slow = fault == "stall"
        monkeypatch.setattr(
            "huggingface_hub.constants.HF_HUB_DOWNLOAD_TIMEOUT", 0.15 if slow else 5
        )
        endless = fault == "412" and times > 1  # who comes second tries again until time is over
        monkeypatch.setattr(attempts, "DEADLINE_S", 1.0 if endless else 60.0)
        capsys.readouterr()
        hub.faults = [Fault(pattern, fault, times)]
        before = commits(hub, operation)
        code = main(command)
        errors = capsys.readouterr().err
        made = commits(hub, operation) - before
        met = hub.faults[0].times < times
        case = f"{fault} {'once' if times == 1 else 'always'}: exit {code}, {made} commits"
        COUNTS[f"{name}: exit {code}"] += 1
        if not met:
            wrong.append(f"{case}: the fault was never met")
        if code not in promised(operation, endpoint, fault, once=times == 1):
            wrong.append(f"{case}: {errors}")
        if fault := fault_of(errors, code):
            wrong.append(f"{case}: {fault}: {errors}")
        if made != (operation.writes and code == 0):
            wrong.append(f"{case}: {errors}")
        if hub.seen(pattern) > 100:
            wrong.append(f"{case}: {hub.seen(pattern)} requests")
        if code != 0 and name != "verify" and share == 1:  # as if somebody tried again later
            hub.faults = []
            if main(command) != 0 or commits(hub, operation) - before != operation.writes:
                wrong.append(f"{case}, and then: {capsys.readouterr().err}")
    assert not wrong, "\n".join(wrong)


def commits(hub: HubServer, operation: Operation) -> int:
    """How many there are, beside the one that makes a repository."""
    repo = hub.repos.get((operation.kinds.removesuffix("s"), "org/it"))
    return 0 if repo is None else sum(c.title != "initial commit" for c in repo.commits)


def fault_of(errors: str, code: int) -> str | None:
    """What is wrong with what a user reads; None if nothing is."""
    # What came to its end tells so: a verification, whose only fault has nothing to cut.
    lines = [line for line in errors.splitlines() if code or line != "evaluating test: done"]
    if len(lines) != (code != 0):
        return f"{len(lines)} lines"
    if code and not lines[0].startswith("arbench: error: "):
        return "no error"
    if any(word in errors for word in ("unexpected", "Traceback", "<!doctype", TOKEN)):
        return "not a sentence"
    return None


def test_the_table_is_counted() -> None:
    """For whoever reads the output: `pytest -s` shows it."""
    print(dict(sorted(COUNTS.items())), "of", sum(COUNTS.values()))
    size = sum(len(cases(n, e)) for n, o in OPERATIONS.items() for e in o.endpoints)
    assert size > 2000
