"""Arrays from npz archives: no pickle is ever read."""

from __future__ import annotations

import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arbench.errors import DataError

# What numpy and zipfile raise at damaged or hostile bytes; RuntimeError is for encryption and,
# through NotImplementedError, for features of zip that Python lacks.
_DAMAGE = (
    ValueError,
    EOFError,
    OSError,
    MemoryError,
    RuntimeError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


def read_npz(path: Path, keys: Collection[str] | None = None) -> dict[str, NDArray[Any]]:
    """The arrays of an npz archive by their keys, all of them or those asked for.

    Raises:
        DataError: if the file is missing or is not an npz archive, or if an array is missing,
            damaged or made of Python objects (which only unpickling could read).
    """
    if not path.is_file():
        raise DataError(f"{path}: found no such file, expected an npz archive")
    if not zipfile.is_zipfile(path):
        raise DataError(f"{path}: expected an npz archive as numpy.savez writes it")
    arrays: dict[str, NDArray[Any]] = {}
    key = ""
    try:
        with warnings.catch_warnings(), np.load(path, allow_pickle=False) as archive:
            # Old public files were written by Python 2, which numpy reads with a warning.
            warnings.filterwarnings("ignore", message=".*additional header parsing")
            for key in archive.files if keys is None else keys:
                arrays[key] = archive[key]
    except KeyError as error:
        raise DataError(
            f"{path}: expected the key {key!r}, found {', '.join(archive.files) or 'none'}"
        ) from error
    except _DAMAGE as error:
        if "Object arrays" in str(error):
            raise DataError(
                f"{path}: {key!r} holds Python objects, expected numbers; pickles are never read"
            ) from error
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataError(f"{path}: the archive is damaged at {key!r} ({reason})") from error
    for key, array in arrays.items():
        if not isinstance(array, np.ndarray):
            raise DataError(f"{path}: {key!r} is not an array, expected an .npy member")
    return arrays
