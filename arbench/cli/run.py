"""`arbench run`: train a model on a task and leave a number that can be trusted."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from arbench.cli.paths import UserPath

if TYPE_CHECKING:
    from arbench.runs.experiment import Run

# What may be given beside them; all else is in the run's folder, or in the queue's file.
_BESIDE_RESUME = {"resume", "task", "device", "push", "as_json"}
_BESIDE_QUEUE = {"queue", "device", "out"}


@click.command()
@click.option("--task", metavar="TASK", help="A task's name, or table:PATH, images:PATH.")
@click.option("--model", metavar="MODEL", help="A model's name; see `arbench list`.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Override the recipe.")
@click.option("--budget", metavar="TIME", help="Wall-clock training time, such as 90s or 5m.")
@click.option("--epochs", type=click.IntRange(min=1), help="Length instead of a budget.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    help="Seeds 0 to N-1 of one recipe, in seed-0, seed-1, ... below --out; what is there is kept.",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, mps.")
@click.option(
    "--precision",
    type=click.Choice(["float32", "bfloat16"]),
    default="float32",
    show_default=True,
    help="Of the products in training; weights and evaluation are in float32.",
)
@click.option("--compile", is_flag=True, help="Compile the training loss.")
@click.option("--out", type=UserPath(path_type=Path), help="Run folder [default: under runs/].")
@click.option("--resume", type=UserPath(path_type=Path), help="Continue the run in this folder.")
@click.option(
    "--queue",
    type=UserPath(path_type=Path, exists=True, dir_okay=False),
    help="Make all runs of a queue file, each in its folder under --out [default: runs/].",
)
@click.option("--limit", type=click.IntRange(min=1), help="Only the first N events of each split.")
@click.option("--no-test", is_flag=True, help="Leave the test split unevaluated, as a search does.")
@click.option(
    "--push",
    metavar="ORG",
    help="Afterwards put it onto the Hub, as ORG/TASK-MODEL; whether you may is asked at once.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the record on standard output, alone.")
@click.pass_context
def command(
    ctx: click.Context,
    /,
    task: str | None,
    model: str | None,
    settings: tuple[str, ...],
    budget: str | None,
    epochs: int | None,
    seed: int,
    seeds: int | None,
    device: str,
    precision: str,
    compile: bool,
    out: Path | None,
    resume: Path | None,
    queue: Path | None,
    limit: int | None,
    no_test: bool,
    push: str | None,
    as_json: bool,
) -> None:
    """Train a model on a task, evaluate it exactly, sample it, time it, write it all down.

    \b
    arbench run --task mnist-mini --model nade
    arbench run --task mnist --model made --set hidden=1000 --budget 5m
    arbench run --task mnist --model made --seeds 5 --out runs/mnist-made
    arbench run --resume runs/mnist-made/seed-0
    arbench run --queue leaderboards/queue.toml
    """  # noqa: D301 - click wants the character
    from arbench.cli.settings import given_settings, split_settings

    texts = split_settings(settings)
    if queue is None and resume is None and (task is None or model is None):
        raise click.UsageError(
            "give --task and --model, --resume FOLDER or --queue FILE; see `arbench list`"
        )
    if seeds is not None:
        says = "--seeds says itself which seeds to run, each in a new run: give other options"
        _refuse(ctx, {"seed", "resume", "queue", "push"}, says)
    if queue is not None:
        says = "--queue says itself what to run: give only --device and --out"
        _refuse_others(ctx, _BESIDE_QUEUE, says)
    if resume is not None:
        says = (
            "--resume continues with the run's own settings: give only --device, --push and "
            "--json, and --task images:PATH for data of your own"
        )
        _refuse_others(ctx, _BESIDE_RESUME, says)
    from rich.console import Console

    from arbench import api
    from arbench.cli.console import ConsoleReporter, print_result

    if push is not None:
        from arbench.hub.push import check_push

        check_push(push, task=task, model=model, resume=resume)
    reporter = ConsoleReporter()
    if queue is not None:
        from arbench.files.atomic import require_folder

        out = out or Path("runs")
        require_folder(out)  # once, not for every run of the queue
        for finished in api.run_queue(queue, out=out, device=device, reporter=reporter):
            print_result(Console(), finished.path, finished.record)
        return
    if seeds is not None:
        assert task is not None
        assert model is not None
        runs = api.run_seeds(
            task,
            model,
            seeds=seeds,
            out=out,
            device=device,
            reporter=reporter,
            settings=given_settings(texts, model),
            budget=budget,
            epochs=epochs,
            precision=precision,
            compile=compile,
            limit=limit,
            evaluate_test=False if no_test else None,
        )
        _print_seeds([run for run in runs if run.is_main], as_json)
        return
    if resume is not None:
        run = api.resume(resume, task=task, device=device, reporter=reporter)
    else:
        assert task is not None
        assert model is not None
        run = api.run(
            task,
            model,
            settings=given_settings(texts, model),
            budget=budget,
            epochs=epochs,
            seed=seed,
            device=device,
            precision=precision,
            compile=compile,
            out=out,
            limit=limit,
            evaluate_test=False if no_test else None,
            reporter=reporter,
        )
    if not run.is_main:
        return
    if as_json:
        sys.stdout.write(run.record.to_json())
    else:
        print_result(Console(), run.path, run.record)
    if push is not None:
        from arbench.hub.push import push_trained

        reporter.say(f"on the Hub: {push_trained(run, push).url}")


def _print_seeds(runs: list[Run], as_json: bool) -> None:
    """All seeds of a recipe: their records, or a table of each and what they say together."""
    from rich.console import Console

    from arbench.cli.console import print_result, seeds_summary

    if as_json:
        click.echo(json.dumps([run.record.model_dump(mode="json") for run in runs], indent=1))
        return
    for run in runs:
        print_result(Console(), run.path, run.record)
    if runs and (summary := seeds_summary([run.record for run in runs])):
        click.echo(summary)


def _refuse(ctx: click.Context, refused: set[str], says: str) -> None:
    """Refuse what may not be given.

    Raises:
        click.UsageError: that names all that was.
    """
    every = {parameter.name or "" for parameter in ctx.command.params}
    _refuse_others(ctx, every - refused, says)


def _refuse_others(ctx: click.Context, allowed: set[str], says: str) -> None:
    """Refuse whatever is given beside what is allowed, also where it is the default's value.

    Raises:
        click.UsageError: that says what is allowed and names all that is not.
    """
    default = click.core.ParameterSource.DEFAULT
    others = [
        parameter.opts[0]
        for parameter in ctx.command.params
        if parameter.name not in allowed
        and ctx.get_parameter_source(parameter.name or "") is not default
    ]
    if others:
        raise click.UsageError(f"{says}, not {', '.join(others)}.")
