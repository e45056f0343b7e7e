"""Retries of Hub requests: how often, how long, and the error at the end."""

from __future__ import annotations

import random
import sys
import time
from contextvars import Token
from dataclasses import dataclass
from traceback import format_exception
from types import TracebackType

from huggingface_hub.errors import FileMetadataError, OfflineModeIsEnabled

from arbench.errors import ArbenchError, NetworkError
from arbench.files.http_client import FAILURES, reason
from arbench.files.http_library import httpx
from arbench.hub.requests import DEADLINE, told_wait

DEADLINE_S = 180.0
FIRST_WAIT_S = 1.0
PASSING = {408, 409, 429, 500, 502, 503, 504}
_STALE = 412
_MOST_TRIES = 4
_TOLD_FROM_S = 5.0  # a longer wait is announced
# What the client's own code makes of an answer that it did not expect.
_STUMBLES = (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError)
_CAUGHT = (*FAILURES, *_STUMBLES, OSError, RuntimeError, ArbenchError)


@dataclass
class Server:
    """Who is asked.

    Attributes:
        url: its address.
        token: of the user, if there is one.
        answered: whether it has ever answered.
    """

    url: str
    token: str | None
    answered: bool = False


@dataclass(frozen=True)
class _Fault:
    """What went wrong with a request, and how many of its kind are borne."""

    text: str
    most: float
    status: int | None = None
    wait_s: float = 0.0


class Attempts:
    """Attempts at one request. Enter it until the request succeeds; it waits between.

    A failure that does not pass, or not in time, leaves as a `NetworkError`; what is no failure of
    the request leaves as it is.

    Args:
        what: is asked for, as in "cannot ...".
        server: who is asked.
        contended: whether others may do the same; who comes second does it again.
    """

    def __init__(self, what: str, server: Server, *, contended: bool = False) -> None:
        self._contended = contended
        self._what, self._server = what, server
        self._deadline = time.monotonic() + DEADLINE_S
        self._wait_s = FIRST_WAIT_S
        self._failures = self._conflicts = 0

    def __enter__(self) -> None:
        self._token: Token[float | None] = DEADLINE.set(time.monotonic() + DEADLINE_S)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        DEADLINE.reset(self._token)
        if error is None:
            self._server.answered = True
            return False
        if not isinstance(error, _CAUGHT):
            return False
        cause = _cause(error)
        if isinstance(cause, ArbenchError):
            if cause is error:
                return False
            raise cause from None if self._shows_token(error) else error
        fault = self._fault(cause)
        if fault is None:
            return False
        self._bear(fault, error)
        return True

    def _bear(self, fault: _Fault, error: BaseException) -> None:
        """Wait until the next attempt.

        Raises:
            NetworkError: if there is none.
        """
        self._server.answered |= fault.status is not None
        if fault.status == _STALE and self._contended:  # to be second is no failure
            self._conflicts += 1
            pause = random.uniform(0.05, 0.1 + 0.1 * self._conflicts)
        else:
            self._failures += 1
            pause = max(self._wait_s, fault.wait_s)
            self._wait_s *= 2
        text = fault.text
        in_time = time.monotonic() + pause < self._deadline
        if not in_time and fault.wait_s:
            text = f"it asks to come back in {fault.wait_s:,.0f} seconds; try again then"
        if self._failures >= fault.most or not in_time:
            raise NetworkError(f"the Hub: cannot {self._what}: {text}", status=fault.status) from (
                None if self._shows_token(error) else error
            )
        if fault.wait_s >= _TOLD_FROM_S:
            print(f"arbench: the Hub asks to wait {pause:.0f} seconds", file=sys.stderr)
        time.sleep(pause)

    def _fault(self, error: BaseException) -> _Fault | None:
        """What kind of failure it is; None if it is this machine's."""
        url, garbled = self._server.url, 2
        match error:
            case OfflineModeIsEnabled():
                return _Fault("HF_HUB_OFFLINE forbids it; unset it to use the Hub", 1)
            case httpx.HTTPStatusError():
                return self._refusal(error.response)
            case httpx.ConnectError() | httpx.ConnectTimeout():
                # Without a network the first attempt says all that there is to say.
                most = _MOST_TRIES if self._server.answered else 1
                return _Fault(f"{reason(error, _url(error) or url)}; check the network", most)
            case httpx.UnsupportedProtocol() | httpx.InvalidURL():
                return _Fault(f"{reason(error, url)}; check HF_ENDPOINT", 1)
            case httpx.HTTPError():
                return _Fault(f"{reason(error, _url(error) or url)}; try again later", _MOST_TRIES)
            case FileMetadataError():
                return _Fault(_no_hub(url), garbled)
            case OSError() if error.errno is None:  # the client's own, that a file is too short
                return _Fault(f"{url} broke off its answer; try again later", _MOST_TRIES)
            case OSError() if not isinstance(error, ConnectionError):
                return None
            case _:
                return _Fault(_no_hub(url), garbled)

    def _refusal(self, response: httpx.Response) -> _Fault:
        status = response.status_code
        who = "does not accept your token" if self._server.token else "does not know who you are"
        reasons = {
            401: f"it {who}; log in with `hf auth login`, or set HF_TOKEN",
            403: "you have no right to it; use a token with write access to that organisation",
            404: "there is no such thing, or it is private; check the name and the revision, or "
            "log in with `hf auth login`",
            _STALE: "others keep committing to it; try again later",
            429: "it asks for fewer requests; try again later",
        }
        later = "; try again later" if status in PASSING else ""
        text = reasons.get(status, f"it answers with status {status}{later}")
        stale = status == _STALE and self._contended
        most = float("inf") if stale else _MOST_TRIES if status in PASSING else 1
        return _Fault(text, most, status, told_wait(response) if status in PASSING else 0.0)

    def _shows_token(self, error: BaseException) -> bool:
        """Whether a traceback would show the token, which a server may have echoed."""
        token = self._server.token
        return token is not None and token in "".join(format_exception(error))


def _no_hub(url: str) -> str:
    return (
        f"{url} does not answer as a Hub does; check HF_ENDPOINT, and whether a proxy or a login "
        "page stands in between"
    )


def _url(error: httpx.HTTPError) -> str | None:
    """Where the request went, which may be a storage far from the Hub."""
    try:
        return str(error.request.url)
    except RuntimeError:  # it has none
        return None


def _cause(error: BaseException) -> BaseException:
    """The failure of the request itself: the client wraps it where several threads upload."""
    known = (*FAILURES, ArbenchError, OfflineModeIsEnabled, FileMetadataError)
    found: BaseException | None = error
    while found is not None and not isinstance(found, known):
        found = found.__cause__
    if found is None and isinstance(error, RuntimeError) and error.__cause__ is not None:
        return error.__cause__
    return found or error
