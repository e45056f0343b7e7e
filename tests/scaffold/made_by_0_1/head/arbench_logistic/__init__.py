"""Registers the head logistic, by the name of its class: so listing it imports no torch."""

from __future__ import annotations

from arbench import HeadEntry, hookimpl


@hookimpl
def arbench_register_heads() -> list[HeadEntry]:
    """The heads of this package."""
    return [
        HeadEntry(
            name="logistic",
            head="arbench_logistic.head:LogisticHead",
            summary="a logistic density per real dim",  # EDIT: one line for `arbench list heads`
        )
    ]
