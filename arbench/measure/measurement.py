"""The contract of a measurement: `Measurement`, its settings and the key of a result."""

from __future__ import annotations

import inspect
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self, get_args
from urllib.parse import quote, unquote

import torch
from torch import Tensor

from arbench.data.tasks import SPLITS
from arbench.errors import ConfigError, PluginError
from arbench.files.canonical import canonical_json
from arbench.files.plain_text import one_line
from arbench.measure.context import Context, Handed
from arbench.measure.measured import Better, Measured, Row
from arbench.measure.sections import Environment, ResultSection, Section
from arbench.registry.entries import NAME_PATTERN, MeasurementEntry
from arbench.registry.manager import registry
from arbench.registry.names import did_you_mean

if TYPE_CHECKING:
    from arbench.probability.density import Density

READS = (*SPLITS, *(f"labels:{split}" for split in SPLITS))
NEEDS = ("log_prob", "sample", "conditionals", "features", "reinitialise")
_LONGEST_UNIT = 40
_BARE = '"[]{},.+-_'  # what a setting in a key keeps as it is, besides letters and digits


class Measurement(ABC):
    """One question put to a density on a dataset; its keyword arguments are its settings.

    Attributes:
        name: what users type.
        version: changes whenever the same density would get another number.
        unit: of the number, such as "nats" or "AUROC".
        better: which direction is.
        reads: splits, and labels of splits, that it is handed: "test", "labels:train" and so on.
        needs: what of a density it uses: "log_prob", "sample", "conditionals", "features" or
            "reinitialise". The core refuses, by name, a density that lacks one.
        exclusive: whether nothing else may run beside it, as where something is timed.
        reproducible: whether the same density gets the same number again; where not, a
            verification shows it and does not judge.
        negates: whether the number is minus the mean of its values, as nats are of
            log-probabilities; of a measurement that has no `value_of` of its own.
        tiny_settings: that make it quick, for the checks.
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

    _given: Mapping[str, Any]

    def __new__(cls, **settings: Any) -> Self:
        """Remember what it is made with, which is a part of its key."""
        made = super().__new__(cls)
        made._given = settings
        return made

    def __init__(self) -> None:
        super().__init__()  # which takes no settings; without it any would do

    @property
    def settings(self) -> dict[str, Any]:
        """Every setting by name, defaults included."""
        return {**defaults_of(type(self)), **self._given}

    @property
    def changed(self) -> dict[str, Any]:
        """The settings that differ from their defaults, which its key and its record name."""
        defaults = defaults_of(type(self))
        return {
            name: value
            for name, value in self._given.items()
            if name not in defaults or canonical_json(value) != canonical_json(defaults[name])
        }

    @property
    def key(self) -> str:
        """What its result is called: the name, or `name?setting=value&...`; see `parse_key`.

        Named are the settings that differ from their defaults, sorted. Their values are JSON in its
        canonical form; characters that would be taken for a part of the key are escaped as in an
        address.
        """
        changed = self.changed
        settings = "&".join(
            f"{setting}={quote(canonical_json(changed[setting]).decode(), safe=_BARE)}"
            for setting in sorted(changed)
        )
        return f"{self.name}?{settings}" if settings else self.name

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

    def section(self, measured: Measured, context: Context, environment: Environment) -> Section:
        """What stands of an answer in a record.

        Only likelihood, speed and truth have sections of a shape of their own, since records had
        places for them before there were others.
        """
        return ResultSection.of(
            measured,
            version=self.version,
            settings=self.changed,
            environment=environment,
            seed=context.seed,
            opened=context.opened,
        )

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
    """The arguments of its constructor."""
    return [*inspect.signature(measurement.__init__).parameters.values()][1:]


def defaults_of(measurement: type[Measurement]) -> dict[str, Any]:
    """The settings of a class that have a default."""
    return {
        parameter.name: parameter.default
        for parameter in settings_of(measurement)
        if parameter.default is not parameter.empty
    }


def parse_key(text: str) -> tuple[str, dict[str, Any]]:
    """The name and the settings of a key, as `Measurement.key` has them or as users type them.

    A value that is no JSON is a text: `detection?against=noise`.

    Raises:
        ConfigError: if it is not NAME or NAME?SETTING=VALUE&SETTING=VALUE.
    """
    name, mark, rest = text.strip().partition("?")
    settings: dict[str, Any] = {}
    for part in rest.split("&") if mark else ():
        setting, equals, value = part.partition("=")
        if not (equals and setting.isidentifier()) or setting in settings:
            raise ConfigError(
                f"{text!r} is not NAME or NAME?SETTING=VALUE&SETTING=VALUE, each setting once"
            )
        try:
            settings[setting] = json.loads(unquote(value))
        except json.JSONDecodeError:
            settings[setting] = unquote(value)
    return name.lower(), settings


def contract_fault(measurement: type[Measurement]) -> str | None:
    """What of a class breaks the contract, in a sentence; None if nothing does."""
    for field in ("name", "version", "unit", "better"):
        if not isinstance(getattr(measurement, field, None), str):
            return f"it states no {field}, a text"
    name, unit = measurement.name, measurement.unit
    if not re.fullmatch(NAME_PATTERN, name):
        return f"its name {name!r} does not match {NAME_PATTERN}"
    if not measurement.version.strip():
        return "its version is empty"
    if not unit.strip() or unit != one_line(unit) or len(unit) > _LONGEST_UNIT:
        return f"its unit {unit!r} is no word of 1 to {_LONGEST_UNIT} characters"
    if measurement.better not in get_args(Better):
        return f"better is {measurement.better!r}, expected {' or '.join(get_args(Better))}"
    for field, known in (("reads", READS), ("needs", NEEDS)):
        given = getattr(measurement, field)
        if not isinstance(given, tuple):
            return f"{field} is {given!r}, expected a tuple of names"
        for each in given:
            if each not in known:
                close = did_you_mean(str(each), known)
                return f"{field} names {each!r}{close}; there are {', '.join(known)}"
    for field in ("exclusive", "reproducible", "negates"):
        if not isinstance(getattr(measurement, field), bool):
            return f"{field} is {getattr(measurement, field)!r}, expected True or False"
    for parameter in settings_of(measurement):
        if parameter.kind is not parameter.KEYWORD_ONLY:
            return f"its setting {parameter.name!r} is not keyword-only: put it behind a *"
    try:
        canonical_json(defaults_of(measurement))
    except (TypeError, ValueError) as error:
        return f"a default of its settings is no JSON ({error})"
    return None


def require_contract(measurement: type[Measurement], origin: str) -> None:
    """Refuse a class that breaks the contract.

    Args:
        measurement: the class.
        origin: what messages call it.

    Raises:
        PluginError: with what is wrong.
    """
    if fault := contract_fault(measurement):
        raise PluginError(f"{origin} is no measurement as its contract has it: {fault}")


def open_measurement(text: str) -> Measurement:
    """The measurement that a name or a key means, made with its settings.

    Raises:
        ConfigError: if no measurement has that name, it has no such setting, or what it needs is
            not installed.
        PluginError: if it cannot be loaded, or breaks the contract.
    """
    name, settings = parse_key(text)
    registered = registry().find(MeasurementEntry, name)
    if registered.missing:
        raise ConfigError(
            f"{name} needs {', '.join(registered.missing)}, which is not installed: "
            f"{registered.install_command}"
        )
    measurement = registered.load()
    origin = f"{registered.target} of {registered.distribution} {registered.version}"
    if not issubclass(measurement, Measurement):
        raise PluginError(f"{origin} is no subclass of arbench.Measurement")
    require_contract(measurement, origin)
    if measurement.name != registered.entry.name:
        raise PluginError(
            f"{origin} calls itself {measurement.name!r}, and is registered as "
            f"{registered.entry.name!r}: they have to be one"
        )
    return make_measurement(measurement, settings)


def make_measurement(measurement: type[Measurement], settings: Mapping[str, Any]) -> Measurement:
    """One with these settings.

    Raises:
        ConfigError: if it has no such setting, lacks one, or refuses a value.
    """
    known = [parameter.name for parameter in settings_of(measurement)]
    for setting in settings:
        if setting not in known:
            raise ConfigError(
                f"{measurement.name} has no setting {setting!r}{did_you_mean(setting, known)}; "
                f"it has {', '.join(known) or 'none'}"
            )
    try:
        return measurement(**settings)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{measurement.name}: {error}") from error
