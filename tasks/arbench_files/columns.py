"""What a column of a table holds: categories or real numbers, and its values as numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from arbench import DataError, Discrete, Real, TableColumn
from arbench_files.division import PartName

Kind = Literal["category", "real"]


class Coded(NamedTuple):
    """The fields of a column: different texts, and the place of every row's among them.

    Attributes:
        labels: in any order; each occurs in a row, and one may be there twice.
        codes: `(N,)` integers.
    """

    labels: list[str]
    codes: NDArray[Any]

    @classmethod
    def of(cls, fields: Iterable[object]) -> Coded:
        """Those of fields in their order."""
        known: dict[str, int] = {}
        codes = [known.setdefault(str(field), len(known)) for field in fields]
        return cls([*known], np.array(codes, np.int64))

    def first(self, wanted: Callable[[str], bool]) -> tuple[int, str] | None:
        """Row and text of the first field of a kind; None if there is none."""
        is_wanted = np.array([wanted(label) for label in self.labels], bool)
        if not is_wanted.any():
            return None
        row = int(is_wanted[self.codes].argmax())
        return row, self.labels[self.codes[row]]


class Fields(Protocol):
    """A column that is coded when somebody looks at it: all columns at once would be large."""

    @property
    def coded(self) -> Coded:
        """The fields."""


# The fields of a csv, or what an array holds: numbers, booleans or text.
Values = Fields | list[str] | NDArray[Any]
# Where in a file a row of a part is, by its number from 0.
Place = Callable[[PartName, int], str]

MOST_NUMBERS = 20
MOST_CATEGORIES = 1024
_MOST_DECIMALS = 12
# No leading zeros: a postal code is no number.
_NUMBER = re.compile(
    r"[+-]?((0|[1-9][0-9]*)(\.(?P<part>[0-9]*))?|\.(?P<only>[0-9]+))([eE][+-]?[0-9]+)?"
)
_MISSING = {"", "?", "na", "n/a", "nan", "nil", "none", "null"}


def is_missing(field: str) -> bool:
    """Whether a field looks like a value that is not there."""
    return field.lower() in _MISSING


def is_number(field: str) -> bool:
    """Whether a field is a decimal number."""
    return _NUMBER.fullmatch(field) is not None


def called(name: str | None, number: int) -> str:
    """What an error calls a column."""
    return f"column {number}" if name is None else f"column {name!r}"


@dataclass(frozen=True, eq=False)
class Column:
    """A column whose values were looked at.

    Attributes:
        described: its name, and its categories or how its numbers are written; mean 0 and scale 1.
        domain: what its values may be.
        values: of each part, `(N,)` float64: numbers, or places in the list of categories.
    """

    described: TableColumn
    domain: Discrete | Real
    values: dict[PartName, NDArray[np.float64]]


def read_column(
    name: str | None,
    number: int,
    parts: Mapping[PartName, Values],
    place: Place,
    kind: Kind | None = None,
) -> Column:
    """What a column holds.

    Zeros and ones are binary. At most `MOST_NUMBERS` different numbers are categories, in their
    order, more are real numbers. Texts are categories in the order of their characters. Categories
    are those of all parts.

    Args:
        name: of the column, if the file has names.
        number: of the column, from 0.
        parts: its values.
        place: where they are, for errors.
        kind: what the user says it holds; None decides by the values.

    Raises:
        DataError: if a value is missing or not finite, texts and numbers are mixed, or there are
            too many categories, or one alone.
    """
    which, start = called(name, number), place(next(iter(parts)), 0)
    texts = {part: coded(values) for part, values in parts.items() if _is_text(values)}
    if texts:
        if found := _first(texts, is_missing):
            part, row, field = found
            raise missing(place(part, row), which, field)
        if stray := _first(texts, lambda label: not is_number(label)):
            part, row, field = stray
            mixes = any(is_number(label) for own in texts.values() for label in own.labels)
            if kind == "real" or (kind is None and mixes):
                reads = f", as in other rows; ?category={name or number} reads both"
                hint = "" if kind == "real" else reads
                raise DataError(
                    f"{place(part, row)}, {which}: found {field[:20]!r}, expected a number{hint}"
                )
            return _categories(name, which, texts, start)
        numbers = {
            part: np.array([*map(float, own.labels)])[own.codes] for part, own in texts.items()
        }
        decimals = _decimals([label for own in texts.values() for label in own.labels])
    else:
        numbers = {part: np.asarray(values, np.float64) for part, values in parts.items()}
        decimals = 0 if all(np.asarray(v).dtype.kind in "bui" for v in parts.values()) else None
    for part, values in numbers.items():
        for wrong in np.flatnonzero(~np.isfinite(values)).tolist():
            if np.isnan(values[wrong]):
                raise missing(place(part, wrong), which, values[wrong])
            raise DataError(
                f"{place(part, wrong)}, {which}: found {values[wrong]}, expected a finite number"
            )
    return _numbers(name, which, numbers, decimals, start, kind)


def missing(place: str, column: str, found: object) -> DataError:
    """The error of a value that is not there."""
    return DataError(
        f"{place}, {column}: found {str(found)!r}, which looks like a missing value; expected a "
        "value in every field: leave the row out, or write a word of your own, such as 'absent'"
    )


def _first(
    texts: Mapping[PartName, Coded], wanted: Callable[[str], bool]
) -> tuple[PartName, int, str] | None:
    """Part, row and text of the first field of a kind."""
    for part, own in texts.items():
        if found := own.first(wanted):
            return part, *found
    return None


def coded(values: Values) -> Coded:
    """The fields of a column of texts."""
    return Coded.of(values) if isinstance(values, list | np.ndarray) else values.coded


def _numbers(
    name: str | None,
    which: str,
    numbers: dict[PartName, NDArray[np.float64]],
    decimals: int | None,
    place: str,
    kind: Kind | None,
) -> Column:
    """A column of numbers."""
    values = np.unique(np.concatenate([*numbers.values()]))
    if kind is None and set(values.tolist()) <= {0.0, 1.0}:
        values = np.array([0.0, 1.0])
    if kind == "real" or (kind is None and len(values) > MOST_NUMBERS):
        if len(values) < 2:
            raise _constant(place, which, values[0])
        return Column(TableColumn(name=name, decimals=decimals), Real(), numbers)
    domain = _domain(place, which, len(values), values[0])
    labels = tuple(_label(value, decimals) for value in values.tolist())
    coded = {part: np.searchsorted(values, own).astype(float) for part, own in numbers.items()}
    return Column(TableColumn(name=name, labels=labels), domain, coded)


def _categories(name: str | None, which: str, texts: dict[PartName, Coded], place: str) -> Column:
    """A column of texts."""
    labels = sorted({label for own in texts.values() for label in own.labels})
    domain = _domain(place, which, len(labels), labels[0])
    codes = {label: float(code) for code, label in enumerate(labels)}
    coded = {
        part: np.array([codes[label] for label in own.labels])[own.codes]
        for part, own in texts.items()
    }
    try:
        return Column(TableColumn(name=name, labels=tuple(labels)), domain, coded)
    except ValueError as error:
        raise DataError(
            f"{place}, {which}: found a category with control characters, expected text of one line"
        ) from error


def _domain(place: str, which: str, size: int, value: object) -> Discrete:
    if size < 2:
        raise _constant(place, which, value)
    if size > MOST_CATEGORIES:
        raise DataError(
            f"{place}, {which}: found {size:,} different values, expected at most "
            f"{MOST_CATEGORIES:,} categories; leave the column out, or join values"
        )
    return Discrete(size)


def _constant(place: str, which: str, value: object) -> DataError:
    return DataError(
        f"{place}, {which}: found {str(value)[:20]!r} here and in all other rows, expected two "
        "different values at least; leave the column out"
    )


def _is_text(values: Values) -> bool:
    return not isinstance(values, np.ndarray) or values.dtype.kind == "U"


def _decimals(fields: list[str]) -> int | None:
    """How many digits numbers have behind the point at most; None if that says nothing."""
    most = 0
    for field in fields:
        match = _NUMBER.fullmatch(field)
        assert match is not None
        if "e" in field.lower():
            return None
        most = max(most, len(match["part"] or match["only"] or ""))
    return most if most <= _MOST_DECIMALS else None


def _label(value: float, decimals: int | None) -> str:
    """A number as the column's other numbers are written."""
    text = repr(value) if decimals is None else f"{value:.{decimals}f}"
    return text if float(text) == value else repr(value)


def standardisation(values: NDArray[np.float64]) -> tuple[float, float]:
    """Mean and standard deviation of the train rows `(N,)`, correctly rounded sums.

    Sums by blocks differ from one processor to the next, and with them the hash of the data.
    """
    mean = math.fsum(values) / len(values)
    return mean, math.sqrt(math.fsum((values - mean) ** 2) / len(values))
