"""A command of a plugin: `arbench NAME` runs it, a clash names both, and starting stays quick."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Install = Callable[..., None]
RunPython = Callable[..., subprocess.CompletedProcess[str]]

PLUGIN = """
from arbench import CommandEntry, hookimpl

@hookimpl
def arbench_register_commands():
    return [CommandEntry(name="{name}", command="{module}_command:command", summary="greets")]
"""

COMMAND = """
import click
from arbench.errors import DataError

@click.command()
@click.option("--to", default="you")
def command(to: str) -> None:
    if to == "nobody":
        raise DataError("nobody is there: name somebody")
    click.echo(f"hello {to}")
"""


@pytest.fixture
def greeter(install: Install, tmp_path: Path) -> None:
    """A distribution that offers the command `greet`."""
    install("greet-dist", "greet", PLUGIN.format(name="greet", module="greet"))
    (tmp_path / "greet_command.py").write_text(COMMAND)


@pytest.mark.usefixtures("greeter")
def test_the_command_runs_with_its_own_options_and_errors(python: RunPython) -> None:
    assert python("-m", "arbench", "greet", "--to", "all").stdout == "hello all\n"
    assert "--to" in python("-m", "arbench", "greet", "--help").stdout
    failed = python("-m", "arbench", "greet", "--to", "nobody")
    assert failed.returncode == 3
    assert failed.stderr == "arbench: error: nobody is there: name somebody\n"


@pytest.mark.usefixtures("greeter")
def test_it_is_listed_and_suggested(python: RunPython) -> None:
    rows = json.loads(python("-m", "arbench", "list", "commands", "--json").stdout)["commands"]
    assert {"command": "greet", "summary": "greets", "plugin": "greet-dist"} in rows
    assert {"run", "list"} < {row["command"] for row in rows}
    unknown = python("-m", "arbench", "gret")
    assert unknown.returncode == 2
    assert "did you mean greet" in unknown.stderr
    listed = python("-m", "arbench", "list", "plugins").stdout
    assert "command greet" in listed


def test_a_command_that_two_plugins_offer_goes_to_neither(
    install: Install, python: RunPython
) -> None:
    for module in ("greet", "rival"):
        install(f"{module}-dist", module, PLUGIN.format(name="greet", module=module))
    done = python("-m", "arbench", "greet")
    assert done.returncode == 5
    assert "greet-dist 1.2" in done.stderr
    assert "rival-dist 1.2" in done.stderr


def test_nobody_takes_a_verb_of_arbench(install: Install, python: RunPython) -> None:
    install("greedy-dist", "greedy", PLUGIN.format(name="list", module="greedy"))
    done = python("-m", "arbench", "list")
    assert done.returncode == 0
    (clash,) = [line for line in done.stdout.splitlines() if line.startswith("clash: ")]
    assert "the command name 'list' is offered by " in clash
    assert "greedy-dist 1.2 (greedy)" in clash
    assert "(arbench_verbs)" in clash
    assert python("-m", "arbench", "list", ARBENCH_STRICT_PLUGINS="1").returncode == 5


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("raise SystemExit(4)", "SystemExit: 4"),
        ("def command(): pass", "a function, not a Command"),
        ("x = 1", "has no attribute 'command'"),
    ],
)
def test_a_command_that_cannot_be_loaded_names_its_distribution(
    source: str, words: str, install: Install, python: RunPython, tmp_path: Path
) -> None:
    install("greet-dist", "greet", PLUGIN.format(name="greet", module="greet"))
    (tmp_path / "greet_command.py").write_text(source)
    done = python("-m", "arbench", "greet")
    assert done.returncode == 5
    assert "greet_command:command of greet-dist 1.2" in done.stderr
    assert words in done.stderr
    assert python("-m", "arbench", "list", "commands").returncode == 0


def test_help_and_verbs_start_without_looking_for_plugins(
    install: Install, python: RunPython
) -> None:
    install("bad-dist", "bad", "raise RuntimeError('imported')")
    for arguments in (["--help"], ["run", "--help"], ["--version"]):
        done = python("-m", "arbench", *arguments, ARBENCH_STRICT_PLUGINS="1")
        assert (done.returncode, done.stderr) == (0, "")


def test_a_selection_holds_for_commands_too(
    install: Install, python: RunPython, tmp_path: Path
) -> None:
    for module in ("greet", "rival"):
        install(f"{module}-dist", module, PLUGIN.format(name="greet", module=module))
        (tmp_path / f"{module}_command.py").write_text(COMMAND.replace("hello", module))
    done = python("-m", "arbench", "greet", ARBENCH_PLUGINS="rival-dist")
    assert done.stdout == "rival you\n"
