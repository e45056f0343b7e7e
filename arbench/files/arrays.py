"""Reads arrays from npz files, and never unpickles."""

from __future__ import annotations

import io
import math
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arbench.errors import DataError

# What numpy and zipfile raise at damaged or hostile bytes; RuntimeError is for encryption and,
# through NotImplementedError, for features of zip that Python lacks.
_DAMAGE = (
    ValueError,
    TypeError,
    SyntaxError,
    RecursionError,
    EOFError,
    OSError,
    MemoryError,
    RuntimeError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


_MOST_HEADER = 1 << 16  # numpy takes none of more than 10,000 characters


@dataclass(frozen=True)
class ArrayHeader:
    """The shape and type of an array, known before its data are read."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def read_npz_headers(path: Path, keys: Collection[str] | None = None) -> dict[str, ArrayHeader]:
    """The headers of the arrays of an npz archive by their keys, all of them or those asked for.

    Nothing behind the headers is unpacked, however much it would be.

    Raises:
        DataError: as `read_npz`.
    """
    if not path.is_file():
        raise DataError(f"{path}: found no such file, expected an npz archive")
    if not zipfile.is_zipfile(path):
        raise DataError(f"{path}: expected an npz archive as numpy.savez writes it")
    headers: dict[str, ArrayHeader] = {}
    key = ""
    try:
        with zipfile.ZipFile(path) as archive:
            members = [(info.filename.removesuffix(".npy"), info) for info in archive.infolist()]
            there = [key for key, _ in members]
            for key in there if keys is None else keys:
                if there.count(key) != 1:
                    found = "twice" if key in there else f"not among {', '.join(there) or 'none'}"
                    raise DataError(f"{path}: expected the key {key!r} once, found it {found}")
                info = members[there.index(key)][1]
                with archive.open(info) as member:
                    beginning = io.BytesIO(member.read(_MOST_HEADER))
                headers[key] = _header(beginning, info.file_size, f"{path}: {key!r}")
    except _DAMAGE as error:
        raise _damaged(path, key, error) from error
    return headers


def _header(beginning: io.BytesIO, size: int, place: str) -> ArrayHeader:
    """The header of an .npy file of so many bytes, which hold the array and nothing else.

    Raises:
        DataError: if the file holds no array, or one of Python objects.
        ValueError: if it is damaged.
    """
    if beginning.getvalue()[: len(np.lib.format.MAGIC_PREFIX)] != np.lib.format.MAGIC_PREFIX:
        raise DataError(f"{place} is not an array, expected an .npy member")
    version = np.lib.format.read_magic(beginning)
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise ValueError(f"version {version} of npy")
    read = (
        np.lib.format.read_array_header_1_0
        if version == (1, 0)
        else np.lib.format.read_array_header_2_0
    )
    with warnings.catch_warnings():
        # Old public files were written by Python 2, which numpy reads with a warning.
        warnings.filterwarnings("ignore", message=".*additional header parsing")
        shape, _, dtype = read(beginning)
    if dtype.hasobject:
        raise DataError(f"{place} holds Python objects, expected numbers; pickles are never read")
    found, expected = size - beginning.tell(), math.prod(shape) * dtype.itemsize
    if found != expected:
        raise ValueError(f"{found:,} bytes of numbers, expected {expected:,}")
    return ArrayHeader(shape, dtype)


def read_npz(path: Path, keys: Collection[str] | None = None) -> dict[str, NDArray[Any]]:
    """The arrays of an npz archive by their keys, all of them or those asked for.

    Raises:
        DataError: if the file is missing or is not an npz archive, or if an array is missing,
            damaged or made of Python objects (which only unpickling could read).
    """
    wanted = read_npz_headers(path, keys)
    arrays: dict[str, NDArray[Any]] = {}
    key = ""
    try:
        with warnings.catch_warnings(), np.load(path, allow_pickle=False) as archive:
            warnings.filterwarnings("ignore", message=".*additional header parsing")
            for key in wanted:
                arrays[key] = archive[key]
    except _DAMAGE as error:
        raise _damaged(path, key, error) from error
    return arrays


def _damaged(path: Path, key: str, error: Exception) -> DataError:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return DataError(f"{path}: the archive is damaged at {key!r} ({reason})")
