"""Offline mode: a file that is not on this machine is an error, and no download."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from arbench.errors import DataError

_downloads: ContextVar[bool] = ContextVar("_downloads", default=True)


class NotHereError(DataError):
    """A file is not on this machine, and nothing may be downloaded now."""


@contextmanager
def offline() -> Iterator[None]:
    """Within, `fetch` downloads nothing: what is not on this machine is a `NotHereError`."""
    token = _downloads.set(False)
    try:
        yield
    finally:
        _downloads.reset(token)


def may_download() -> bool:
    """Whether a file that is not on this machine may be fetched now; see `offline`."""
    return _downloads.get()
