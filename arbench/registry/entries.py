"""Entries: what a plugin registers. They name their class as text, so listing imports nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass

NAME_PATTERN = r"[a-z0-9][a-z0-9._-]{0,63}"
_ALIAS_PATTERN = r"[a-z0-9][a-z0-9._+-]{0,63}"
_TARGET_PATTERN = r"[A-Za-z_][\w.]*:[A-Za-z_]\w*"


@dataclass(frozen=True, kw_only=True)
class ModelEntry:
    """A model on offer.

    Attributes:
        name: what users type; `[a-z0-9][a-z0-9._-]{0,63}`.
        network: where the network class is, `"package.module:Class"`.
        summary: one line for `arbench list`.
        paper: short citation.
        recipes: `"package"` whose folder `recipes/` holds `<task>.toml` and `default.toml`; None
            when there are none.
        aliases: other spellings that users may type, `+` allowed; everything that is written
            carries the name.
    """

    name: str
    network: str
    summary: str = ""
    paper: str = ""
    recipes: str | None = None
    aliases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check(self.name, self.network)
        if not isinstance(self.aliases, tuple):
            raise ValueError(f"{self.name}: the aliases are a tuple, got {self.aliases!r}")
        for alias in self.aliases:
            if not re.fullmatch(_ALIAS_PATTERN, alias):
                raise ValueError(
                    f"{self.name}: the alias {alias!r} does not match {_ALIAS_PATTERN}"
                )

    @property
    def spellings(self) -> tuple[str, ...]:
        """Everything that users may type for it."""
        return self.name, *self.aliases

    @property
    def target(self) -> str:
        """Where the class is."""
        return self.network


@dataclass(frozen=True, kw_only=True)
class TaskEntry:
    """A task on offer.

    Attributes:
        name: what users type; `[a-z0-9][a-z0-9._-]{0,63}`.
        task: where the task class is, `"package.module:Class"`.
        summary: one line for `arbench list`.
        argument: None, or what follows the name after a colon, such as "PATH" in `images:PATH`;
            the class is then called with that text.
    """

    name: str
    task: str
    summary: str = ""
    argument: str | None = None

    def __post_init__(self) -> None:
        _check(self.name, self.task)

    @property
    def spellings(self) -> tuple[str, ...]:
        """Everything that users may type for it."""
        return (self.name,)

    @property
    def target(self) -> str:
        """Where the class is."""
        return self.task


@dataclass(frozen=True, kw_only=True)
class HeadEntry:
    """A head on offer.

    Attributes:
        name: what users type; `[a-z0-9][a-z0-9._-]{0,63}`.
        head: where the head class is, `"package.module:Class"`.
        summary: one line for `arbench list`.
    """

    name: str
    head: str
    summary: str = ""

    def __post_init__(self) -> None:
        _check(self.name, self.head)

    @property
    def spellings(self) -> tuple[str, ...]:
        """Everything that users may type for it."""
        return (self.name,)

    @property
    def target(self) -> str:
        """Where the class is."""
        return self.head


def _check(name: str, target: str) -> None:
    if not re.fullmatch(NAME_PATTERN, name):
        raise ValueError(f"the name {name!r} does not match {NAME_PATTERN}")
    if not re.fullmatch(_TARGET_PATTERN, target):
        raise ValueError(f"{name}: expected 'package.module:Class', got {target!r}")
