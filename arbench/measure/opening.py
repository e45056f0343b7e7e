"""Opens a measurement by its key, `name?setting=value`; refuses what breaks the contract."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, get_args
from urllib.parse import unquote

from arbench.data.tasks import SPLITS
from arbench.errors import ConfigError, PluginError
from arbench.files.canonical import canonical_json
from arbench.measure.measurement import Better, Measurement, defaults_of, settings_of
from arbench.registry.entries import NAME_PATTERN, MeasurementEntry
from arbench.registry.manager import registry
from arbench.registry.names import did_you_mean
from arbench.show.escaping import one_line

READS = (*SPLITS, *(f"labels:{split}" for split in SPLITS))
NEEDS = ("log_prob", "sample", "conditionals", "reference_path", "features", "reinitialise")
_LONGEST_UNIT = 40
_OWN_SECTIONS = ("likelihood", "speed", "truth")  # of which readers of records know the shapes


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
    if measurement.section is not None and name not in _OWN_SECTIONS:
        return f"only {', '.join(_OWN_SECTIONS)} have a section of a shape of their own"
    for parameter in settings_of(measurement):
        if parameter.kind is not parameter.KEYWORD_ONLY:
            return f"its setting {parameter.name!r} is not keyword-only: put it behind a *"
        if parameter.name in ("changed", "key"):
            return f"no setting may be called {parameter.name!r}: every measurement has one itself"
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
