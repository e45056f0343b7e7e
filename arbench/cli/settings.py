"""`--set KEY=VALUE`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import click


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


def given_settings(texts: Mapping[str, str], model: str) -> dict[str, Any]:
    """The values of settings that are given as texts, as the model's settings take them.

    Args:
        texts: by key; see `split_settings`.
        model: the model's name.

    Raises:
        ConfigError: for unknown keys, and if there is no such model or head.
    """
    if not texts:
        return {}
    from arbench.registry.entries import HeadEntry, ModelEntry
    from arbench.registry.manager import registry
    from arbench.training.recipes import read_settings

    head = texts.get("head", texts.get("head.name", "auto"))
    head_class = None if head == "auto" else registry().find(HeadEntry, head).load()
    return read_settings(texts, registry().find(ModelEntry, model).load(), head_class)
