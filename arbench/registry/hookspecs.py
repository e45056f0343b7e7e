"""The hooks that a plugin may have in place of its list of entries."""

from __future__ import annotations

from collections.abc import Sequence

import pluggy

from arbench.registry.entries import (
    CommandEntry,
    HeadEntry,
    LauncherEntry,
    LoggerEntry,
    MeasurementEntry,
    ModelEntry,
    TaskEntry,
)

hookspec = pluggy.HookspecMarker("arbench")
hookimpl = pluggy.HookimplMarker("arbench")
"""Marks a function of a plugin as a hook: `@hookimpl` above `def arbench_register_tasks(): ...`."""


@hookspec
def arbench_register_models() -> Sequence[ModelEntry]:  # type: ignore[empty-body]
    """The models that this plugin offers."""


@hookspec
def arbench_register_tasks() -> Sequence[TaskEntry]:  # type: ignore[empty-body]
    """The tasks that this plugin offers."""


@hookspec
def arbench_register_heads() -> Sequence[HeadEntry]:  # type: ignore[empty-body]
    """The heads that this plugin offers."""


@hookspec
def arbench_register_measurements() -> Sequence[MeasurementEntry]:  # type: ignore[empty-body]
    """The measurements that this plugin offers."""


@hookspec
def arbench_register_commands() -> Sequence[CommandEntry]:  # type: ignore[empty-body]
    """The commands that this plugin adds to the command line."""


@hookspec
def arbench_register_launchers() -> Sequence[LauncherEntry]:  # type: ignore[empty-body]
    """The launchers that this plugin offers."""


@hookspec
def arbench_register_loggers() -> Sequence[LoggerEntry]:  # type: ignore[empty-body]
    """The loggers that this plugin offers."""
