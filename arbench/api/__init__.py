"""The Python interface: what the command line does, as functions.

import arbench
run = arbench.run(task="mnist-mini", model="nade", budget="60s")
model = arbench.load(run.path)
model.log_prob(x)
arbench.sample(model, 16)
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from arbench.api.curves import TrainingCurve as TrainingCurve
from arbench.api.curves import training_curve as training_curve
from arbench.api.loading import download as download
from arbench.api.loading import load as load
from arbench.api.loading import untrained as untrained
from arbench.api.measuring import measure_run as measure_run
from arbench.api.measuring import measurement_keys as measurement_keys
from arbench.api.opening import OpenedRun as OpenedRun
from arbench.api.opening import open_run as open_run
from arbench.api.queue import run_queue as run_queue
from arbench.api.queue import run_seeds as run_seeds
from arbench.api.sampling import sample as sample
from arbench.api.sampling import sample_texts as sample_texts
from arbench.api.training import RecipeOptions as RecipeOptions
from arbench.api.training import resume as resume
from arbench.api.training import run as run
from arbench.boards.boards import find_boards, frame
from arbench.boards.measured_boards import find_measured_boards
from arbench.boards.measured_text import measured_frame
from arbench.data.dataset import Dataset, windows_of
from arbench.data.rendering import ImageRendering
from arbench.data.tasks import SPLITS, SplitName, Task
from arbench.data.tasks import open_task as open_task
from arbench.errors import ConfigError
from arbench.hub.card import write_card
from arbench.hub.finding import find_run
from arbench.measure.likelihood import SplitRecord, evaluate_log_probs
from arbench.measure.machine import at_work
from arbench.measure.opening import open_measurement
from arbench.measure.speed import SpeedRecord, measure_sampling
from arbench.measure.statistics.paired import PairedDifference
from arbench.probability.foreign import ForeignDensity as ForeignDensity
from arbench.probability.precision import Weights
from arbench.runs.comparison import compare_runs
from arbench.runs.config import RunConfig
from arbench.runs.experiment import Run
from arbench.runs.foreign import evaluate_foreign
from arbench.runs.loading import read_config
from arbench.runs.request import as_seen_by, open_as_recorded, reopen
from arbench.runs.results.comparison import compare_results
from arbench.runs.verification import Verification, verify_run
from arbench.show.escaping import one_line
from arbench.show.notebooks.bars import usual_reporter
from arbench.show.reporting import Reporter
from arbench.training.devices import several_processes

if TYPE_CHECKING:
    from pandas import DataFrame

    from arbench.hub.push import Pushed


def evaluate(
    path: str | Path,
    *,
    split: SplitName | None = None,
    task: str | None = None,
    foreign: bool = False,
    device: str = "auto",
    weights: Weights = "float32",
    limit: int | None = None,
    reporter: Reporter | None = None,
) -> SplitRecord:
    """The exact negative log-likelihood of a run on a split, recomputed from its weights.

    Several processes (`torchrun`, `accelerate launch`) share the batches; each has the result.

    Args:
        path: what `load` takes.
        split: "train", "validation" or "test"; by default see `usual_split`.
        task: another task than the run's own; needs `foreign`.
        foreign: allow a task that the run was not trained on; boards never show such a number.
        device: where to compute.
        weights: what they are rounded to first; see `load`.
        limit: use only the first N events.
        reporter: receives progress.

    Raises:
        ConfigError: for no such split, or a task that does not fit; see `foreign`.
    """
    folder = find_run(path)
    config = read_config(folder)
    split = split or usual_split(config)
    if split not in SPLITS:
        raise ConfigError(f"{split!r} is no split; there are {', '.join(SPLITS)}")
    if foreign and task is not None:
        own = as_seen_by(config, open_task(task))
        data = Dataset(own, **dict(config.recipe.stream), limit=limit)
        if isinstance(shown := own.rendering, ImageRendering) and reporter and str(shown):
            reporter.say(f"pixels  {shown}")
    else:
        opened = None if task is None else open_as_recorded(config, task)
        if opened is not None and opened.name != config.task:
            raise ConfigError(
                f"{path} was trained on {config.task}, not on {task}: add --foreign to evaluate it "
                "there; the number does not count as a result of the task"
            )
        data = reopen(config, opened, limit=limit)
    data.require_likelihood(config.model, config.layouts)
    data.drop(*(other for other in SPLITS if other != split))
    device, processes = several_processes(device)
    density = load(folder, device=device, weights=weights)
    if (spec := data.task.spec) != density.spec:
        raise ConfigError(f"{path} describes {density.spec}, but {data.task.name} has {spec}")
    if split == "train" and data.task.has_training_view:
        raise ConfigError(
            f"{data.task.name} resamples train every epoch: evaluate validation or test"
        )
    events, score = data.split(split), processes.evaluate if processes else evaluate_log_probs
    with (reporter or usual_reporter()).bar(f"evaluating {split}") as advance:
        log_probs = score(density, events, progress=advance)
    return SplitRecord.of(log_probs, events, density.spec.domain, density.kind)


def usual_split(config: RunConfig) -> SplitName:
    """The split to evaluate if the caller names none: test, or validation for a `--no-test` run."""
    return "test" if config.recipe.training.evaluate_test else "validation"


def evaluate_density(
    density: ForeignDensity,
    task: str | Task,
    *,
    name: str,
    out: str | Path | None = None,
    stride: int | None = None,
    seed: int = 0,
    limit: int | None = None,
    reporter: Reporter | None = None,
) -> Run:
    """Evaluate, sample and time a foreign density; writes a run folder without weights.

    Args:
        density: somebody else's model, wrapped in a `ForeignDensity`.
        task: a task's name, or the task itself.
        name: the name of the density in records and on boards.
        out: a new or empty folder; by default a new one under `runs/`.
        stride: for a stream: how many symbols each window scores; half of the window by default.
        seed: the seed of everything that the density draws.
        limit: use only the first N events of both splits, for a quick try.
        reporter: receives progress.

    Returns:
        The folder's path and the record, whose numbers are self-reported.

    Raises:
        ArbenchError: of the kind that says what went wrong; see `arbench.errors`.
    """
    data = open_task(task) if isinstance(task, str) else task
    evaluated = evaluate_foreign(
        density,
        Dataset(windows_of(data, density.spec.num_dims, stride), limit=limit),
        name=name,
        out=None if out is None else Path(out),
        seed=seed,
        reporter=reporter or usual_reporter(),
    )
    write_card(evaluated.path, evaluated.record)
    return evaluated


def bench(
    path: str | Path,
    *,
    device: str = "auto",
    methods: tuple[str, ...] | None = None,
    batch_sizes: tuple[int, ...] = (1, 64),
    full: bool = False,
    reporter: Reporter | None = None,
) -> list[SpeedRecord]:
    """Time every sampler of a run; see `measure_sampling`.

    It reports progress between the timed calls, never during one.
    """
    density = load(path, device=device)
    for method in methods or ():
        if method not in density.samplers:
            raise ConfigError(
                f"{path} has no sampler {method!r}; it has: {', '.join(density.samplers)}"
            )
    with (
        at_work(alone=True) as alone,
        (reporter or usual_reporter()).bar("timing", live=False) as advance,
    ):
        rows = measure_sampling(
            density,
            methods=methods or density.samplers,
            batch_sizes=batch_sizes,
            full=full,
            progress=advance,
        )
    return rows if alone else [row.model_copy(update={"shared": True}) for row in rows]


def compare(
    path_a: str | Path, path_b: str | Path, *, measurement: str = "likelihood"
) -> PairedDifference:
    """The paired difference of two runs per test event; positive if a is better.

    Args:
        path_a: a run as `load` takes it, or a folder of several seeds of one recipe (`run_seeds`).
        path_b: the same.
        measurement: the number to compare: the name of a measurement, or "name?setting=value". The
            difference has the unit of the measurement. It is positive if a is better, whichever
            direction is better.

    Returns:
        A difference between these weights. With three seeds or more on both sides it is one between
        the recipes, a `RecipesDifference`.

    Raises:
        CheckpointError: if one of them is unfinished.
        ConfigError: if there is no such measurement, or what it needs is not installed.
        DataError: if the two were not evaluated on the same events, or one has probabilities and
            the other densities or bounds; if one of them was not measured so.
    """
    folders = find_run(path_a), find_run(path_b)
    if measurement == "likelihood":
        return compare_runs(*folders)
    return compare_results(*folders, open_measurement(measurement))


def leaderboard(
    task: str | None = None,
    *,
    runs: str | Path | None = None,
    unchecked: bool = False,
    measurement: str = "likelihood",
) -> DataFrame:
    """The ranked results on a task, or on every task, with published numbers among them.

    Args:
        task: the name of the task; None for every task that has a result.
        runs: a folder with your own runs, to show them too.
        unchecked: also show published numbers that nobody has checked in their source.
        measurement: whose results: its name, or "name?setting=value" for those with settings alone.
            Of any other than the likelihood there are no published numbers, and there is a row for
            each number.

    Returns:
        A row for each of `arbench.boards.rows.Row`, best first within task and kind; published
        ones have no rank. Speeds are columns such as "step on cpu, events/s". What was left out
        because it does not fit, standard error says by name.

    Raises:
        ConfigError: if nobody has a number on that task, or there is no such folder.
    """
    folder = None if runs is None else Path(runs)
    if measurement == "likelihood":
        boards, left_out = find_boards(task, runs=folder, unchecked=unchecked)
        table = frame(boards)
    else:
        measured, left_out = find_measured_boards(task, runs=folder, key=measurement)
        table = measured_frame(measured)
    for reason in left_out:
        print(f"arbench: left out: {one_line(reason)}", file=sys.stderr)
    return table


def verify(
    path: str | Path,
    *,
    task: str | None = None,
    device: str = "auto",
    reporter: Reporter | None = None,
) -> Verification:
    """Evaluate a run again and compare the result with its record; see `verify_run`.

    An old record names only the hash of the weights. If its number holds and the run is a folder,
    this writes the record anew with the hashes of all files.

    Args:
        path: what `load` takes.
        task: for a run on your own data: where they are, such as "images:PATH".
        device: where to compute.
        reporter: receives progress.
    """
    folder, reporter = find_run(path), reporter or usual_reporter()
    # What was found by a name is a copy that others share, and is held to hashes of its own.
    bind = folder == Path(path)
    return verify_run(
        folder, task_text=task, device=device, reporter=reporter, bind=bind, find=find_run
    )


def push(
    path: str | Path,
    to: str,
    *,
    board: str | None = None,
    license: str | None = None,
    base_model: str | None = None,
    private: bool = False,
    overwrite: bool = False,
) -> Pushed:
    """Push a finished run to the Hub, in one commit; see `arbench.hub.push.push_run`.

    Args:
        path: the run folder, or another name of a run.
        to: "org/name" of the repository.
        board: "org/name" of a board with its result (`push_board`), for the Hub's own leaderboard.
        license: of the weights, as the Hub writes it, such as "apache-2.0".
        base_model: "org/name" of the model that its training began from.
        private: make a new repository private.
        overwrite: also replace files that arbench did not write.
    """
    from arbench.hub.push import push_run

    return push_run(
        find_run(path),
        to,
        board=board,
        license=license,
        base_model=base_model,
        private=private,
        overwrite=overwrite,
    )


def push_board(
    to: str,
    runs: Sequence[str | Path] = (),
    *,
    private: bool = False,
    overwrite: bool = False,
) -> Pushed:
    """Push results to a board on the Hub; see `arbench.hub.remote_board.push_board`.

    Args:
        to: "org/name" of the board, a dataset repository.
        runs: the runs whose results to push; none for all results that come with arbench.
        private: make a new board private.
        overwrite: also replace files that arbench did not write.
    """
    from arbench.hub.remote_board import push_board as push_results

    folders = [find_run(run) for run in runs]
    return push_results(to, folders, private=private, overwrite=overwrite)


def push_space(to: str, *, private: bool = False, overwrite: bool = False) -> Pushed:
    """Push the page of all boards to the Hub; see `arbench.hub.push.push_space`.

    Args:
        to: "org/name" of the Space.
        private: make a new Space private.
        overwrite: also replace files that arbench did not write.
    """
    from arbench.hub.push import push_space as push_page

    return push_page(to, private=private, overwrite=overwrite)


def push_zoo(
    to: str,
    *,
    board: str | None = None,
    space: str | None = None,
    license: str | None = None,
    private: bool = False,
    overwrite: bool = False,
    reporter: Reporter | None = None,
) -> list[Pushed]:
    """Push the whole zoo to the Hub, and the boards and their page; see `arbench.hub.zoo_push`.

    Cut off and called again, it goes on, and leaves one commit in each repository.

    Args:
        to: a user or an organisation; `mnist/nade` goes to its `mnist-nade`.
        board: "org/name" of the board, a dataset repository.
        space: "org/name" of the Space with the page.
        license: of the weights, as the Hub writes it, such as "apache-2.0".
        private: make new repositories private.
        overwrite: also replace files that arbench did not write.
        reporter: receives progress.
    """
    from arbench.hub.zoo_push import push_zoo as push_parcels
    from arbench.hub.zoo_push import zoo_parcels

    parcels = zoo_parcels(to, find_run, board=board, space=space, license=license)
    reporter = reporter or usual_reporter()
    return push_parcels(parcels, reporter, private=private, overwrite=overwrite)
