"""Out-of-memory errors, and keeping freed memory for the next step (glibc)."""

from __future__ import annotations

import contextlib
import ctypes
import platform
from collections.abc import Iterator

import torch

from arbench.errors import RunError

# Options of glibc's mallopt (man 3 mallopt), and values beyond what a step uses.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
_NEVER, _NOT_SOON, _AT_ONCE = (1 << 31) - 1, 1 << 30, 1 << 26


def is_out_of_memory(error: BaseException) -> bool:
    """Whether that is what an error of Python, of torch or of an accelerator says."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


@contextlib.contextmanager
def out_of_memory_says(text: str) -> Iterator[None]:
    """Turn running out of memory inside the block into one error.

    Raises:
        RunError: if memory runs out; its message is `text`, which says what to do.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise RunError(f"out of memory: {text}") from error


@contextlib.contextmanager
def kept_for_reuse() -> Iterator[None]:
    """Freed memory stays with the process until the end.

    Without this, the C library gives large blocks back to the system, which hands them out anew,
    page by page, each set to 0: with PixelCNN on a CPU that is a fifth of a training step. The
    settings stay; what is free at the beginning and at the end is given back, as other work would
    not fit into the gaps. Does nothing where the C library is not glibc, or is one that has no such
    settings.
    """
    if platform.libc_ver()[0] != "glibc":
        yield
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(_TRIM_THRESHOLD, _NEVER)
    libc.mallopt(_MMAP_THRESHOLD, _NOT_SOON)
    libc.mallopt(_TOP_PAD, _AT_ONCE)
    libc.malloc_trim(0)
    try:
        yield
    finally:
        libc.malloc_trim(0)
