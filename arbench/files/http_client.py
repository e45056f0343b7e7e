"""The HTTP client: timeouts, downloads, and errors as one sentence.

Data sets, those that torchvision unpacks, and the Hub all go through it.
"""

from __future__ import annotations

import socket
import ssl
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from arbench.errors import NetworkError
from arbench.files.http_library import httpx
from arbench.version import __version__

CONNECT_S = 5.0
READ_S = 30.0
FAILURES = (httpx.HTTPError, httpx.InvalidURL)
_SHOWN_OF_NAME = 18  # with the rest, 80 characters
_CHUNK_BYTES = 1 << 20

RequestHook = Callable[[httpx.Request], object]
ResponseHook = Callable[[httpx.Response], object]


def new_client(
    *,
    requests: Sequence[RequestHook] = (),
    responses: Sequence[ResponseHook] = (),
) -> httpx.Client:
    """A client that follows redirects and gives up on servers that do not answer.

    Args:
        requests: called with each request before it is sent.
        responses: called with each answer before its body is read.
    """
    return httpx.Client(
        event_hooks={"request": [*requests], "response": [*responses]},
        follow_redirects=True,
        headers={"User-Agent": f"arbench/{__version__}"},
        timeout=httpx.Timeout(READ_S, connect=CONNECT_S),
    )


def download(url: str, path: Path) -> None:
    """Download an address into a file, and show progress on a terminal.

    Raises:
        NetworkError: if that is not all of it; the message is the reason alone.
        OSError: if the file cannot be written.
    """
    try:
        # The file as it lies there: a packed one must not arrive unpacked.
        plain = {"Accept-Encoding": "identity"}
        with new_client() as client, client.stream("GET", url, headers=plain) as response:
            if response.status_code != httpx.codes.OK:
                raise NetworkError(f"status {response.status_code}", status=response.status_code)
            with path.open("wb") as file, _bar(url, response) as advance:
                for chunk in response.iter_raw(_CHUNK_BYTES):
                    file.write(chunk)
                    advance(len(chunk))
    except FAILURES as error:
        raise NetworkError(reason(error, url)) from error


@contextmanager
def _bar(url: str, response: httpx.Response) -> Iterator[Callable[[int], object]]:
    """A progress bar on a terminal, and nothing elsewhere; call the result with bytes."""
    if not sys.stderr.isatty():
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    length = response.headers.get("Content-Length", "")
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=18),
        DownloadColumn(),
        TransferSpeedColumn(),
        TextColumn("eta"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as bar:
        task = bar.add_task(
            urlsplit(url).path.rpartition("/")[2][:_SHOWN_OF_NAME],
            total=int(length) if length.isdecimal() else None,
        )
        yield lambda count: bar.advance(task, count)


def reason(error: BaseException, url: str) -> str:
    """Why a request got no answer, with not a word of the server's, which may repeat secrets.

    Args:
        error: one of `FAILURES`.
        url: of the request, or of the server.
    """
    server = _server(url)
    match error:
        case httpx.ConnectTimeout():
            return f"{server} cannot be reached within {CONNECT_S:.0f} seconds"
        case httpx.ConnectError():
            return f"{server} cannot be reached{_why_unreachable(error)}"
        case httpx.ProxyError():
            return f"the proxy on the way to {server} refuses"
        case httpx.TimeoutException():
            return f"{server} stopped answering"
        case httpx.UnsupportedProtocol() | httpx.InvalidURL():
            return f"{url!r} is no address: expected https://..."
        case httpx.TooManyRedirects():
            return f"{server} redirects in a circle"
        case httpx.DecodingError():
            return f"{server} sent what cannot be unpacked"
        case httpx.RequestError():
            return f"{server} broke off its answer"
        case _:
            return f"{server} gave no answer ({type(error).__name__})"


def _server(url: str) -> str:
    """The part of an address that names the server, without a user's name and password."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return repr(url)
    return f"{parts.scheme}://{host}" if host else repr(url)


def _why_unreachable(error: BaseException) -> str:
    cause: BaseException | None = error
    while cause is not None:
        match cause:
            case socket.gaierror():
                return ": no such host is known here"
            case ssl.SSLError():
                return ": its certificate is not accepted"
            case OSError() if cause.strerror:
                return f": {cause.strerror}"
        cause = cause.__cause__ or cause.__context__
    return ""
