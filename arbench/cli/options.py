"""What the values of options mean: paths, with `~` expanded, and `--set KEY=VALUE`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import click


class UserPath(click.Path):
    """A path whose `~` is the home folder, also in `--out=~/x`, where no shell replaces it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path, with the home folder in its place."""
        if "\0" in os.fspath(value):
            self.fail(f"{value!r}: no path has such a character", param, ctx)
        return super().convert(os.path.expanduser(value), param, ctx)


def split_settings(texts: Iterable[str]) -> dict[str, str]:
    """Key to value of what is given with `--set`; of a key given twice the last one counts.

    Raises:
        click.UsageError: for a text that is no KEY=VALUE.
    """
    settings = {}
    for text in texts:
        key, separator, value = text.partition("=")
        if not separator or not key:
            raise click.UsageError(f"--set {text}: expected KEY=VALUE, such as --set hidden=500")
        settings[key] = value
    return settings


def given_settings(given: Iterable[str], model: str) -> dict[str, Any]:
    """The values of what is given with `--set`, as the model's settings take them.

    Args:
        given: such as "hidden=500".
        model: the model's name.

    Raises:
        click.UsageError: for a text that is no KEY=VALUE.
        ConfigError: for unknown keys, and if there is no such model or head.
    """
    texts = split_settings(given)
    from arbench.registry.entries import HeadEntry, ModelEntry
    from arbench.registry.manager import registry
    from arbench.training.recipes import read_settings

    head = texts.get("head", texts.get("head.name", "auto"))
    head_class = None if head == "auto" else registry().find(HeadEntry, head).load()
    return read_settings(texts, registry().find(ModelEntry, model).load(), head_class)
