"""A model, a task and a command, registered by the names of their objects."""

from __future__ import annotations

from arbench import CommandEntry, ModelEntry, TaskEntry

arbench_entries = [
    ModelEntry(
        name="example-chain",
        network="arbench_example.network:Chain",
        summary="each site depends on the site before",
        recipes="arbench_example",
    ),
    TaskEntry(
        name="example-clock",
        task="arbench_example.task:Clock",
        summary="synthetic: a clock of 12 hours that sometimes stands still, entropy known",
    ),
    CommandEntry(
        name="perplexity",
        command="arbench_example.command:perplexity",
        summary="Show the perplexity of a run per dim.",
    ),
]
