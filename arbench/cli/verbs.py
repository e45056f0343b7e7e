"""Registers the verbs as a plugin's commands, so that plugins can add more.

`arbench run` itself does not come this way, so that it starts without looking for plugins.
"""

from __future__ import annotations

from arbench.cli import VERBS
from arbench.registry.entries import CommandEntry

arbench_entries = [
    CommandEntry(name=verb, command=f"{module}:command", summary=summary)
    for verb, (module, summary) in VERBS.items()
]
