"""Paths as options: expands `~`."""

from __future__ import annotations

import os
from typing import Any

import click


class UserPath(click.Path):
    """A path whose `~` is the home folder, also in `--out=~/x`, where no shell replaces it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path, with the home folder in its place."""
        if "\0" in os.fspath(value):
            self.fail(f"{value!r}: no path has such a character", param, ctx)
        return super().convert(os.path.expanduser(value), param, ctx)
