"""`arbench check`: run the conformance checks; `--receptive-field`, `--picture`."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from arbench.cli.options import UserPath
from arbench.errors import ConfigError

if TYPE_CHECKING:
    from arbench.testing.conformance import Result
    from arbench.testing.suites import Suite

WORST_FIRST = ("failed", "declared", "passed", "not applicable")


@dataclass
class Outcome:
    """The outcome of a suite.

    Attributes:
        suite: what was checked.
        results: of every check on every subject.
        seconds: that it took.
    """

    suite: Suite
    results: list[Result] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def status(self) -> str:
        """The worst of its results; a check that applies nowhere has not passed."""
        found = {result.status for result in self.results}
        return next(status for status in WORST_FIRST if status in found)

    @property
    def failed(self) -> bool:
        """Whether a check failed; or, but for a task without its files, none was applicable."""
        refused = self.status == "not applicable" and self.suite.kind != "task"
        return self.status == "failed" or refused


@click.command("check")
@click.argument("name", required=False)
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="Check everything that is registered. This is the default.",
)
@click.option(
    "--only", multiple=True, metavar="CHECK", help="Run only this check. You may repeat the option."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--receptive-field", "field_wanted", is_flag=True, help="Print which sites each site sees."
)
@click.option(
    "--picture",
    type=UserPath(dir_okay=False, path_type=Path),
    help="Draw which pixels each pixel sees, into this .png or .svg file.",
)
@click.option(
    "--shape",
    metavar="C,H,W",
    help="For --receptive-field and --picture: the shape of the events. [default: 1,7,7]",
)
@click.option(
    "--values",
    type=click.IntRange(2, 256),
    default=2,
    show_default=True,
    help="For the same: values of a dim.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="For the same: a setting of the network, which is otherwise as small as in the checks.",
)
@click.pass_context
def command(
    ctx: click.Context,
    name: str | None,
    everything: bool,
    only: tuple[str, ...],
    as_json: bool,
    field_wanted: bool,
    picture: Path | None,
    shape: str | None,
    values: int,
    settings: tuple[str, ...],
) -> None:
    """Check NAME, or everything that is registered.

    NAME is a model, a head, a task or a measurement, "layout", or MODULE:CLASS of your own. Write
    KIND:NAME where two share a name (head:bernoulli). The exit code is 1 if a check fails.
    docs/checks.md says what each check proves.
    """
    from arbench.testing.suites import all_suites, find_suite

    if name is not None and everything:
        raise click.UsageError("--all checks everything: give no name with it.")
    if field_wanted or picture is not None:
        if name is None:
            raise click.UsageError(
                "A receptive field belongs to one model: give the name of the model."
            )
        _report_field(find_suite(name), shape or "1,7,7", values, settings, picture)
        return
    if shape is not None or settings:
        option = "--set" if settings else "--shape"
        raise click.UsageError(f"{option} is for --receptive-field and --picture.")
    suites = [find_suite(name)] if name is not None else all_suites()
    _require_known(only, suites)
    outcomes = _run([suite for suite in suites if not only or {*only} & {*suite.checks}], only)
    if as_json:
        click.echo(json.dumps([_as_json(outcome) for outcome in outcomes], indent=1))
    else:
        click.echo(_by_check(outcomes[0]) if name is not None else _by_suite(outcomes))
        for line in _explained(outcomes):
            click.echo(f"\n{line}")
        if name is None:
            click.echo(f"\n{_verdict(outcomes)}")
    ctx.exit(1 if any(outcome.failed for outcome in outcomes) else 0)


def _require_known(only: Sequence[str], suites: Sequence[Suite]) -> None:
    from arbench.registry.names import did_you_mean

    known = dict.fromkeys(check for suite in suites for check in suite.checks)
    for check in only:
        if check not in known:
            raise ConfigError(
                f"no check of this is called {check!r}{did_you_mean(check, known)}; there are "
                f"{', '.join(known)}"
            )


def _run(suites: Sequence[Suite], only: Sequence[str]) -> list[Outcome]:
    """Run all trials under one bar; the note says which is running."""
    from arbench.cli.console import ConsoleReporter

    outcomes = [Outcome(suite) for suite in suites]
    trials = [(outcome, trial) for outcome in outcomes for trial in outcome.suite.trials(only)]
    with ConsoleReporter().bar("checking") as advance:
        for done, (outcome, trial) in enumerate(trials):
            advance(done / len(trials), f"{outcome.suite.name} {trial.check} {trial.subject}")
            started = time.perf_counter()
            outcome.results.append(trial.run())
            outcome.seconds += time.perf_counter() - started
        advance(1.0, f"{len(trials)} checks")
    for outcome in outcomes:
        outcome.results += outcome.suite.false_declarations(outcome.results)
    return outcomes


def _by_check(outcome: Outcome) -> str:
    """One suite: a line per check."""
    from arbench.show.tables import columns

    rows = []
    for check in dict.fromkeys(result.check for result in outcome.results):
        results = [result for result in outcome.results if result.check == check]
        rows.append([check, _tally(results)])
    title = f"{outcome.suite.kind} {outcome.suite.name}, {outcome.seconds:.1f} s"
    return f"{title}\n\n{columns(rows, ['check', 'result'])}"


def _by_suite(outcomes: Sequence[Outcome]) -> str:
    """Many suites: a line for each, and the time by kind."""
    from arbench.show.tables import columns

    rows = [[o.suite.kind, o.suite.name, _tally(o.results), f"{o.seconds:.1f} s"] for o in outcomes]
    kinds = dict.fromkeys(outcome.suite.kind for outcome in outcomes)
    times = ", ".join(
        f"{kind}s {sum(o.seconds for o in outcomes if o.suite.kind == kind):.0f} s"
        for kind in kinds
    )
    return f"{columns(rows, ['kind', 'name', 'checks', 'time'])}\n\n{times}"


def _tally(results: Sequence[Result]) -> str:
    """Such as "14 passed, 2 not applicable", the worst first."""
    counts: Counter[str] = Counter(result.status for result in results)
    return ", ".join(f"{counts[status]} {status}" for status in WORST_FIRST if counts[status])


def _verdict(outcomes: Sequence[Outcome]) -> str:
    """Such as "67 checked: 66 passed, 1 not applicable", which `_by_suite` is too long to show."""
    counts = Counter("failed" if outcome.failed else outcome.status for outcome in outcomes)
    tallies = [f"{counts[status]} {status}" for status in WORST_FIRST if counts[status]]
    return f"{len(outcomes)} checked: {', '.join(tallies)}"


def _explained(outcomes: Sequence[Outcome]) -> list[str]:
    """One line for every failure, declared or not; what is told alike is told once."""
    lines = []
    for outcome in outcomes:
        if outcome.status == "not applicable":
            lines.append(f"not applicable: {outcome.suite.name}: {outcome.results[0].message}")
            continue
        groups: dict[tuple[str, str], list[Result]] = {}
        for result in outcome.results:
            if result.status in ("failed", "declared"):
                groups.setdefault((result.status, result.check), []).append(result)
        for (status, check), results in groups.items():
            first, more = results[0], len(results) - 1
            where = first.subject + (f" and {more} more" if more else "")
            subject = "" if where == outcome.suite.name else f" on {where}"
            lines.append(
                f"{status.upper() if status == 'failed' else status}: {outcome.suite.name}, "
                f"{check}{subject}: {first.message}"
            )
    return lines


def _as_json(outcome: Outcome) -> dict[str, object]:
    return {
        "kind": outcome.suite.kind,
        "name": outcome.suite.name,
        "status": "failed" if outcome.failed else outcome.status,
        "seconds": round(outcome.seconds, 3),
        "results": [
            {
                "check": result.check,
                "subject": result.subject,
                "status": result.status,
                "message": result.message,
            }
            for result in outcome.results
        ],
    }


def _report_field(
    suite: Suite, shape: str, values: int, settings: Sequence[str], picture: Path | None
) -> None:
    """Print the receptive field of a model, and draw it if that is wanted."""
    from arbench.cli.console import ConsoleReporter
    from arbench.files.atomic import require_file
    from arbench.probability.flows.flow import is_flow
    from arbench.show.samples import save_picture
    from arbench.testing.receptive import receptive_field

    if suite.kind != "model":
        raise ConfigError(f"{suite.name} is a {suite.kind}: only models have a receptive field")
    if is_flow(suite.target):
        raise ConfigError(f"{suite.name} is a flow: it has no sites that see each other")
    try:
        sizes = tuple(int(size) for size in shape.split(","))
    except ValueError:
        sizes = ()
    if len(sizes) not in (1, 3) or min(sizes) < 1:
        raise ConfigError(f"--shape is C,H,W or D, such as 1,7,7 or 20; got {shape!r}")
    if picture is not None and (len(sizes) != 3 or picture.suffix not in (".png", ".svg")):
        raise ConfigError("--picture is a .png or .svg file, and of images: --shape C,H,W")
    if picture is not None:
        require_file(picture, "field.png")
    given = _network_settings(cast(type, suite.target), settings)
    with ConsoleReporter().bar("receptive field") as advance:
        found = receptive_field(
            suite.target,
            sizes,
            values,
            hyperparameters=given,
            advance=lambda fraction: advance(fraction, ""),
        )
    click.echo(found.describe(suite.name))
    if picture is not None:
        save_picture(found.draw(), picture)
        click.echo(f"picture: {picture}")


def _network_settings(network_class: type, settings: Sequence[str]) -> dict[str, Any]:
    """The keyword arguments that `--set` means, of the types that the network asks for."""
    from arbench.cli.options import split_settings
    from arbench.training.recipes import check_options, options_schema, read_settings

    values = read_settings(split_settings(settings), network_class)
    own = {key.removeprefix("network."): value for key, value in values.items()}
    if other := [name for name in own if name not in options_schema(network_class).model_fields]:
        raise ConfigError(f"--set {other[0]}: is no setting of the network itself")
    checked = dict(check_options(network_class, own))
    return {name: checked[name] for name in own}
