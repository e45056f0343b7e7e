"""Reads the columns of a plain csv file through pyarrow, in parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from arbench_files.columns import Coded
from arbench_files.division import Array

_AT_ONCE = 1 << 24  # bytes
_NOT_PLAIN = (b'"', b"\0", b"\n\n", b"\n\r\n")


def read_plain_csv(file: Path, width: int, num_names: int) -> list[ArrowColumn] | None:
    """The columns of a csv without quotes; None where only the slow reader can say what is in it.

    That is where pyarrow is not installed, a field is in quotes, or pyarrow finds anything wrong.

    Args:
        file: of UTF-8 text.
        width: fields in a row, at least 2: a line without any is no row.
        num_names: lines before the first row, 0 or 1.
    """
    try:
        import pyarrow
        from pyarrow import csv
    except ModuleNotFoundError:
        return None
    if width < 2 or not _is_plain(file):
        return None
    names = [str(number) for number in range(width)]
    texts = pyarrow.dictionary(pyarrow.int32(), pyarrow.string())
    columns = [ArrowColumn() for _ in names]
    try:
        with (
            open(file, "rb") as opened,  # pyarrow takes no name that is not UTF-8
            csv.open_csv(
                opened,
                csv.ReadOptions(column_names=names, skip_rows=num_names, block_size=_AT_ONCE),
                csv.ParseOptions(quote_char=False, ignore_empty_lines=False),
                csv.ConvertOptions(
                    column_types=dict.fromkeys(names, texts), strings_can_be_null=False
                ),
            ) as reader,
        ):
            for batch in reader:
                for column, found in zip(columns, batch.columns, strict=True):
                    column.add(found)
    except pyarrow.ArrowException:
        return None
    return columns if len(columns[0]) else None


def _is_plain(file: Path) -> bool:
    """Whether no field is in quotes, no line is empty, and all end as on Unix or on Windows.

    Of an empty line pyarrow makes a row.
    """
    last = b"\n"
    with open(file, "rb") as opened:
        while part := opened.read(_AT_ONCE):
            seen = last + part
            if any(each in seen for each in _NOT_PLAIN):
                return False
            if b"\r" in seen and b"\r" in seen.removesuffix(b"\r").replace(b"\r\n", b""):
                return False
            last = seen[-2:]
    return last[-1:] != b"\r"


class ArrowColumn:
    """A column as pyarrow has read it, part by part: each text of a part once, and its places."""

    def __init__(self) -> None:
        self._parts: list[tuple[Any, Array]] = []

    def add(self, found: Any) -> None:
        """Add the texts of a part, coded by pyarrow."""
        codes = found.indices.to_numpy()
        # As small as may be: most columns have few values.
        self._parts.append(
            (found.dictionary, codes.astype(np.min_scalar_type(len(found.dictionary))))
        )

    def __len__(self) -> int:
        return sum(len(codes) for _, codes in self._parts)

    @property
    def coded(self) -> Coded:
        """All of it, without the blanks around the texts; large where there are many of them."""
        labels: list[str] = []
        codes = []
        for texts, own in self._parts:
            codes.append(own + np.int64(len(labels)))
            labels += map(str.strip, texts.to_pylist())
        return Coded(labels, np.concatenate(codes))
