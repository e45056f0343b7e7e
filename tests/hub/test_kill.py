"""A push or a download that is killed: everything of it is there, or nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from hub_faults import Fault
from hub_server import HubServer

import arbench

pytestmark = pytest.mark.slow

CLIENT = [sys.executable, "-m", "arbench"]


def killed_at(hub: HubServer, request: str, arguments: list[str]) -> None:
    """Run the command line until the Hub has stalled at a request, then kill it."""
    hub.faults = [Fault(request, "stall")]
    child = subprocess.Popen([*CLIENT, *arguments], env=dict(os.environ), stderr=subprocess.PIPE)
    deadline = time.monotonic() + 100
    while not hub.seen(request):
        assert child.poll() is None, child.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    assert child.wait(timeout=20) == -signal.SIGKILL
    hub.faults = []


@pytest.mark.parametrize("request_", ["PUT /upload/", "POST /api/models/org/floor/commit"])
def test_a_killed_push_shows_nothing_and_can_be_made_again(
    hub: HubServer, trained: Path, request_: str
) -> None:
    killed_at(hub, request_, ["push", str(trained), "--to", "org/floor"])
    assert set(hub.files("org/floor")) == {".gitattributes"}
    arbench.push(trained, "org/floor")
    assert len(hub.repos["model", "org/floor"].commits) == 2
    assert arbench.verify("hf:org/floor", device="cpu").holds


@pytest.mark.parametrize("request_", ["GET /org/floor/resolve/.*/record.json", "GET /blob/"])
def test_a_killed_download_leaves_no_run_and_is_not_in_the_way(
    hub: HubServer, trained: Path, cache: Path, request_: str
) -> None:
    commit = arbench.push(trained, "org/floor").commit
    killed_at(hub, request_, ["download", "hf:org/floor"])
    assert not (cache / "hub" / "org--floor" / commit).exists()
    folder = arbench.download("hf:org/floor")
    assert folder.name == commit
    assert not [*cache.rglob(".incoming")]


def test_a_stop_signal_ends_a_push_in_one_line(hub: HubServer, trained: Path) -> None:
    hub.faults = [Fault("POST /api/models/org/floor/commit", "stall")]
    child = subprocess.Popen(
        [*CLIENT, "push", str(trained), "--to", "org/floor"],
        stderr=subprocess.PIPE,
        text=True,
        # A job in a shell's background, as these tests may be, passes on that SIGINT is ignored.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    while not hub.seen("POST /api/models/org/floor/commit"):
        time.sleep(0.02)
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=60)
    assert child.returncode == 130
    assert errors.strip() == "arbench: error: interrupted"
    assert set(hub.files("org/floor")) == {".gitattributes"}
