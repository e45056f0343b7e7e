"""`table:PATH`: rows of zeros and ones from a csv, data or npz file."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np

from arbench import ArrayHeader, DataError, Discrete, EventSpec
from arbench_files.archives import join, read_parts
from arbench_files.division import Array, PartName
from arbench_files.splits import FileTask, one_shape, split_option

_BITS = {"0", "1"}
_MISSING = {"nan", "na", "null", "none", "inf"}


class TableTask(FileTask):
    """Rows `(D,)` of zeros and ones, from a csv file or an npz archive.

    A file that ends in `.data`, as those of the twenty density benchmarks do, is read as csv.
    """

    def __init__(self, argument: str) -> None:
        """Read the whole table.

        Args:
            argument: the path, with an optional `?split=files`: then equal rows are one work.

        Raises:
            ConfigError: for an unknown rule.
            DataError: if it is not a table of zeros and ones; one sentence with the file, the row,
                what was found and what was expected.
        """
        file, rule = split_option(argument)
        if not file.is_file():
            found = "a folder" if file.is_dir() else "no such file"
            raise DataError(f"{file}: found {found}, expected a .csv, .data or .npz file")
        suffix = file.suffix.lower()
        if suffix in (".csv", ".data"):
            parts: dict[PartName, Array] = {"all": _read_csv(file)}
        elif suffix == ".npz":
            parts = {
                name: join({key: _bits(array, key, file) for key, array in arrays.items()}, file)
                for name, arrays in read_parts(
                    file, min_ndim=2, check=lambda key, header: _check(header, key, file)
                ).items()
            }
        else:
            raise DataError(
                f"{file}: found the extension {file.suffix!r}, expected .csv, .data or .npz"
            )
        spec = EventSpec(one_shape(parts, file), Discrete(2))
        super().__init__("table", file, spec, parts, rule=rule, usual="rows")


def _read_csv(file: Path) -> Array:
    """Rows `(N, D)`, uint8. The first line is a header if every field of it is a name."""
    try:
        text = file.read_bytes().decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{file}: byte {error.start} is not UTF-8 text, expected a csv of 0 and 1"
        ) from error
    rows: list[Array] = []
    width = None
    reader = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True, strict=True)
    try:
        for line in reader:
            fields = [field.strip() for field in line]
            if width is None:
                width = len(fields)
                if fields and all(_is_name(field) for field in fields):
                    continue
            place = f"{file}: row {len(rows)} (line {reader.line_num})"
            if len(fields) != width:
                raise DataError(
                    f"{place}: found {len(fields)} fields, expected {width} as in the first"
                )
            if not fields:
                raise DataError(f"{place}: found an empty line, expected fields 0 or 1")
            if not _BITS.issuperset(fields):
                column = next(i for i, field in enumerate(fields) if field not in _BITS)
                raise DataError(
                    f"{place}, column {column}: found {fields[column][:20]!r}, expected 0 or 1"
                )
            rows.append(np.frombuffer("".join(fields).encode(), dtype=np.uint8) - ord("0"))
    except csv.Error as error:
        raise DataError(
            f"{file}: row {len(rows)} (line {reader.line_num}): {error}, expected fields 0 or 1"
        ) from error
    if not rows:
        raise DataError(f"{file}: found no rows, expected lines of 0 and 1, separated by commas")
    return np.stack(rows)


def _is_name(field: str) -> bool:
    """Whether a field is a column's name: it starts with a letter and is not a missing value."""
    return field[:1].isalpha() and field.lower() not in _MISSING


def _check(header: ArrayHeader, key: str, file: Path) -> None:
    """Refuse arrays that are not tables of numbers."""
    shape, dtype = header.shape, header.dtype
    if len(shape) != 2 or 0 in shape:
        raise DataError(
            f"{file}: {key!r} has shape {shape}, expected (rows, columns), neither of them 0"
        )
    if dtype.kind not in "buif":
        raise DataError(f"{file}: {key!r} has dtype {dtype}, expected numbers 0 or 1")


def _bits(array: Array, key: str, file: Path) -> Array:
    """The array as uint8, if all its values are exactly 0 or 1 (or booleans)."""
    bad = ~((array == 0) | (array == 1))
    if bad.any():
        row, column = (int(i) for i in np.argwhere(bad)[0])
        raise DataError(
            f"{file}: {key!r} row {row}, column {column}: found {array[row, column]}, "
            "expected 0 or 1"
        )
    return array.astype(np.uint8)
