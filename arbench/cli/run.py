"""`arbench run`: train, evaluate, sample and time a model on a task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from arbench.cli.options import UserPath, given_settings


@click.command()
@click.option(
    "--task",
    metavar="TASK",
    required=True,
    help="A task (`arbench list`), or your own data, such as images:PATH.",
)
@click.option("--model", metavar="MODEL", required=True, help="A model (`arbench list`).")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override a setting of the recipe.",
)
@click.option(
    "--recipe",
    metavar="NAME",
    help="Of the model (`arbench show MODEL`) [default: that of the task; for a short --budget "
    "without settings a quick one].",
)
@click.option(
    "--init",
    metavar="RUN",
    help="Begin from the weights of this run, by its recipe: a folder, task/model, or hf:org/name.",
)
@click.option("--large", is_flag=True, help="Train a network however large it is.")
@click.option("--budget", metavar="TIME", help="Time to train for, such as 90s or 5m.")
@click.option("--epochs", type=click.IntRange(min=1), help="Epochs to train for.")
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the training."
)
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    help="Train seeds 0 to N-1, in folders seed-0, seed-1, ... below --out. Finished ones stay.",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 or mps.")
@click.option(
    "--precision",
    type=click.Choice(["float32", "bfloat16"]),
    default="float32",
    show_default=True,
    help="Precision of matrix products in training. Weights and evaluation use float32.",
)
@click.option(
    "--shard",
    is_flag=True,
    help="Spread weights, gradients and moments over the processes of torchrun.",
)
@click.option(
    "--compile",
    is_flag=True,
    help="Use torch.compile in training, if it makes steps faster.",
)
@click.option(
    "--out", type=UserPath(path_type=Path), help="The run folder [default: a new one under runs/]."
)
@click.option(
    "--limit", type=click.IntRange(min=1), help="Use only the first N events of each split."
)
@click.option(
    "--measure",
    multiple=True,
    metavar="NAME",
    help="Also measure this at the end of the run (`arbench list measurements`).",
)
@click.option(
    "--log",
    multiple=True,
    metavar="NAME",
    help="Also hand the training curve and the record to this logger (`arbench list loggers`).",
)
@click.option("--no-test", is_flag=True, help="Do not evaluate the test split, as in a search.")
@click.option(
    "--push",
    metavar="ORG",
    help="Push the finished run to the Hub as ORG/TASK-MODEL. Access is checked first.",
)
@click.option("--json", "as_json", is_flag=True, help="Print only the record, as JSON.")
@click.pass_context
def command(
    ctx: click.Context,
    /,
    task: str,
    model: str,
    settings: tuple[str, ...],
    init: str | None,
    budget: str | None,
    seeds: int | None,
    measure: tuple[str, ...],
    no_test: bool,
    push: str | None,
    as_json: bool,
    **others: Any,
) -> None:
    """Train a model on a task, evaluate it exactly, sample from it, time it, record it all.

    \b
    arbench run --task mnist-mini --model nade
    arbench run --task mnist --model made --set hidden=1000 --budget 5m
    arbench run --task mnist --model made --seeds 5 --out runs/mnist-made
    arbench run --task words:towns.txt --model lstm --init names/lstm

    `arbench resume` continues a run, and `arbench queue` trains all runs of a file.
    """  # noqa: D301 - click wants the character
    if seeds is not None:
        _refuse_beside_seeds(ctx)
    from arbench.cli.console import ConsoleReporter, conclude
    from arbench.hub.card import write_card
    from arbench.measure.opening import open_measurement
    from arbench.runs.experiment import start_run
    from arbench.runs.request import RunRequest, parse_seconds

    if push is not None:
        from arbench.hub.push import check_push

        check_push(push, task=task, model=model)
    if init is not None:
        from arbench.hub.finding import find_run  # few runs have a parent

        others["init"] = find_run(init)
    others["around"] = _following(log) if (log := others.pop("log")) else None
    reporter = ConsoleReporter()
    request = RunRequest(
        task=task,
        model=model,
        overrides=given_settings(settings, model) if settings else {},
        budget_s=None if budget is None else parse_seconds(budget),
        evaluate_test=False if no_test else None,
        measure=[open_measurement(name) for name in measure],
        **others,  # they have the names of its fields
    )
    if seeds is not None:
        from arbench.cli.seeds import run_all_seeds

        run_all_seeds(request, seeds, measure, as_json, reporter)
        return
    if (run := start_run(request, reporter)).is_main:
        write_card(run.path, run.record)
    conclude(run, as_json=as_json, push=push)


def _following(log: tuple[str, ...]) -> Any:
    """What hands a run to these loggers, in a function of its own: few runs are logged."""
    from arbench.api.logging import following

    return following(log)


def _refuse_beside_seeds(ctx: click.Context) -> None:
    """Refuse options that contradict --seeds, also if they have their default value.

    Raises:
        click.UsageError: that names it.
    """
    default = click.core.ParameterSource.DEFAULT
    for name in ("seed", "push", "shard", "log"):
        if ctx.get_parameter_source(name) is not default:
            raise click.UsageError(
                f"--seeds itself says which seeds to run, each in a new run: leave out --{name}."
            )
