"""A model, a task and a command, registered by the names of their objects."""

from __future__ import annotations

from arbench import CommandEntry, ModelEntry, TaskEntry, hookimpl


@hookimpl
def arbench_register_models() -> list[ModelEntry]:
    """The Markov chain."""
    return [
        ModelEntry(
            name="example-chain",
            network="arbench_example.network:Chain",
            summary="each site looks at the one before it",
            recipes="arbench_example",
        )
    ]


@hookimpl
def arbench_register_tasks() -> list[TaskEntry]:
    """The clock."""
    return [
        TaskEntry(
            name="example-clock",
            task="arbench_example.task:Clock",
            summary="synthetic: a clock of 12 hours that sometimes stands still, entropy known",
        )
    ]


@hookimpl
def arbench_register_commands() -> list[CommandEntry]:
    """`arbench perplexity`."""
    return [
        CommandEntry(
            name="perplexity",
            command="arbench_example.command:perplexity",
            summary="Show how many equally likely values a model hesitates between.",
        )
    ]
