"""What `run` and `resume` do last: print the table or `--json`, and `--push`."""

from __future__ import annotations

import sys

from rich.console import Console

from arbench.cli.console import print_result
from arbench.runs.experiment import Run
from arbench.show.reporting import Reporter


def conclude(run: Run, *, as_json: bool, push: str | None, reporter: Reporter) -> None:
    """Print a run that has just finished and push it if that was asked for.

    Args:
        run: of several processes, only the main one prints.
        as_json: print the record alone, instead of tables.
        push: the user or organisation whose repository the run goes to; None for nobody's.
        reporter: who is told where it is on the Hub.
    """
    if not run.is_main:
        return
    if as_json:
        sys.stdout.write(run.record.to_json())
    else:
        print_result(Console(), run.path, run.record)
    if push is not None:
        from arbench.hub.push import push_trained

        reporter.say(f"on the Hub: {push_trained(run, push).url}")
