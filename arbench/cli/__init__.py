"""The command line: one file per verb, imported when that verb is used; errors end here."""

from __future__ import annotations

import errno
import importlib
import mmap
import os
import sys
from collections.abc import Sequence

import click

from arbench.cli.streams import prepare_streams
from arbench.errors import ArbenchError, RunError
from arbench.version import __version__

# verb -> (module whose `command` it is, one line for `arbench --help`)
VERBS = {
    "run": ("arbench.cli.run", "Train a model on a task, evaluate it and record the result."),
    "resume": ("arbench.cli.resume", "Continue a run that was interrupted or killed."),
    "queue": ("arbench.cli.queue", "Train all runs of a file that are not finished yet."),
    "list": ("arbench.cli.list", "List models, tasks, recipes, plugins or trained runs."),
    "show": ("arbench.cli.show", "Show a model, a task, a measurement or a run."),
    "evaluate": ("arbench.cli.evaluate", "Compute the likelihood of a finished run on a split."),
    "measure": ("arbench.cli.measure", "Put more questions to a finished run."),
    "sample": ("arbench.cli.sample", "Draw events from a run, or complete events."),
    "bench": ("arbench.cli.bench", "Time every sampler of a run."),
    "compare": ("arbench.cli.compare", "Compare two runs on the same test events."),
    "leaderboard": ("arbench.cli.leaderboard", "Rank results; show published numbers."),
    "check": ("arbench.cli.check", "Check a model, head, task or measurement."),
    "verify": ("arbench.cli.verify", "Evaluate a run again and compare it with its record."),
    "push": ("arbench.cli.push", "Push a run or its result to the Hugging Face Hub."),
    "download": ("arbench.cli.download", "Fetch a trained run and check its files."),
    "export": ("arbench.cli.export", "Write a run in the format of another tool."),
    "data": ("arbench.cli.data", "Show, check and download the tasks' files."),
    "new": ("arbench.cli.new", "Write a small project: a model, task, head or measurement."),
}
# These compute nothing, and are there even where there is hardly any memory.
_LIGHT = ("list", "show", "new", "download")
_LEAST_BYTES = 1 << 30
_LESS = "free some, or ask for less at once (a smaller batch_size, -n or --limit)"
INTERRUPTED = 130


class VerbGroup(click.Group):
    """A group that knows its commands by name and imports one when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs in the order of the table."""
        return [*VERBS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a verb or of a plugin, imported now; None for an option.

        Raises:
            ConfigError: if there is no such command; the line says what comes close.
            PluginError: if two plugins offer it, or the one that does cannot be loaded.
            RunError: if there is no room for torch, and it computes something.
        """
        command: click.Command
        computes = cmd_name not in _LIGHT and not cmd_name.startswith("-")
        if computes and sys.platform != "win32" and "torch" not in sys.modules:
            # Without room, torch's libraries end the process. Room alone is asked for, of which
            # nothing is used: it costs nothing where it is there.
            flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
            try:
                mmap.mmap(-1, _LEAST_BYTES, flags=flags, prot=0).close()
            except OSError as error:
                raise RunError(
                    f"out of memory: torch alone needs about {_LEAST_BYTES >> 20:,} MB of address "
                    "space; free some, or raise the limit (`ulimit -v`)"
                ) from error
        if cmd_name in VERBS:  # at once, without looking for plugins
            command = importlib.import_module(VERBS[cmd_name][0]).command
            return command
        if cmd_name.startswith("-"):
            return None
        from arbench.registry.entries import CommandEntry
        from arbench.registry.manager import registry

        if ctx.resilient_parsing and cmd_name not in registry().commands:
            return None  # half a word, to be completed
        command = registry().find(CommandEntry, cmd_name).load(click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table of verbs without importing any of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(verb, text) for verb, (_, text) in VERBS.items()])


@click.group(
    cls=VerbGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="`arbench list commands` also shows the commands that plugins add.",
)
@click.version_option(__version__, prog_name="arbench", message="%(prog)s %(version)s")
@click.option(
    "--debug", is_flag=True, help="Show the traceback of an error. You may put it anywhere."
)
def arbench(debug: bool) -> None:
    """Train autoregressive models; measure exact likelihood and speed, reproducibly."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns its exit code.

    An expected failure is one line on standard error and its own exit code; a usage error is 2, an
    interruption 130, anything else 1. A reader that closes the pipe ends the command quietly.

    Args:
        arguments: what follows the program's name; None for those of this process.
    """
    prepare_streams()
    # Not `list(...)`: once that verb is imported, `list` is a module here.
    words = [*(sys.argv[1:] if arguments is None else arguments)]
    options = words[: words.index("--")] if "--" in words else words
    debug = "--debug" in options
    if debug:  # taken out here, so that it may follow the verb and no verb has to know it
        words.remove("--debug")
    if words[:1] == ["run"] and any(word.startswith(("--resume", "--queue")) for word in words):
        from arbench.cli.old_options import as_verb

        words = as_verb(words)
    try:
        code = arbench.main(words, prog_name="arbench", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        return _report(_usage(error), error.exit_code, debug)
    except (click.Abort, KeyboardInterrupt):
        return _report("interrupted", INTERRUPTED, debug)
    except ArbenchError as error:
        return _report(str(error), error.exit_code, debug)
    except BrokenPipeError:
        # Python flushes standard output once more at exit; let that go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC and error.filename is None:
            # Whatever writes a file names it: what has no name is standard output.
            return _report("standard output: the disk is full; free some space", 1, debug)
        if _is_out_of_memory(error):
            what = str(error).splitlines()[0] if str(error) else type(error).__name__
            return _report(f"out of memory ({what}); {_LESS}", 1, debug)
        hint = "" if debug else "; add --debug for the traceback"
        return _report(f"unexpected {type(error).__name__}: {error}{hint}", 1, debug)


def _is_out_of_memory(error: Exception) -> bool:
    """As `arbench.measure.allocator` has it, and where torch could not even be imported."""
    says = ("can't allocate memory", "annot allocate memory", "failed to map segment", "out of mem")
    return isinstance(error, MemoryError) or any(text in str(error) for text in says)


def _usage(error: click.ClickException) -> str:
    """What is wrong with the command line, and whose help says what is right."""
    message = error.format_message()
    context = error.ctx if isinstance(error, click.UsageError) else None
    return f"{message} See `{context.command_path} --help`" if context else message


def _report(message: str, code: int, debug: bool) -> int:
    if debug:
        import traceback

        traceback.print_exc()
    from arbench.show.escaping import one_line  # only an error needs it

    print(f"arbench: error: {one_line(message)}", file=sys.stderr)
    return code
