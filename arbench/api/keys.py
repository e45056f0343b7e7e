"""Opens a launcher or a logger by its key, `name?setting=value`."""

from __future__ import annotations

from typing import TypeVar

from arbench.errors import ConfigError, PluginError
from arbench.measure.opening import parse_key
from arbench.registry.entries import Entry
from arbench.registry.manager import registry
from arbench.registry.names import did_you_mean
from arbench.registry.source import keyword_arguments

T = TypeVar("T")


def open_by_key(kind: type[Entry], base: type[T], text: str) -> T:
    """What a key means, such as `ray?cpus=4`, made with its settings.

    Args:
        kind: of entry, such as `LauncherEntry`.
        base: what its class has to be a subclass of.
        text: the key.

    Raises:
        ConfigError: if nothing has that name, it has no such setting or refuses its value, or what
            it needs is not installed.
        PluginError: if it cannot be loaded, or is no `base`.
    """
    name, settings = parse_key(text)
    offer = registry().find(kind, name)
    if offer.missing:
        raise ConfigError(
            f"{name} needs {', '.join(offer.missing)}, which is not installed: "
            f"{offer.install_command}"
        )
    found = offer.load()
    if not issubclass(found, base):
        raise PluginError(f"{offer.target} of {offer.distribution} is no arbench.{base.__name__}")
    known = [argument.name for argument in keyword_arguments(offer.target)]
    for setting in settings:
        if setting not in known:
            raise ConfigError(
                f"{name} has no setting {setting!r}{did_you_mean(setting, known)}; "
                f"it has {', '.join(known) or 'none'}"
            )
    try:
        made: T = found(**settings)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name}: {error}") from error
    return made
