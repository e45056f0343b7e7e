"""Conditional probability tables over neighbouring earlier sites."""

from __future__ import annotations

from arbench import ModelEntry

arbench_entries = [
    ModelEntry(
        name="cpt",
        network="arbench_cpt.network:Tables",
        summary="a table per site over its k nearest earlier sites, fitted by counting",
        recipes="arbench_cpt",
    )
]
