"""The one HTTP client: every request ends, and whatever ends it badly is a sentence."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from huggingface_hub.errors import HfHubHTTPError

from arbench.errors import NetworkError
from arbench.files import http_client
from arbench.files.http_client import download, reason
from arbench.files.http_library import httpx

Serve = Callable[[socket.socket], None]


@contextmanager
def server(serve: Serve) -> Iterator[str]:
    """An address at which every connection is handled by a function, after its request."""
    listening = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        with suppress(OSError):  # it is closed at the end
            while True:
                connection, _ = listening.accept()
                with connection:
                    connection.recv(65536)
                    serve(connection)

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        listening.close()


def answering(head: str, body: bytes = b"") -> Serve:
    """An answer, after which the connection ends: a client that asks again opens another one."""
    start = f"HTTP/1.1 {head}\r\nConnection: close\r\n\r\n".encode()
    return lambda connection: connection.sendall(start + body)


def stalling(connection: socket.socket) -> None:
    time.sleep(1)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_client, "CONNECT_S", 0.3)
    monkeypatch.setattr(http_client, "READ_S", 0.3)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("serve", "said"),
    [
        (answering("404 Not Found\r\nContent-Length: 0"), "status 404"),
        (answering("503 hf_secret\r\nContent-Length: 9", b"hf_secret"), "status 503"),
        (answering("204 No Content"), "status 204"),
        (answering("200 OK\r\nContent-Length: 9", b"half"), "broke off its answer"),
        (answering("nonsense"), "broke off its answer"),
        (answering("302 Found\r\nLocation: /again\r\nContent-Length: 0"), "redirects in a circle"),
        (lambda connection: None, "broke off its answer"),
        (stalling, "stopped answering"),
    ],
)
def test_whatever_goes_wrong_is_a_sentence_that_names_the_server(
    tmp_path: Path, serve: Serve, said: str
) -> None:
    with server(serve) as url, pytest.raises(NetworkError) as caught:
        download(f"{url}/file", tmp_path / "file")
    message = str(caught.value)
    assert said in message
    assert said.startswith("status") or message.startswith(url)
    assert "hf_secret" not in message
    assert "\n" not in message


@pytest.mark.usefixtures("impatient")
def test_who_cannot_be_reached_is_named_at_once(tmp_path: Path) -> None:
    """A connection that nobody accepts is what a firewall makes of a network that is not there."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        url = f"http://127.0.0.1:{full.getsockname()[1]}"
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        started = time.monotonic()
        with pytest.raises(NetworkError, match=f"{url} cannot be reached within"):
            download(f"{url}/file", tmp_path / "file")
        assert time.monotonic() - started < 3
        for one in waiting:
            one.close()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://127.0.0.1:9/a", "http://127.0.0.1:9 cannot be reached: Connection refused"),
        ("http://me:secret@127.0.0.1:9/a", "http://127.0.0.1:9 cannot be reached"),
        ("http://no-such-host.invalid/a", "no such host is known here"),
        ("ftp://host/a", "is no address"),
        ("host/a", "is no address"),
        ("http://[::1/a", "is no address"),
    ],
)
def test_an_address_that_leads_nowhere_is_told_as_such(tmp_path: Path, url: str, said: str) -> None:
    with pytest.raises(NetworkError) as caught:
        download(url, tmp_path / "file")
    assert said in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_certificate_that_is_not_accepted_is_told_as_such() -> None:
    error = httpx.ConnectError("failed")
    error.__cause__ = ssl.SSLCertVerificationError("self-signed")
    assert reason(error, "https://host/a") == (
        "https://host cannot be reached: its certificate is not accepted"
    )


def test_the_errors_of_the_hub_client_are_those_that_are_caught() -> None:
    """Of two libraries with the same names the other one's errors would pass every handler."""
    assert issubclass(HfHubHTTPError, httpx.HTTPError)


def test_a_packed_file_arrives_packed(tmp_path: Path) -> None:
    """Some servers say of an archive that it is the packed form of what is in it."""
    packed = b"\x1f\x8b not really"
    head = f"200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}"
    with server(answering(head, packed)) as url:
        download(f"{url}/file.gz", tmp_path / "file.gz")
    assert (tmp_path / "file.gz").read_bytes() == packed
