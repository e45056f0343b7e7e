"""`arbench evaluate`: the likelihood of a run, or of a foreign density (`--density`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from arbench.cli.options import UserPath

if TYPE_CHECKING:
    from arbench.probability.bits import Kind
    from arbench.probability.events import EventSpec
    from arbench.probability.foreign import ForeignDensity
    from arbench.show.reporting import Reporter

# What says how a density is to be taken means nothing for a run, and the other way round.
_OF_A_DENSITY = ("kind", "name", "out", "context", "stride", "check")
_OF_A_RUN = ("split", "foreign", "device", "weights")


@click.command()
@click.argument("run", type=UserPath(path_type=Path), required=False)
@click.option(
    "--split",
    type=click.Choice(["validation", "test", "train"]),
    help="The split to evaluate [default: test; validation for a run made with --no-test].",
)
@click.option(
    "--task",
    metavar="TASK",
    help="Evaluate on this task. Another task than the run's own needs --foreign.",
)
@click.option("--foreign", is_flag=True, help="Allow a task that the run was not trained on.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 or mps.")
@click.option(
    "--weights",
    type=click.Choice(["float32", "bfloat16", "int8"]),
    default="float32",
    show_default=True,
    help="Round the weights to what so many bits hold: another density.",
)
@click.option("--limit", type=click.IntRange(min=1), help="Use only the first N events.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--density",
    metavar="MODULE:OBJECT",
    help="Evaluate this object on --task instead of a run. It has log_prob and sample, or it is a "
    "function or class that makes such an object from an event spec.",
)
@click.option(
    "--kind",
    type=click.Choice(["exact", "density", "bound"]),
    help="What log_prob returns. A ForeignDensity states it itself.",
)
@click.option("--name", help="The name of the density in its record [default: OBJECT].")
@click.option(
    "--out", type=UserPath(path_type=Path), help="The folder for the record of the density."
)
@click.option("--context", type=click.IntRange(min=1), help="For a stream: symbols per window.")
@click.option(
    "--stride",
    type=click.IntRange(min=1),
    help="For a stream: symbols from one window to the next.",
)
@click.option("--check", is_flag=True, help="First run the checks for foreign densities.")
@click.pass_context
def command(ctx: click.Context, /, **options: Any) -> None:
    """Compute the negative log-likelihood of RUN on a split, with its standard error.

    With --density, evaluate somebody else's model instead and write a folder that `show` and
    `compare` read like a run. See docs/foreign-models.md.

    \b
    arbench evaluate runs/mnist-nade --split validation
    arbench evaluate --density flow:build --task toy-ar1 --kind density
    """  # noqa: D301 - click wants the character
    if (options["run"] is None) == (options["density"] is None):
        raise click.UsageError("give a RUN, or --density MODULE:OBJECT.")
    of_the_other = _OF_A_DENSITY if options["density"] is None else _OF_A_RUN
    for name in of_the_other:
        if ctx.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT:
            needs = "a RUN" if options["density"] else "--density"
            raise click.UsageError(f"--{name} belongs to {needs}.")
    if options["density"] is None:
        _evaluate_run(options)
    else:
        _evaluate_density(options)


def _evaluate_run(options: dict[str, Any]) -> None:
    from rich.console import Console

    from arbench import api
    from arbench.cli.console import ConsoleReporter
    from arbench.data.units import nats_per
    from arbench.hub.finding import find_run
    from arbench.runs.folder import RunFolder
    from arbench.runs.loading import read_config
    from arbench.runs.record.record import Record
    from arbench.show.record_tables import likelihood_cells
    from arbench.training.devices import is_main_process

    run, foreign = options["run"], options["foreign"]
    split = options["split"] or api.usual_split(read_config(find_run(run)))
    result = api.evaluate(
        run,
        split=split,
        task=options["task"],
        foreign=foreign,
        device=options["device"],
        weights=options["weights"],
        limit=options["limit"],
        reporter=ConsoleReporter() if is_main_process() else None,
    )
    if not is_main_process():
        return
    if options["as_json"]:
        click.echo(json.dumps(result.model_dump(mode="json"), indent=1))
        return
    record = RunFolder(find_run(run)).record
    # The word for a dim is in the run's record; of a foreign task nothing is recorded.
    if foreign and options["task"] is not None:
        unit = api.open_task(options["task"]).unit
    else:
        unit = Record.read(record).task.unit if record.exists() else "dim"
    nats, bits, events, kind = likelihood_cells(result.model_dump(), unit)
    note = " (foreign task: no result of it)" if foreign else ""
    if options["weights"] != "float32":
        note += f" (weights rounded to {options['weights']}: another density)"
    Console().print(
        f"{split}: {nats} nats/{nats_per(unit)}, {bits} bits/{unit}, {events} events, {kind}{note}",
        markup=False,
        soft_wrap=True,
    )


def _evaluate_density(options: dict[str, Any]) -> None:
    from arbench import api
    from arbench.cli.console import ConsoleReporter, conclude
    from arbench.data.dataset import windows_of
    from arbench.registry.targets import import_target

    if options["task"] is None:
        raise click.UsageError("--density needs a --task.")
    task = api.open_task(options["task"])
    if task.needs_windows != (options["context"] is not None):
        raise click.UsageError("--context is for a stream, such as a text, and a stream needs it.")
    task = windows_of(task, options["context"], options["stride"])
    target, reporter = import_target(options["density"]), ConsoleReporter()
    density = _adapted(target, task.spec, options["kind"])
    if options["check"]:
        _check(density, target, options["kind"], reporter)
    evaluated = api.evaluate_density(
        density,
        task,
        name=options["name"] or _name_of(options["density"]),
        out=options["out"],
        limit=options["limit"],
        reporter=reporter,
    )
    conclude(evaluated, as_json=options["as_json"])
    if not options["as_json"]:
        click.echo(
            "self-reported: the weights are not in that folder, so nobody can verify the numbers"
        )


def _check(density: ForeignDensity, target: Any, kind: Kind | None, reporter: Reporter) -> None:
    """Say what the checks from outside found; a failure ends the command."""
    from arbench.testing.conformance import require
    from arbench.testing.foreign import check_foreign

    build = (lambda spec: _adapted(target, spec, kind)) if _is_factory(target) else None
    results = check_foreign(density, build)
    for note in require(results):
        reporter.say(f"check   {note}")
    num_passed = sum(result.status == "passed" for result in results)
    reporter.say(f"check   {num_passed} of {len(results)} checks passed, none failed")


def _is_factory(target: Any) -> bool:
    return isinstance(target, type) or not hasattr(target, "log_prob")


def _adapted(target: Any, spec: EventSpec, kind: Kind | None) -> ForeignDensity:
    """The density that a target is, makes or holds."""
    from arbench.probability.foreign import ForeignDensity

    if _is_factory(target):
        if not callable(target):
            raise click.UsageError("--density: the object has no log_prob and cannot be called.")
        target = target(spec)
    if isinstance(target, ForeignDensity):
        if kind not in (None, target.kind):
            raise click.UsageError(f"--kind {kind}: the density says that it is {target.kind}.")
        return target
    if kind is None:
        raise click.UsageError("say what log_prob is, with --kind exact, density or bound.")
    return ForeignDensity(target, spec=spec, kind=kind)


def _name_of(text: str) -> str:
    """A record's name from `module:object`, such as "my-flow" from "models:my_flow"."""
    return text.rpartition(":")[2].rpartition(".")[2].lower().replace("_", "-").strip("-")
