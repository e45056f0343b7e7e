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

from arbench.api.loading import download as download
from arbench.api.loading import load as load
from arbench.api.measuring import measure_run as measure_run
from arbench.api.measuring import measurement_keys as measurement_keys
from arbench.api.sampling import sample as sample
from arbench.api.sampling import sample_texts as sample_texts
from arbench.api.training import RecipeOptions as RecipeOptions
from arbench.api.training import resume as resume
from arbench.api.training import run as run
from arbench.api.training import run_queue as run_queue
from arbench.api.training import run_seeds as run_seeds
from arbench.boards.boards import find_boards, frame
from arbench.boards.measured_boards import find_measured_boards
from arbench.boards.measured_text import measured_frame
from arbench.data.dataset import Dataset
from arbench.data.streams import windows_of
from arbench.data.tasks import SPLITS, SplitName, Task
from arbench.data.tasks import open_task as open_task
from arbench.errors import ConfigError
from arbench.files.plain_text import one_line
from arbench.hub.card import write_card
from arbench.hub.finding import find_run
from arbench.measure.likelihood import split_record
from arbench.measure.measurement import open_measurement
from arbench.measure.sections import SpeedRecord, SplitRecord
from arbench.measure.speed import measure_sampling
from arbench.measure.statistics.metrics import PairedDifference
from arbench.probability.foreign import ForeignDensity as ForeignDensity
from arbench.runs.comparison import compare_runs
from arbench.runs.config import RunConfig
from arbench.runs.experiment import Run
from arbench.runs.foreign import evaluate_foreign
from arbench.runs.loading import read_config
from arbench.runs.measuring import Measuring
from arbench.runs.request import dataset_of, open_as_recorded, reopen, require_likelihood
from arbench.runs.results.comparison import compare_results
from arbench.runs.verification import Verification, verify_run
from arbench.show.reporting import Reporter

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
    limit: int | None = None,
    reporter: Reporter | None = None,
) -> SplitRecord:
    """The exact negative log-likelihood of a run on a split, recomputed from its weights.

    Args:
        path: what `load` takes.
        split: "train", "validation" or "test"; by default test, or validation for a run that was
            made without its test split.
        task: another task than the run's own; needs `foreign`.
        foreign: admit a task that the run was not trained for; such a number is never on a board.
        device: where to compute.
        limit: only the first so many events.
        reporter: who is told of progress.

    Raises:
        ConfigError: for no such split, another task without `foreign` or of another event spec, or
            events of varying length in another order than the raster scan.
    """
    folder = find_run(path)
    config = read_config(folder)
    split = split or usual_split(config)
    if split not in SPLITS:
        raise ConfigError(f"{split!r} is no split; there are {', '.join(SPLITS)}")
    if foreign and task is not None:
        data = dataset_of(task, config.recipe, limit)
    else:
        opened = None if task is None else open_as_recorded(config, task)
        if opened is not None and opened.name != config.task:
            raise ConfigError(
                f"{path} was trained on {config.task}, not on {task}: add --foreign to evaluate it "
                "there; the number does not count as a result of the task"
            )
        data = reopen(config, opened, limit=limit)
    require_likelihood(config.model, config.layouts, data)
    data.drop(*(other for other in SPLITS if other != split))
    density = load(folder, device=device)
    if data.spec != density.spec:
        raise ConfigError(f"{path} describes {density.spec}, but {data.task.name} has {data.spec}")
    if split == "train" and data.task.has_training_view:
        raise ConfigError(
            f"{data.task.name} resamples its train split every epoch, so it has no one likelihood; "
            "evaluate validation or test"
        )
    measuring = Measuring(
        density,
        data,
        subject=config.model,
        seed=config.seed,
        folder=folder,
        reporter=reporter or Reporter(),
    )
    return split_record(density, data.split(split), measuring.log_probs(split))


def usual_split(config: RunConfig) -> SplitName:
    """The split that a run is evaluated on unless somebody says which: never one it may not see."""
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
    """Evaluate, sample and time a foreign density; leaves a folder as a run does, without weights.

    Args:
        density: somebody else's, through the adapter.
        task: a task's name, or the task itself.
        name: what records and boards call the density.
        out: the folder, new or empty; by default a new one under `runs/`.
        stride: of a stream, how many symbols each window scores; half of the window by default.
        seed: of whatever the density draws at random.
        limit: use only the first so many events of both splits, for a quick try.
        reporter: who is told of progress.

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
        reporter=reporter,
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
    """The speed of every sampler of a run; see `measure_sampling`.

    A reporter is told of progress between what is timed, never meanwhile.
    """
    density = load(path, device=device)
    for method in methods or ():
        if method not in density.samplers:
            raise ConfigError(
                f"{path} has no sampler {method!r}; it has: {', '.join(density.samplers)}"
            )
    with (reporter or Reporter()).bar("timing", live=False) as advance:
        return measure_sampling(
            density,
            methods=methods or density.samplers,
            batch_sizes=batch_sizes,
            full=full,
            progress=advance,
        )


def compare(
    path_a: str | Path, path_b: str | Path, *, measurement: str = "likelihood"
) -> PairedDifference:
    """How much better run a is than run b, per test event, paired; positive when a is better.

    Args:
        path_a: what `load` takes, or a folder of the seeds of one recipe, as `run_seeds` leaves.
        path_b: likewise.
        measurement: by which number: the name of a measurement, or "name?setting=value". Of any
            other than the likelihood the difference is in the unit of the measurement, and it too
            is positive when a is better, whichever direction that is.

    Returns:
        A difference of these weights; with three seeds or more on both sides, one of the recipes:
        a `RecipesDifference`.

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
    """The results on a task, or on every task, ranked, with published numbers among them.

    Args:
        task: its name; None for every task that has a result.
        runs: a folder with runs of your own to show among the kept results.
        unchecked: show published numbers that nobody has seen in their source, too.
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
    """Whether the number in a run's record is the one that its weights give; see `verify_run`.

    If it is, and the record of a run folder is an old one that names nothing but weights, it is
    written anew with the hashes of all files that it belongs to; see `verify_run`.

    Args:
        path: what `load` takes.
        task: for a run on data of your own, where they are, such as "images:PATH".
        device: where to compute.
        reporter: who is told of progress.
    """
    folder = find_run(path)
    # What was found by a name is a copy that others share, and is held to hashes of its own.
    bind = folder == Path(path)
    return verify_run(
        folder, task_text=task, device=device, reporter=reporter, bind=bind, find=find_run
    )


def push(path: str | Path, to: str, *, private: bool = False, overwrite: bool = False) -> Pushed:
    """Put a finished run onto the Hub, in one commit; see `arbench.hub.push.push_run`.

    Args:
        path: the run folder, or another name of a run.
        to: "org/name" of the repository.
        private: for a repository that does not exist yet.
        overwrite: replace what is there and not arbench's.
    """
    from arbench.hub.push import push_run

    return push_run(find_run(path), to, private=private, overwrite=overwrite)


def push_board(
    to: str,
    runs: Sequence[str | Path] = (),
    *,
    private: bool = False,
    overwrite: bool = False,
) -> Pushed:
    """Put results onto a board on the Hub; see `arbench.hub.remote_board.push_board`.

    Args:
        to: "org/name" of the board, a dataset repository.
        runs: whose results; none for all that come with arbench.
        private: for a board that does not exist yet.
        overwrite: replace what is there and not arbench's.
    """
    from arbench.hub.remote_board import push_board as push_results

    folders = [find_run(run) for run in runs]
    return push_results(to, folders, private=private, overwrite=overwrite)


def push_space(to: str, *, private: bool = False, overwrite: bool = False) -> Pushed:
    """Put the page of all boards onto the Hub; see `arbench.hub.push.push_space`.

    Args:
        to: "org/name" of the Space.
        private: for a Space that does not exist yet.
        overwrite: replace what is there and not arbench's.
    """
    from arbench.hub.push import push_space as push_page

    return push_page(to, private=private, overwrite=overwrite)
