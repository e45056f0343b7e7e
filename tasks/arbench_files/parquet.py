"""Reads the columns of a parquet file, through pyarrow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from arbench import ConfigError, DataError
from arbench_files.columns import Values, called, missing


def read_parquet(file: Path) -> tuple[tuple[str, ...], list[Values]]:
    """Names and values of the columns of one parquet file.

    Nulls are looked for before anything is converted: in a dictionary column, pyarrow's `to_numpy`
    would make the last category of them.

    Raises:
        ConfigError: if pyarrow is not installed.
        DataError: if it is no such file, a value is missing, or a column holds something else than
            numbers, text or booleans.
    """
    pyarrow, parquet = _pyarrow()
    try:
        # Of this file alone: other readers take columns from the names of its folders.
        with open(file, "rb") as source, parquet.ParquetFile(source) as opened:
            table = opened.read()
    except (pyarrow.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{file}: expected a parquet file, and pyarrow says: {reason}") from error
    if 0 in table.shape:
        raise DataError(
            f"{file}: found {table.shape[0]} rows of {table.shape[1]} columns, expected some"
        )
    names = tuple(table.column_names)
    columns = [
        _values(column, file, called(name, number))
        for number, (name, column) in enumerate(zip(names, table.columns, strict=True))
    ]
    return names, columns


def _values(column: Any, file: Path, which: str) -> Values:
    """What one column holds: texts, or numbers.

    Raises:
        DataError: see `read_parquet`.
    """
    pyarrow, _ = _pyarrow()
    types = pyarrow.types
    if types.is_dictionary(column.type):
        # Its values may hold a null themselves, which no count of the column's nulls has seen.
        column = column.cast(column.type.value_type)
    if column.null_count:
        row = int(np.flatnonzero(column.is_null().to_numpy())[0])
        raise missing(f"{file}: row {row}", which, "null")
    kind = column.type
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return [*column.to_pylist()]
    if types.is_boolean(kind):
        return ["true" if value else "false" for value in column.to_pylist()]
    if types.is_decimal(kind):
        return [f"{value:f}" for value in column.to_pylist()]
    if types.is_integer(kind) or types.is_floating(kind):
        return np.asarray(column.to_numpy())
    raise DataError(f"{file}: {which} holds {kind}, expected numbers, text or booleans")


def _pyarrow() -> tuple[Any, Any]:
    """The library, and its part for parquet.

    Raises:
        ConfigError: if it is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise ConfigError(
            "parquet needs pyarrow: pip install 'arbench[tables]', or write the table as csv"
        ) from error
    return pyarrow, pyarrow.parquet
