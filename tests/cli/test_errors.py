"""Every failure ends in one line on standard error and the exit code of its kind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest

from arbench import cli
from arbench.errors import ArbenchError, CheckpointError, DataError, NetworkError, PluginError


@pytest.fixture
def verb(monkeypatch: pytest.MonkeyPatch):
    """Makes `arbench fail` a verb that does what the test says."""

    def install(action) -> None:
        class Module:
            command = click.Command("fail", callback=action)

        monkeypatch.setitem(sys.modules, "failing_verb", Module)
        monkeypatch.setitem(cli.VERBS, "fail", ("failing_verb", "Fails."))

    return install


def raising(error: BaseException):
    def action() -> None:
        raise error

    return action


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ArbenchError("went wrong"), 1),
        (DataError("went\nwrong"), 3),
        (CheckpointError("went wrong"), 3),
        (NetworkError("went wrong"), 4),
        (PluginError("went wrong"), 5),
        (click.UsageError("went wrong"), 2),
    ],
)
def test_an_expected_failure_is_one_line(verb, capsys, error: Exception, code: int) -> None:
    verb(raising(error))
    assert cli.main(["fail"]) == code
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("arbench: error: went wrong")
    assert output.err.count("\n") == 1


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        MemoryError("Unable to allocate 3 GiB"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried\nto allocate"),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
        RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"),
    ],
)
def test_no_memory_is_one_line_wherever_it_ends(verb, capsys, error: Exception) -> None:
    verb(raising(error))
    assert cli.main(["fail"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("arbench: error: out of memory (")
    assert "ask for less at once" in said
    assert said.count("\n") == 1


def test_an_unexpected_failure_is_one_line_that_names_debug(verb, capsys) -> None:
    verb(raising(ZeroDivisionError("by zero")))
    assert cli.main(["fail"]) == 1
    error = capsys.readouterr().err
    assert error == (
        "arbench: error: unexpected ZeroDivisionError: by zero; add --debug for the traceback\n"
    )


@pytest.mark.parametrize("arguments", [["--debug", "fail"], ["fail", "--debug"]])
@pytest.mark.parametrize("error", [ZeroDivisionError("by zero"), DataError("bad")])
def test_debug_shows_the_traceback(verb, capsys, arguments: list[str], error: Exception) -> None:
    verb(raising(error))
    cli.main(arguments)
    text = capsys.readouterr().err
    assert "Traceback (most recent call last)" in text
    assert "in action" in text


def test_interruption_is_130(verb, capsys) -> None:
    verb(raising(KeyboardInterrupt()))
    assert cli.main(["fail"]) == 130
    assert capsys.readouterr().err.strip() == "arbench: error: interrupted"


def test_a_verb_may_choose_its_exit_code(verb) -> None:
    verb(lambda: click.get_current_context().exit(7))
    assert cli.main(["fail"]) == 7
    verb(lambda: None)
    assert cli.main(["fail"]) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["shwo"], "no command is called 'shwo': did you mean show"),
        (["list", "--nope"], "--nope"),
        (["list", "cats"], "'cats'"),
        (["show"], "NAME"),
        (["show", "no-such-thing-anywhere"], "is no model, no task, no measurement, no"),
        (["data", "no-such-thing-anywhere"], "no task is called"),
    ],
)
def test_usage_errors_are_one_line_and_2(capsys, arguments: list[str], words: str) -> None:
    assert cli.main(arguments) == 2
    lines = [
        line for line in capsys.readouterr().err.splitlines() if "arbench: warning:" not in line
    ]
    assert len(lines) == 1
    assert lines[0].startswith("arbench: error: ")
    assert words in lines[0]


def test_no_arguments_show_the_help_and_are_2(capsys) -> None:
    assert cli.main([]) == 2
    assert "Usage: arbench" in capsys.readouterr().err


def test_version(capsys) -> None:
    from arbench.version import __version__

    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"arbench {__version__}\n"


def test_every_verb_of_the_table_is_a_command_with_its_own_help() -> None:
    context = click.Context(cli.arbench)
    for verb in cli.VERBS:
        command = cli.arbench.get_command(context, verb)
        assert isinstance(command, click.Command)
        assert command.help


@pytest.mark.parametrize("arguments", [["--help"], ["list"], ["list", "--json"]])
def test_a_closed_pipe_is_quiet(monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    monkeypatch.setenv("PYTHONPATH", ":".join(filter(None, sys.path)))
    child = subprocess.Popen(
        [sys.executable, "-m", "arbench", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stderr is not None
    child.stdout.close()
    errors = child.stderr.read()
    child.stderr.close()
    assert child.wait(60) == 1
    assert [line for line in errors.splitlines() if "arbench: warning:" not in line] == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
@pytest.mark.parametrize("arguments", [["--help"], ["list"], ["leaderboard", "--format", "json"]])
def test_a_full_disk_behind_standard_output_is_one_line(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.setenv("PYTHONPATH", ":".join(filter(None, sys.path)))
    command = [sys.executable, "-m", "arbench", *arguments]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line == "arbench: error: standard output: the disk is full; free some space"
