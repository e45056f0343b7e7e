"""What a plugin registers: `ModelEntry`, `TaskEntry`, `HeadEntry`, `MeasurementEntry`, ...."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import ClassVar, Literal

NAME_PATTERN = r"[a-z0-9][a-z0-9._-]{0,63}"
_ALIAS_PATTERN = r"[a-z0-9][a-z0-9._+-]{0,63}"
_TARGET_PATTERN = r"[A-Za-z_][\w.]*:[A-Za-z_]\w*"

Kind = Literal["model", "task", "head", "measurement", "command", "launcher", "logger"]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What every entry has.

    Attributes:
        kind: what it offers; a registry has its entries as `models`, `tasks`, ...
        holds: the field that names the object, `"package.module:Object"`.
        name: what users type; `[a-z0-9][a-z0-9._-]{0,63}`.
        summary: one line for `arbench list`.
        target: where the object is, `"package.module:Object"`.
        spellings: everything that users may type for it: its name, and the aliases of a model.
    """

    kind: ClassVar[Kind]
    holds: ClassVar[str]
    name: str
    summary: str = ""
    target: str = field(init=False, repr=False, compare=False)
    spellings: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not re.fullmatch(NAME_PATTERN, self.name):
            raise ValueError(f"the name {self.name!r} does not match {NAME_PATTERN}")
        aliases = getattr(self, "aliases", ())
        if not isinstance(aliases, tuple):
            raise ValueError(f"{self.name}: the aliases are a tuple, got {aliases!r}")
        for alias in aliases:
            if not re.fullmatch(_ALIAS_PATTERN, alias):
                raise ValueError(
                    f"{self.name}: the alias {alias!r} does not match {_ALIAS_PATTERN}"
                )
        target = getattr(self, self.holds)
        if not re.fullmatch(_TARGET_PATTERN, target):
            raise ValueError(f"{self.name}: expected 'package.module:Object', got {target!r}")
        object.__setattr__(self, "target", target)  # an entry is frozen
        object.__setattr__(self, "spellings", (self.name, *aliases))


@dataclass(frozen=True, kw_only=True)
class ModelEntry(Entry):
    """A model on offer.

    Attributes:
        network: where the network class is, `"package.module:Class"`.
        paper: short citation.
        recipes: `"package"` whose folder `recipes/` holds `<task>.toml` and `default.toml`; None
            when there are none.
        aliases: other spellings that users may type, `+` allowed; everything that is written
            carries the name.
    """

    kind, holds = "model", "network"
    network: str
    paper: str = ""
    recipes: str | None = None
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TaskEntry(Entry):
    """A task on offer.

    Attributes:
        task: where the task class is, `"package.module:Class"`.
        argument: None, or what follows the name after a colon, such as "PATH" in `images:PATH`;
            the class is then called with that text.
    """

    kind = holds = "task"
    task: str
    argument: str | None = None


@dataclass(frozen=True, kw_only=True)
class HeadEntry(Entry):
    """A head on offer.

    Attributes:
        head: where the head class is, `"package.module:Class"`.
    """

    kind = holds = "head"
    head: str


@dataclass(frozen=True, kw_only=True)
class MeasurementEntry(Entry):
    """A measurement on offer.

    Attributes:
        measurement: where the measurement class is, `"package.module:Class"`.
        extra: the extra of the plugin's distribution that installs what it needs, such as "probe"
            for `pip install 'DISTRIBUTION[probe]'`; None where nothing more is needed.
    """

    kind = holds = "measurement"
    measurement: str
    extra: str | None = None


@dataclass(frozen=True, kw_only=True)
class CommandEntry(Entry):
    """A command on offer: what `arbench NAME` runs.

    Attributes:
        command: where the `click.Command` is, `"package.module:object"`.
    """

    kind = holds = "command"
    command: str


@dataclass(frozen=True, kw_only=True)
class LauncherEntry(Entry):
    """A launcher on offer: what starts the runs of `arbench queue --launcher NAME`.

    Attributes:
        launcher: where the launcher class is, `"package.module:Class"`.
        extra: the extra of the plugin's distribution that installs what it needs; None where
            nothing more is needed.
    """

    kind = holds = "launcher"
    launcher: str
    extra: str | None = None


@dataclass(frozen=True, kw_only=True)
class LoggerEntry(Entry):
    """A logger on offer: what follows a run for `arbench run --log NAME`.

    Attributes:
        logger: where the logger class is, `"package.module:Class"`.
        extra: the extra of the plugin's distribution that installs what it needs; None where
            nothing more is needed.
    """

    kind = holds = "logger"
    logger: str
    extra: str | None = None


KINDS: tuple[type[Entry], ...] = (
    ModelEntry,
    TaskEntry,
    HeadEntry,
    MeasurementEntry,
    CommandEntry,
    LauncherEntry,
    LoggerEntry,
)
