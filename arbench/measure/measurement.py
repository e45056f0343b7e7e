"""The contract: `Measurement`, its settings and key, and what it returns, `Measured`."""

from __future__ import annotations

import inspect
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self
from urllib.parse import quote

import torch
from torch import Tensor

from arbench.files.canonical import canonical_json
from arbench.measure.context import Context, Handed
from arbench.show.escaping import one_line

if TYPE_CHECKING:
    from arbench.measure.environment import Section
    from arbench.probability.density import Density

Better = Literal["lower", "higher"]
# How far a number may be from what its values give, in float64.
ROUNDING_SHARE = 1e-9
_VALUE_NAME = r"[a-z][a-z0-9_]{0,63}"
_BARE = '"[]{},.+-_'  # what a setting in a key keeps as it is, besides letters and digits


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
        num_values: N; 0 where there are no values.
    """

    rows: Sequence[Row]
    values: Mapping[str, Tensor] = field(default_factory=dict)
    index: str = "test"
    groups: Tensor | None = None
    baselines: Sequence[Row] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    pictures: Sequence[Path] = ()
    num_values: int = field(init=False)

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
        for row in (*self.rows, *self.baselines):
            for text in (row.case, row.unit):
                if not text or text != one_line(text):
                    raise ValueError(f"a case and a unit are each a line of text; got {text!r}")
            if row.better not in ("lower", "higher"):
                raise ValueError(f"{row.case}: better is {row.better!r}, expected lower or higher")
            if not math.isfinite(row.value):
                raise ValueError(f"{row.case}: the value is {row.value}")
            if row.error is not None and not (math.isfinite(row.error) and row.error >= 0):
                raise ValueError(f"{row.case}: the standard error is {row.error}")
        if not self.index or self.index != one_line(self.index):
            raise ValueError(f"the index is a line of text, got {self.index!r}")
        first = next(iter(self.values.values()), None)
        object.__setattr__(self, "num_values", 0 if first is None else first.numel())
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
                place = int((~values.isfinite()).nonzero()[0])
                raise ValueError(f"{name!r} of {self.index} {place} is {values[place].item()}")
        if self.groups is not None and (
            self.groups.dtype != torch.int64 or self.groups.shape != (self.num_values,)
        ):
            raise ValueError(
                f"groups are int64, one for each of {self.num_values:,} values; got "
                f"{tuple(self.groups.shape)} {self.groups.dtype}"
            )
        canonical_json(dict(self.details))

    @property
    def num_groups(self) -> int:
        """How many of them are independent."""
        return self.num_values if self.groups is None else len(torch.unique(self.groups))

    @property
    def number(self) -> Row:
        """The first row, which boards show."""
        return self.rows[0]


class Measurement(ABC):
    """One question put to a density on a dataset; its keyword arguments are its settings.

    Attributes:
        name: what users type.
        version: changes whenever the same density would get another number.
        unit: of the number, such as "nats" or "AUROC".
        better: which direction is.
        reads: splits, and labels of splits, that it is handed: "test", "labels:train" and so on.
        needs: what of a density it uses: "log_prob", "sample", "conditionals", "reference_path",
            "features" or "reinitialise". The core refuses, by name, a density that lacks one.
        exclusive: whether nothing else may run beside it, as where something is timed.
        reproducible: whether the same density gets the same number again; where not, a
            verification shows it and does not judge.
        negates: whether the number is minus the mean of its values, as nats are of
            log-probabilities; of a measurement that has no `value_of` of its own.
        tiny_settings: that make it quick, for the checks.
        section: of likelihood, speed and truth alone, for which records had places before there
            were others: the shape of their part of a record, which their details are.
        changed: the settings that differ from their defaults, which its key and its record name.
        key: what its result is called: the name, or `name?setting=value&...`; see `parse_key`.
            Named are the changed settings, sorted. Their values are JSON in its canonical form;
            characters that would be taken for a part of the key are escaped as in an address.
    """

    name: ClassVar[str]
    version: ClassVar[str]
    unit: ClassVar[str]
    better: ClassVar[Better]
    reads: tuple[str, ...] = ("test",)
    needs: ClassVar[tuple[str, ...]] = ("log_prob",)
    exclusive: ClassVar[bool] = False
    reproducible: ClassVar[bool] = True
    negates: ClassVar[bool] = False
    tiny_settings: ClassVar[Mapping[str, Any]] = {}
    section: ClassVar[type[Section] | None] = None

    changed: dict[str, Any]
    key: str
    _given: Mapping[str, Any]

    def __new__(cls, **settings: Any) -> Self:
        """Remember what it is made with, which is a part of its key.

        Raises:
            TypeError: if there is no such setting, or one is no JSON.
            ValueError: if it is NaN or an infinity.
        """
        made = super().__new__(cls)
        texts: dict[str, str] = {}  # of the settings that differ from their defaults
        known = inspect.signature(cls.__init__).parameters
        for name, value in settings.items():
            if cls.__init__ is object.__init__ or name not in known:
                raise TypeError(f"{cls.__name__} has no setting {name!r}")
            text, default = canonical_json(value), known[name].default
            if default is inspect.Parameter.empty or text != canonical_json(default):
                texts[name] = quote(text.decode(), safe=_BARE)
        made._given = settings
        made.changed = {name: settings[name] for name in texts}
        made.key = cls.name
        if texts:
            made.key += "?" + "&".join(f"{name}={texts[name]}" for name in sorted(texts))
        return made

    @property
    def settings(self) -> dict[str, Any]:
        """Every setting by name, defaults included."""
        return {**defaults_of(type(self)), **self._given}

    @property
    def is_mean(self) -> bool:
        """Whether its number is plus or minus the mean of its values: its error has a formula."""
        return type(self).value_of is Measurement.value_of

    def refuses(self, density: Density, dataset: Handed) -> str | None:
        """Why the question means nothing here, as a sentence; None if it does.

        What `needs` and `reads` name is asked before, by the core.
        """
        return None

    @abstractmethod
    def measure(self, density: Density, dataset: Handed, context: Context) -> Measured:
        """The answer.

        Args:
            density: in evaluation mode.
            dataset: what is known of the data, and the splits and labels that `reads` names.
            context: the generator, the device, and whatever else it may ask for.

        Raises:
            Impossible: if the run can have no number at all.
        """

    def value_of(self, values: Mapping[str, Tensor], weights: Tensor) -> float:
        """The number from its values, some of which count more or less than others.

        By default the weighted mean of the first of them, or minus that (`negates`). Errors,
        comparisons and ranks call this with weights of their own; only the ratios of the weights
        may matter.

        Args:
            values: `(N,)` each, float64, as `measure` returned them.
            weights: `(N,)` float64, none negative.
        """
        first = next(iter(values.values()))
        mean = (first @ weights / weights.sum()).item()
        return -mean if self.negates else mean

    def row(self, case: str, value: float, error: float | None = None) -> Row:
        """A row in the unit and direction of this measurement."""
        return Row(case, value, self.unit, self.better, error)

    def measured(self, values: Mapping[str, Tensor], *, case: str = "", **more: Any) -> Measured:
        """The answer that follows from these values.

        Args:
            values: `(N,)` each, float64.
            case: what the number is of; by default the index, such as "test".
            more: as for `Measured`; further `rows` come after that of the number.
        """
        ones = torch.ones(len(next(iter(values.values()))), dtype=torch.float64)
        first = self.row(case or more.get("index", "test"), self.value_of(values, ones))
        return Measured([first, *more.pop("rows", ())], values, **more)


def settings_of(measurement: type[Measurement]) -> list[inspect.Parameter]:
    """The arguments of its constructor; none where it has no constructor of its own."""
    if measurement.__init__ is object.__init__:
        return []
    return [*inspect.signature(measurement.__init__).parameters.values()][1:]


def defaults_of(measurement: type[Measurement]) -> dict[str, Any]:
    """The settings of a class that have a default."""
    return {
        parameter.name: parameter.default
        for parameter in settings_of(measurement)
        if parameter.default is not parameter.empty
    }
