"""Makes `huggingface_hub` use arbench's HTTP client, with bounded waits.

`huggingface_hub` waits for ever unless it is given a timeout, sleeps for as long as a server tells
it to, and reads the body of a refusal in ways that end in a TypeError. So every refusal becomes an
error before it is read; the caller decides whether to try again, see `attempts`.
"""

from __future__ import annotations

import functools
import os
import re
import time
from contextvars import ContextVar
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import huggingface_hub
from huggingface_hub import HfApi, constants
from huggingface_hub.utils import logging
from huggingface_hub.utils._http import hf_request_event_hook, parse_ratelimit_headers
from huggingface_hub.utils.tqdm import disable_progress_bars

from arbench.errors import NetworkError
from arbench.files.http_client import CONNECT_S, new_client
from arbench.files.http_library import httpx
from arbench.version import __version__

# Uploads go through plain HTTP, which any Hub speaks. Set here and not as variables of the
# environment, which the client reads when it is imported: somebody else may have done that.
for _name, _value in {
    "HF_HUB_DISABLE_XET": True,
    "HF_HUB_DISABLE_TELEMETRY": True,
    "HF_HUB_DOWNLOAD_TIMEOUT": 30,
}.items():
    if _name not in os.environ:
        setattr(constants, _name, _value)
if constants.HF_HUB_DISABLE_PROGRESS_BARS is None:
    disable_progress_bars()
if "HF_HUB_VERBOSITY" not in os.environ:
    logging.set_verbosity(40)  # errors alone: failures are told here, in one line

_LISTING = re.compile("^/api/(models|datasets|spaces)/[^/]+/[^/]+/tree/")
# When the request in progress must have ended, by the monotonic clock.
DEADLINE: ContextVar[float | None] = ContextVar("DEADLINE", default=None)


def connect() -> tuple[HfApi, str | None]:
    """The Hub that `HF_ENDPOINT` names, and the user's token if there is one."""
    _use_own_client()
    token = huggingface_hub.get_token()
    api = HfApi(
        endpoint=os.environ.get("HF_ENDPOINT") or None,
        token=token or False,
        library_name="arbench",
        library_version=__version__,
    )
    return api, token


@functools.cache
def _use_own_client() -> None:
    """Once: setting it again would close the connections of other threads."""
    huggingface_hub.set_client_factory(
        lambda: new_client(
            requests=[hf_request_event_hook, _set_an_end], responses=[_refuse, _check_listing]
        )
    )


def _set_an_end(request: httpx.Request) -> None:
    """Give a request a timeout where a call asks for none, as `repo_info` does.

    Raises:
        NetworkError: if its time is over before it begins, as in a listing without an end.
    """
    deadline = DEADLINE.get()
    if deadline is not None and time.monotonic() > deadline:
        raise NetworkError("the Hub: did not finish its answer in time; try again later")
    most = constants.HF_HUB_DOWNLOAD_TIMEOUT
    asked = request.extensions.get("timeout", {})
    request.extensions["timeout"] = {
        phase: min(asked.get(phase) or most, CONNECT_S if phase == "connect" else most)
        for phase in ("connect", "read", "write", "pool")
    }


def _refuse(response: httpx.Response) -> None:
    """Make an error of a refusal, without a word of it.

    Raises:
        HTTPStatusError: if it is one.
    """
    if response.status_code >= 400:
        raise httpx.HTTPStatusError(
            f"status {response.status_code}", request=response.request, response=response
        )


def _check_listing(response: httpx.Response) -> None:
    """Look at a listing before the client does, which takes anything but a list for an empty one.

    Raises:
        ValueError: if it is none.
    """
    if _LISTING.search(response.request.url.path) is None or response.status_code != 200:
        return
    response.read()
    entries = response.json()
    if not isinstance(entries, list) or not all(
        isinstance(entry, dict) and entry.get("type") in ("file", "directory") for entry in entries
    ):
        raise ValueError("a listing has entries, each a file or a directory")


def told_wait(response: httpx.Response) -> float:
    """For how many seconds a refusal asks to be left alone; zero where it does not say."""
    limit = parse_ratelimit_headers(response.headers)
    if response.status_code == 429 and limit is not None and limit.remaining == 0:
        return float(limit.reset_in_seconds)
    told = response.headers.get("Retry-After", "").strip()
    if told.isascii() and told.isdigit():
        return float(told)
    try:
        when = parsedate_to_datetime(told)
    except ValueError:
        return 0.0
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())
