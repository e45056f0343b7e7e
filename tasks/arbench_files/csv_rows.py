"""Reads the rows of a csv file: names, fields, and where each row is."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from arbench import DataError
from arbench_files.columns import is_missing

_BITS = {"0", "1"}


@dataclass(frozen=True, eq=False)
class CsvRows:
    """The rows of a csv file.

    Attributes:
        names: of the columns; None if the first line is a row.
        rows: their fields, without the blanks around them.
        lines: the last line of each, from 1.
        is_binary: whether all fields are 0 or 1.
    """

    names: tuple[str, ...] | None
    rows: list[list[str]]
    lines: list[int]
    is_binary: bool


def read_csv(file: Path) -> CsvRows:
    """The rows of a csv. The first line is a header if every field of it is a name.

    Raises:
        DataError: if it is no csv, rows differ in length, a field is missing, or there is no row.
    """
    try:
        text = file.read_bytes().decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{file}: byte {error.start} is not UTF-8 text, expected a csv of commas"
        ) from error
    names: tuple[str, ...] | None = None
    rows: list[list[str]] = []
    lines: list[int] = []
    width, is_binary = None, True
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
            is_binary = is_binary and _BITS.issuperset(fields)
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
    return CsvRows(names, rows, lines, is_binary)


def _is_name(field: str) -> bool:
    """Whether a field is a column's name: it starts with a letter and is not a missing value."""
    return (
        field[:1].isalpha() and not is_missing(field) and field.lower() not in ("inf", "infinity")
    )
