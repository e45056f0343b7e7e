"""`arbench run --seeds N`: trains several seeds of a recipe and prints their mean."""

from __future__ import annotations

import json
from collections.abc import Sequence

import click

from arbench.api.queue import run_seeds
from arbench.boards.published import nats_error_of, nats_of
from arbench.cli.console import conclude
from arbench.data.units import nats_per
from arbench.measure.statistics.seeds import FEWEST_SEEDS, mean_over_seeds
from arbench.runs.record.record import Record
from arbench.runs.request import RunRequest
from arbench.show.reporting import Reporter
from arbench.show.wording import with_error


def run_all_seeds(
    request: RunRequest, seeds: int, measure: Sequence[str], as_json: bool, reporter: Reporter
) -> None:
    """Run all seeds of a recipe; print their records, or a table of each and their summary."""
    made = run_seeds(
        request.task,
        request.model,
        seeds=seeds,
        out=request.out,
        device=request.device,
        reporter=reporter,
        settings=request.overrides,
        budget=request.budget_s,
        epochs=request.epochs,
        precision=request.precision,
        compile=request.compile,
        limit=request.limit,
        evaluate_test=request.evaluate_test,
        recipe=request.recipe,
        init=None if request.init is None else str(request.init),
        large=request.large,
        measure=measure,
    )
    runs = [run for run in made if run.is_main]
    if as_json:
        click.echo(json.dumps([run.record.model_dump(mode="json") for run in runs], indent=1))
        return
    for run in runs:
        conclude(run)
    if runs and (summary := seeds_summary([run.record for run in runs])):
        click.echo(summary)


def seeds_summary(records: Sequence[Record]) -> str:
    """The number of a recipe from its seeds, in a line; empty if they have no test number."""
    if any("test" not in record.splits or record.no_likelihood for record in records):
        return ""
    values = [nats_of(record) for record in records]
    mean, error = mean_over_seeds(values, [nats_error_of(record) for record in records])
    digits = 3 if nats_per(records[0].task.unit) == "event" else 4
    about = "over its seeds and the test events" if len(records) >= FEWEST_SEEDS else "as they are"
    return (
        f"{len(records)} seeds: {with_error(mean, error, digits)} nats/"
        f"{nats_per(records[0].task.unit)} on test, {about}; from {min(values):.{digits}f} to "
        f"{max(values):.{digits}f}"
    )
