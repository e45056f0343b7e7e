"""What a measurement returns: `Measured` and its `Row`s."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from arbench.files.canonical import canonical_json
from arbench.files.plain_text import one_line

Better = Literal["lower", "higher"]
# How far a number may be from what its values give, in float64.
ROUNDING_SHARE = 1e-9
_VALUE_NAME = r"[a-z][a-z0-9_]{0,63}"


@dataclass(frozen=True)
class Row:
    """One number.

    Attributes:
        case: what it is of, such as "test" or "noise".
        value: the number.
        unit: such as "nats".
        better: which direction is.
        error: its standard error; None where nobody knows it.
    """

    case: str
    value: float
    unit: str
    better: Better
    error: float | None = None

    def __post_init__(self) -> None:
        """Check that it can be written down.

        Raises:
            ValueError: if a text is empty or no line, or a number is not finite.
        """
        for text in (self.case, self.unit):
            if not text or text != one_line(text):
                raise ValueError(f"a row has a case and a unit, each a line of text; got {text!r}")
        if self.better not in ("lower", "higher"):
            raise ValueError(f"{self.case}: better is {self.better!r}, expected lower or higher")
        if not math.isfinite(self.value):
            raise ValueError(f"{self.case}: the value is {self.value}")
        if self.error is not None and not (math.isfinite(self.error) and self.error >= 0):
            raise ValueError(f"{self.case}: the standard error is {self.error}")


@dataclass(frozen=True, eq=False)
class Measured:
    """The answer of a measurement.

    Attributes:
        rows: the first is the board's, and what `value_of` makes of the values.
        values: name to `(N,)` float64, over the index; comparisons and errors are made of them.
        index: what the values are of: a split, such as "test", or a word, such as "samples".
        groups: `(N,)` int64; values with one number are not independent. None if all are; of a
            split's events then those of the task.
        baselines: rows of the data alone, such as what an ordinary compressor reaches.
        details: whatever else is worth a place in the record; JSON.
        pictures: files in the context's folder that people should look at.
    """

    rows: Sequence[Row]
    values: Mapping[str, Tensor] = field(default_factory=dict)
    index: str = "test"
    groups: Tensor | None = None
    baselines: Sequence[Row] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    pictures: Sequence[Path] = ()

    def __post_init__(self) -> None:
        """Check everything that needs nobody else.

        Raises:
            ValueError: with what is wrong.
        """
        if not self.rows:
            raise ValueError("there is no row, and the first is the number")
        for rows in (self.rows, self.baselines):
            cases = [row.case for row in rows]
            if twice := {case for case in cases if cases.count(case) > 1}:
                raise ValueError(f"two rows have the case {min(twice)!r}")
        if not self.index or self.index != one_line(self.index):
            raise ValueError(f"the index is a line of text, got {self.index!r}")
        for name, values in self.values.items():
            if not re.fullmatch(_VALUE_NAME, name) or name == "groups":
                raise ValueError(
                    f"values are called as {_VALUE_NAME} and not 'groups', got {name!r}"
                )
            if (
                values.dtype != torch.float64
                or values.shape != (self.num_values,)
                or not len(values)
            ):
                raise ValueError(
                    f"values are float64 (N,), one length for all of them and not 0; {name!r} is "
                    f"{tuple(values.shape)} {values.dtype}"
                )
            if values.device.type != "cpu":
                raise ValueError(f"values are on the CPU; {name!r} is on {values.device}")
            if not bool(values.isfinite().all()):
                first = int((~values.isfinite()).nonzero()[0])
                raise ValueError(f"{name!r} of {self.index} {first} is {values[first].item()}")
        if self.groups is not None and (
            self.groups.dtype != torch.int64 or self.groups.shape != (self.num_values,)
        ):
            raise ValueError(
                f"groups are int64, one for each of {self.num_values:,} values; got "
                f"{tuple(self.groups.shape)} {self.groups.dtype}"
            )
        canonical_json(dict(self.details))

    @property
    def num_values(self) -> int:
        """N; 0 where there are no values."""
        first = next(iter(self.values.values()), None)
        return 0 if first is None else first.numel()

    @property
    def num_groups(self) -> int:
        """How many of them are independent."""
        return self.num_values if self.groups is None else len(torch.unique(self.groups))

    @property
    def number(self) -> Row:
        """The first row, which boards show."""
        return self.rows[0]
