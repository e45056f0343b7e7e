"""`arbench run --resume` and `--queue`, which are verbs now."""

from __future__ import annotations

import click

OPTIONS = {"--resume": "resume RUN", "--queue": "queue FILE"}
"""What were options of `run`: the value of each is its verb's argument."""


def as_verb(words: list[str]) -> list[str]:
    """The command line of the verb that an old option stands for, after a note that says so.

    Args:
        words: what follows `arbench`, beginning with "run"; without such an option, they come back.
    """
    for index, word in enumerate(words):
        option, has_value, value = word.partition("=")
        if option in OPTIONS:
            verb, argument = OPTIONS[option].split()
            rest = words[index + 1 :]
            given = [value] if has_value else [rest.pop(0)] if rest else []
            says = f"`arbench run {option} {argument}` is now `arbench {verb} {argument}`"
            click.echo(f"arbench: note: {says}", err=True)
            return [verb, *words[1:index], *rest, "--", *given]
    return words
