"""`table:PATH`: rows of categories and numbers from a csv, data, npz or parquet file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from arbench import (
    ArrayHeader,
    ConfigError,
    DataError,
    Discrete,
    Division,
    EventSpec,
    Split,
    TableColumn,
    TableRendering,
    joined,
    read_npz,
    read_npz_headers,
)
from arbench_files.archives import join, read_parts
from arbench_files.argument import Argument
from arbench_files.columns import Kind, Place, Values, called, read_column, standardisation
from arbench_files.csv_rows import read_csv
from arbench_files.division import Array, Indices, PartName
from arbench_files.parquet import read_parquet
from arbench_files.splits import FileTask, one_shape

_EXPECTED = ".csv, .data, .npz or .parquet"


@dataclass(frozen=True, eq=False)
class _Table:
    """The columns of a file, before anything is known of them.

    Attributes:
        names: of the columns, if it has names.
        parts: the values of every column, by part.
        place: where a row is.
    """

    names: tuple[str, ...] | None
    parts: Mapping[PartName, Sequence[Values]]
    place: Place


class TableTask(FileTask):
    """Rows `(D,)` of categories and real numbers, from a csv, npz or parquet file.

    Real columns are standardised: events have the train rows' mean 0 and standard deviation 1, and
    samples are written in the file's own units. A table of zeros and ones alone is binary.

    A file that ends in `.data`, as those of the twenty density benchmarks do, is read as csv.
    """

    def __init__(self, argument: str) -> None:
        """Read the whole table.

        Args:
            argument: the path, with options as `Argument.read` has them, and `?category=NAMES` and
                `?real=NAMES` that say what columns hold, by names or numbers with commas between.
                With `?split=files` equal rows are one work.

        Raises:
            ConfigError: for an unknown rule or an unknown column, or if pyarrow is not installed.
            DataError: if it is not such a table; one sentence with the file, the row, what was
                found and what was expected.
        """
        given = Argument.read(argument, "category", "real")
        file, kinds = given.path, _kinds(given.options)
        self._columns: tuple[TableColumn, ...] | None = None
        bits, table = _read(file) if given.test is None else _with_test(given, given.test)
        _check_names(table.names or (), file)
        if bits is None or kinds:
            spec, parts = self._look_at(_of_bits(bits, table), kinds, file)
        else:
            spec, parts = EventSpec(one_shape(bits, file), Discrete(2)), bits
            if table.names is not None:
                labels = ("0", "1")
                self._columns = tuple(TableColumn(name=n, labels=labels) for n in table.names)
        super().__init__("table", file, spec, parts, rule=given.rule, usual="rows")

    def _look_at(
        self, table: _Table, kinds: Mapping[str, Kind], file: Path
    ) -> tuple[EventSpec, dict[PartName, Array]]:
        """The spec of a table, and the rows of its parts; what is real is as the file has it."""
        width = len(next(iter(table.parts.values())))
        names: Sequence[str | None] = table.names or [None] * width
        asked = dict(kinds)
        columns = []
        for number, name in enumerate(names):
            values = {part: own[number] for part, own in table.parts.items()}
            kind = asked.pop(str(number), None) or (asked.pop(name, None) if name else None)
            columns.append(read_column(name, number, values, table.place, kind))
        if asked:
            known = ", ".join(table.names or [f"0 to {width - 1}"])
            raise ConfigError(
                f"{file}: no column is called {next(iter(asked))!r}; there are {known}"
            )
        self._columns = tuple(column.described for column in columns)
        domain = joined([column.domain for column in columns])
        dtype: type[np.generic] = np.float64
        if isinstance(domain, Discrete):
            dtype = np.uint8 if domain.size <= 256 else np.int64
        parts: dict[PartName, Array] = {
            part: np.stack([column.values[part] for column in columns], 1).astype(dtype)
            for part in table.parts
        }
        return EventSpec((width,), domain), parts

    @property
    def rendering(self) -> TableRendering:
        """The columns as the file has them."""
        if self._columns is None:
            return TableRendering()
        columns = [
            column.model_copy(update={"mean": float(mean), "scale": float(scale)})
            for column, mean, scale in zip(self._columns, *self._units, strict=True)
        ]
        return TableRendering(columns=tuple(columns))

    def _divide(self, division: Division | None, path: Path) -> None:
        self._known_units: tuple[Array, Array] | None = None
        super()._divide(division, path)

    @property
    def _units(self) -> tuple[Array, Array]:
        """Mean and scale of each column over the train rows, `(D,)` float64; 0 and 1 of categories.

        Raises:
            DataError: if a real column has one value there.
        """
        if self._known_units is None:
            part, indices = self._places["train"]
            rows = self._parts[part]
            assert isinstance(rows, np.ndarray)
            units = []
            for number, column in enumerate(self._columns or ()):
                mean, scale = 0.0, 1.0
                if column.labels is None:
                    mean, scale = standardisation(rows[indices, number])
                if not (0 < scale < np.inf):
                    raise DataError(
                        f"{self.source}: the train rows of {called(column.name, number)} have a "
                        f"standard deviation of {scale:g}, expected numbers that differ; leave the "
                        "column out"
                    )
                units.append((mean, scale))
            means, scales = np.array(units).reshape(-1, 2).T
            self._known_units = means, scales
        return self._known_units

    def events_of(self, part: PartName, indices: Indices) -> Split:
        """The rows in their order; real columns are standardised."""
        split = super().events_of(part, indices)
        if split.events.dtype != torch.float64:
            return split
        means, scales = (torch.from_numpy(unit) for unit in self._units)
        return Split(((split.events - means) / scales).float())


def _check_names(names: Sequence[str], file: Path) -> None:
    """Refuse names that are no text of one line."""
    for number, name in enumerate(names):
        try:
            TableColumn(name=name)
        except ValueError as error:
            raise DataError(
                f"{file}: found control characters in the name of column {number}, expected text "
                "of one line"
            ) from error


def _kinds(options: Mapping[str, str]) -> dict[str, Kind]:
    """What columns are said to hold, by name.

    Raises:
        ConfigError: if a column is said to hold both.
    """
    kinds: dict[str, Kind] = {}
    for option, names in options.items():
        for name in map(str.strip, names.split(",")):
            if name in kinds:
                raise ConfigError(f"the column {name!r} is named twice, expected one kind for it")
            kinds[name] = "category" if option == "category" else "real"
    return kinds


def _with_test(given: Argument, test: Path) -> tuple[dict[PartName, Array] | None, _Table]:
    """The rows of two files, of which the second is the test split; see `_read`.

    Raises:
        DataError: if their columns have other names, or are not as many.
    """
    read = {path: _read(path) for path in (given.path, test)}
    tables = {path: _of_bits(*found) for path, found in read.items()}
    parts = given.parts(lambda path: dict(tables[path].parts))
    own, other = tables.values()
    if own.names != other.names or len({*map(len, parts.values())}) > 1:
        raise DataError(f"{test}: found other columns than in {given.path}, expected the same")
    bits = {path: found[0] for path, found in read.items()}
    joined_bits = None
    if all(found is not None for found in bits.values()):
        joined_bits = given.parts(lambda path: bits[path] or {})
    return joined_bits, _Table(
        own.names,
        parts,
        lambda part, row: (other if part == "test" else own).place("all", row),
    )


def _read(file: Path) -> tuple[dict[PartName, Array] | None, _Table]:
    """The rows of a table of zeros and ones, uint8; of any other None, and its columns."""
    if not file.is_file():
        found, hint = "no such file", ""
        if file.is_dir():
            found, hint = "a folder", "; the parts of a folder have no order: write one file"
        raise DataError(f"{file}: found {found}, expected a {_EXPECTED} file{hint}")
    suffix = file.suffix.lower()
    if suffix in (".csv", ".data"):
        return _read_csv(file)
    if suffix == ".npz":
        return _read_npz(file)
    if suffix == ".parquet":
        names, columns = read_parquet(file)
        return None, _Table(names, {"all": columns}, lambda part, row: f"{file}: row {row}")
    raise DataError(f"{file}: found the extension {file.suffix!r}, expected {_EXPECTED}")


def _read_csv(file: Path) -> tuple[dict[PartName, Array] | None, _Table]:
    found = read_csv(file)

    def place(part: PartName, row: int) -> str:
        return f"{file}: row {row} (line {found.lines[row]})"

    if (bits := found.bits) is not None:
        return {"all": bits}, _Table(found.names, {}, place)
    return None, _Table(found.names, {"all": found.columns}, place)


def _read_npz(file: Path) -> tuple[dict[PartName, Array] | None, _Table]:
    headers = read_npz_headers(file)
    lengths = {header.shape for header in headers.values()}
    if len(headers) > 1 and len(lengths) == 1 and len(next(iter(lengths))) == 1:
        for key, header in headers.items():
            _check(header, key, file, axes=1)
        arrays = read_npz(file)
        return None, _Table(
            tuple(arrays), {"all": [*arrays.values()]}, lambda part, row: f"{file}: row {row}"
        )
    read = read_parts(file, min_ndim=2, check=lambda key, header: _check(header, key, file))
    keys = {part: " and ".join(map(repr, arrays)) for part, arrays in read.items()}
    parts = {part: join(arrays, file) for part, arrays in read.items()}
    one_shape(parts, file)
    table = _Table(
        None,
        {part: [*rows.T] for part, rows in parts.items()},
        lambda part, row: f"{file}: {keys[part]} row {row}",
    )
    if all(((rows == 0) | (rows == 1)).all() for rows in parts.values()):
        return {part: rows.astype(np.uint8) for part, rows in parts.items()}, table
    return None, table


def _of_bits(bits: Mapping[PartName, Array] | None, table: _Table) -> _Table:
    """The table, with columns of its zeros and ones if nothing else is known of it."""
    if bits is None or table.parts:
        return table
    return _Table(table.names, {part: [*rows.T] for part, rows in bits.items()}, table.place)


def _check(header: ArrayHeader, key: str, file: Path, axes: int = 2) -> None:
    """Refuse arrays that are no tables, or no columns, of numbers."""
    shape, dtype = header.shape, header.dtype
    if len(shape) != axes or 0 in shape:
        raise DataError(
            f"{file}: {key!r} has shape {shape}, expected (rows, columns), neither of them 0"
        )
    if dtype.kind not in ("buif" if axes == 2 else "buifU"):
        raise DataError(f"{file}: {key!r} has dtype {dtype}, expected numbers")
