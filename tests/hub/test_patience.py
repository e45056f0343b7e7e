"""How long the Hub is waited for: as long as it asks, and never without an end."""

from __future__ import annotations

import socket
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from hub_faults import Fault
from hub_server import HubServer

import arbench
from arbench.cli import main
from arbench.errors import NetworkError
from arbench.files.http_library import httpx
from arbench.hub import attempts
from arbench.hub import requests as hub_client
from arbench.hub.requests import told_wait

COMMIT = "POST /api/models/org/floor/commit"


@pytest.mark.parametrize("request_", [COMMIT, "POST /api/repos/create", "PUT /upload/"])
def test_a_wait_that_is_asked_for_is_kept(hub: HubServer, trained: Path, request_: str) -> None:
    hub.faults = [Fault(request_, "soon", times=1)]  # in one second
    started = time.monotonic()
    arbench.push(trained, "org/floor")
    assert time.monotonic() - started >= 1
    assert hub.faults[0].times == 0
    assert len(hub.repos["model", "org/floor"].commits) == 2


def test_a_wait_beyond_the_deadline_is_told_and_not_kept(
    hub: HubServer, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "DEADLINE_S", 0.9)
    hub.faults = [Fault("POST /api/repos/create", "soon")]
    with pytest.raises(NetworkError, match="asks to come back in 1 seconds") as caught:
        arbench.push(trained, "org/floor")
    assert caught.value.status == 429


@pytest.mark.parametrize(
    ("headers", "low", "high"),
    [
        ({}, 0, 0),
        ({"Retry-After": "120"}, 120, 120),
        ({"Retry-After": " 7 "}, 7, 7),
        ({"Retry-After": "-5"}, 0, 0),
        ({"Retry-After": "soon"}, 0, 0),
        ({"Retry-After": "1e3"}, 0, 0),
        ({"Retry-After": "²"}, 0, 0),  # a digit, and no number
        ({"Retry-After": "DATE"}, 97, 101),
        ({"Retry-After": "Mon, 30 Nov 2020 01:00:00 GMT"}, 0, 0),
        ({"ratelimit": '"api";r=0;t=55'}, 55, 55),
        ({"ratelimit": '"api";r=3;t=55'}, 0, 0),
    ],
)
def test_what_a_server_asks_for_is_understood(
    headers: dict[str, str], low: float, high: float
) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    headers = {name: text.replace("DATE", date) for name, text in headers.items()}
    encoded = [(name.encode(), text.encode("latin-1")) for name, text in headers.items()]
    assert low <= told_wait(httpx.Response(429, headers=encoded)) <= high


def test_a_listing_without_an_end_is_ended(
    hub: HubServer, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arbench.push(trained, "org/floor")
    monkeypatch.setattr(attempts, "DEADLINE_S", 0.5)
    hub.faults = [Fault("GET /api/models/org/floor/tree", "endless")]
    started = time.monotonic()
    with pytest.raises(NetworkError, match="did not finish its answer in time"):
        arbench.download("hf:org/floor")
    assert time.monotonic() - started < 5


def test_without_a_network_a_name_of_the_hub_is_answered_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A connection that nobody accepts, as behind a firewall: one attempt, of a few seconds."""
    assert hub_client.CONNECT_S <= 5
    monkeypatch.setattr(hub_client, "CONNECT_S", 0.5)
    monkeypatch.setenv("ARBENCH_CACHE", str(tmp_path / "cache"))
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        url = f"http://127.0.0.1:{full.getsockname()[1]}"
        monkeypatch.setenv("HF_ENDPOINT", url)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        started = time.monotonic()
        assert main(["download", "hf:org/floor"]) == 4
        assert time.monotonic() - started < 3
        for one in waiting:
            one.close()
    (line,) = capsys.readouterr().err.splitlines()
    assert f"cannot find org/floor: {url} cannot be reached within" in line


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9", "hub.example", "ftp://hub.example"])
def test_an_endpoint_that_is_none_is_named(
    tmp_path: Path,
    endpoint: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("ARBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    started = time.monotonic()
    assert main(["download", "hf:org/floor"]) == 4
    assert time.monotonic() - started < 2
    (line,) = capsys.readouterr().err.splitlines()
    assert endpoint in line


def test_offline_is_said_to_be_what_the_user_asked_for(
    hub: HubServer,
    trained: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arbench.push(trained, "org/floor")
    folder = arbench.download("hf:org/floor")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    asked = len(hub.requests)
    assert main(["download", "hf:org/other"]) == 4
    (line,) = capsys.readouterr().err.splitlines()
    assert "cannot find org/other: HF_HUB_OFFLINE forbids it; unset it" in line
    assert main(["push", str(trained), "--to", "org/floor"]) == 4
    assert "HF_HUB_OFFLINE" in capsys.readouterr().err
    assert arbench.download("hf:org/floor") == folder  # what is here needs no network
    assert "is what it was when last seen" in capsys.readouterr().err
    assert len(hub.requests) == asked
