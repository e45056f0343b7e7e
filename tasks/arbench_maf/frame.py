"""Reads the numbers of a pickled table of pandas, and runs nothing that is in the file."""

from __future__ import annotations

import pickletools

import numpy as np

from arbench import DataError
from arbench_maf.preparation import Rows

_ITEM = 8  # bytes of a float64
_MOST_NAME = 256


def read_frame(data: bytes, place: str) -> tuple[list[str], Rows]:
    """Names of the columns and rows `(N, columns)` of a frame whose columns are all float64.

    Python would call whatever a pickle names. Here its instructions are only listed: the first list
    of texts are the names, the longest text or bytes are the numbers, and the truth value before
    them says whether they come row by row.

    Args:
        data: the file, of pickle protocol 2, as the authors' pandas wrote it.
        place: what an error names.

    Raises:
        DataError: if that is not in it.
    """
    names: list[str] = []
    texts: list[str] = []
    seen: dict[object, str] = {}  # what the file refers to by a number
    numbers, by_row, flag, last = b"", False, False, ""
    try:
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name in ("NEWTRUE", "NEWFALSE"):
                flag = opcode.name == "NEWTRUE"
            elif opcode.name == "EMPTY_LIST":
                texts = []
            elif opcode.name == "APPENDS":
                names = names or [*texts]
            elif opcode.name in ("BINPUT", "LONG_BINPUT"):
                seen[argument] = last
            elif opcode.name in ("BINGET", "LONG_BINGET"):
                texts += filter(None, [seen.get(argument)])
            elif isinstance(argument, str | bytes) and opcode.name not in ("GLOBAL", "PROTO"):
                raw = argument.encode("latin-1") if isinstance(argument, str) else argument
                if len(raw) > len(numbers):
                    numbers, by_row = raw, flag
                last = raw[:_MOST_NAME].decode("latin-1")
                texts.append(last)
                continue
            last = ""
    except (ValueError, UnicodeError, IndexError) as error:
        raise DataError(f"{place}: expected a pickled table ({error})") from error
    width = len(names)
    if not width or not numbers or len(numbers) % (_ITEM * width):
        raise DataError(
            f"{place}: found {width} names and {len(numbers):,} bytes of numbers, expected a table "
            "of float64 columns"
        )
    values = np.frombuffer(numbers, "<f8")
    rows = values.reshape(-1, width) if by_row else values.reshape(width, -1).T
    return names, rows.astype(np.float64)
