"""What a user writes behind `images:`: a path, and options such as `?split=files`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from arbench import DIVISION_RULES, ConfigError, DivisionRule
from arbench_files.division import PartName

Items = TypeVar("Items")


@dataclass(frozen=True)
class Argument:
    """A path and the options behind it.

    Attributes:
        path: of the data.
        rule: by which data are divided that state no splits; None if the user chose none.
        test: of data that are the test split; None if the user named none.
        options: the others, by name. One that was given twice has both values, a comma between.
    """

    path: Path
    rule: DivisionRule | None
    test: Path | None
    options: Mapping[str, str]

    @classmethod
    def read(cls, text: str, *own: str) -> Argument:
        """The argument `PATH[?split=rows|files][?test=PATH]`, with options in any order.

        Args:
            text: as the user wrote it. What is no option belongs to the path: a file may have a
                question mark in its name.
            own: names of options that the task has besides.

        Raises:
            ConfigError: for an unknown rule.
        """
        names = "|".join(("split", "test", *own))
        pattern = re.compile(rf"(.*)\?({names})(?:=([^?]*))?", re.DOTALL)
        options: dict[str, str] = {}
        while match := pattern.fullmatch(text):
            text, name, value = match.groups(default="")
            options[name] = f"{value},{options[name]}" if name in options else value
        rule, test = options.pop("split", None), options.pop("test", None)
        chosen = next((known for known in DIVISION_RULES if known == rule), None)
        if rule is not None and chosen is None:
            raise ConfigError(
                f"?split={rule} is not a rule for dividing data, expected "
                f"{' or '.join(f'?split={known}' for known in DIVISION_RULES)}"
            )
        where = None if test is None else Path(test).expanduser()
        return cls(Path(text).expanduser(), chosen, where, options)

    def parts(self, read: Callable[[Path], dict[PartName, Items]]) -> dict[PartName, Items]:
        """The parts of the data; with `?test=PATH`, all data there are the test split.

        Args:
            read: the parts of what is at a path.

        Raises:
            ConfigError: if there is such a path, and one of the two states splits of its own.
        """
        parts = read(self.path)
        if self.test is None:
            return parts
        test = read(self.test)
        for path, found in ((self.path, parts), (self.test, test)):
            if set(found) != {"all"}:
                raise ConfigError(
                    f"{path} states splits of its own, so it is not clear what is test: leave out "
                    f"?test={self.test}"
                )
        return {"train": parts["all"], "test": test["all"]}
