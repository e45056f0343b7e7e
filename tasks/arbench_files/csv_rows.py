"""Reads the columns of a csv file: names, fields, and where each row is."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from arbench import DataError
from arbench_files.arrow_csv import read_plain_csv
from arbench_files.columns import Fields, coded, is_missing

_BITS = {"0", "1"}


@dataclass(frozen=True, eq=False)
class CsvColumns:
    """The columns of a csv file.

    Attributes:
        names: of them; None if the first line is a row.
        columns: their fields, without the blanks around them.
        lines: the last line of each row, from 1.
    """

    names: tuple[str, ...] | None
    columns: Sequence[Fields | list[str]]
    lines: Sequence[int]

    @property
    def bits(self) -> NDArray[np.uint8] | None:
        """All rows, `(N, D)`, if every field is 0 or 1; else None."""
        bits = np.empty((len(self.lines), len(self.columns)), np.uint8)
        for number, column in enumerate(self.columns):
            labels, codes = coded(column)
            if not _BITS.issuperset(labels):
                return None
            bits[:, number] = np.array([*map(int, labels)], np.uint8)[codes]
        return bits


def read_csv(file: Path) -> CsvColumns:
    """The columns of a csv. The first line is a header if every field of it is a name.

    A plain file is read through pyarrow, where that is installed; what it makes of it is the same.

    Raises:
        DataError: if it is no csv, rows differ in length, a field is missing, or there is no row.
    """
    with open(file, "rb") as opened:
        first = opened.readline().decode(errors="replace").removeprefix("\ufeff").split(",")
    header = [field.strip() for field in first]
    named = all(map(_is_name, header))
    if (columns := read_plain_csv(file, len(header), int(named))) is not None:
        lines = range(1 + named, 1 + named + len(columns[0]))
        return CsvColumns(tuple(header) if named else None, columns, lines)
    return _read_slowly(file)


def _read_slowly(file: Path) -> CsvColumns:
    """The columns of any csv, through the standard library."""
    try:
        text = file.read_bytes().decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{file}: byte {error.start} is not UTF-8 text, expected a csv of commas"
        ) from error
    names: tuple[str, ...] | None = None
    rows: list[list[str]] = []
    lines: list[int] = []
    width = None
    reader = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True, strict=True)
    try:
        for line in reader:
            fields = [field.strip() for field in line]
            if width is None:
                width = len(fields)
                if fields and all(map(_is_name, fields)):
                    names = tuple(fields)
                    continue
            place = f"{file}: row {len(rows)} (line {reader.line_num})"
            if len(fields) != width:
                raise DataError(
                    f"{place}: found {len(fields)} fields, expected {width} as in the first"
                )
            if not fields:
                raise DataError(f"{place}: found an empty line, expected fields")
            rows.append(fields)
            lines.append(reader.line_num)
    except csv.Error as error:
        raise DataError(
            f"{file}: row {len(rows)} (line {reader.line_num}): {error}, expected a csv of commas"
        ) from error
    if not rows:
        raise DataError(f"{file}: found no rows, expected lines of fields, separated by commas")
    if width == 1 and (separator := next((s for s in ";\t|" if s in rows[0][0]), None)):
        raise DataError(
            f"{file}: row 0 (line {lines[0]}): found one field with {separator!r} in it, expected "
            "fields that are separated by commas"
        )
    return CsvColumns(names, [[*column] for column in zip(*rows, strict=True)], lines)


def _is_name(field: str) -> bool:
    """Whether a field is a column's name: it starts with a letter and is not a missing value."""
    return (
        field[:1].isalpha() and not is_missing(field) and field.lower() not in ("inf", "infinity")
    )
