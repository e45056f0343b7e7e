"""Reads arrays from npz files, or maps them, and never unpickles."""

from __future__ import annotations

import io
import math
import mmap
import struct
import sys
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

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
_LEAST_MAPPED = 1 << 26  # bytes: a smaller array is read, as its file may then go
_NAME_LENGTH = 26  # where a member's own header says how long its name is
_NO_RESERVE: int = getattr(mmap, "MAP_NORESERVE", 0x4000)
# A mapping of the process's own. Linux would refuse one larger than its memory, should all of it be
# written to, and this promises not to.
_PRIVATE = mmap.MAP_PRIVATE | _NO_RESERVE if sys.platform == "linux" else None


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
                headers[key] = _header(beginning, info.file_size, f"{path}: {key!r}")[0]
    except _DAMAGE as error:
        raise _damaged(path, key, error) from error
    return headers


def _header(beginning: io.BytesIO, size: int, place: str) -> tuple[ArrayHeader, bool]:
    """The header of an .npy file of so many bytes, and whether columns come first in it.

    Behind the header, where `beginning` is left, is the array and nothing else.

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
        shape, by_columns, dtype = read(beginning)
    if dtype.hasobject:
        raise DataError(f"{place} holds Python objects, expected numbers; pickles are never read")
    found, expected = size - beginning.tell(), math.prod(shape) * dtype.itemsize
    if found != expected:
        raise ValueError(f"{found:,} bytes of numbers, expected {expected:,}")
    return ArrayHeader(shape, dtype), by_columns


def read_npz(path: Path, keys: Collection[str] | None = None) -> dict[str, NDArray[Any]]:
    """The arrays of an npz archive by their keys, all of them or those asked for.

    A large one that is not compressed is mapped: its numbers are read where and when they are used,
    and need no memory of their own. What is written to it is kept from the file.

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
                mapped = _mapped(path, archive.zip, key)
                arrays[key] = archive[key] if mapped is None else mapped
    except _DAMAGE as error:
        raise _damaged(path, key, error) from error
    return arrays


def _mapped(path: Path, archive: zipfile.ZipFile, key: str) -> NDArray[Any] | None:
    """A large array of an archive where it lies in the file; None if it has to be unpacked.

    Raises:
        ValueError: if it is damaged.
    """
    info = next(i for i in archive.infolist() if i.filename.removesuffix(".npy") == key)
    if info.compress_type != zipfile.ZIP_STORED or info.file_size < _LEAST_MAPPED:
        return None
    with open(path, "rb") as file:
        file.seek(info.header_offset + _NAME_LENGTH)
        lengths = struct.unpack("<HH", file.read(4))  # of the name and of what else is there
        start = file.tell() + sum(lengths)
        if _PRIVATE is None:
            memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        else:
            memory = mmap.mmap(file.fileno(), 0, flags=_PRIVATE)
    found = memoryview(memory)[start : start + info.file_size]
    checksum = 0
    for place in range(0, len(found), _LEAST_MAPPED):
        checksum = zlib.crc32(found[place : place + _LEAST_MAPPED], checksum)
    if checksum != info.CRC:
        raise ValueError("its checksum is another")
    beginning = io.BytesIO(found[:_MOST_HEADER])
    header, by_columns = _header(beginning, info.file_size, f"{path}: {key!r}")
    order: Literal["F", "C"] = "F" if by_columns else "C"
    array: NDArray[Any] = np.ndarray(
        header.shape, header.dtype, found, offset=beginning.tell(), order=order
    )
    return array if array.flags.aligned else None


def _damaged(path: Path, key: str, error: Exception) -> DataError:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return DataError(f"{path}: the archive is damaged at {key!r} ({reason})")
