"""`arbench.run`, `resume`, `run_seeds` and `run_queue`: train from Python."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict, Unpack

from arbench.data.tasks import open_task
from arbench.errors import ArbenchError, ConfigError, Interrupted, RunError
from arbench.hub.card import write_card
from arbench.measure.opening import open_measurement
from arbench.runs.experiment import Run, resume_run, start_run
from arbench.runs.folder import RunFolder
from arbench.runs.queue import QueuedRun, read_queue
from arbench.runs.request import RunRequest, parse_seconds, resolve
from arbench.runs.seeds import require_recipe, seed_folder, seeds_home
from arbench.show.reporting import Reporter


class RecipeOptions(TypedDict, total=False):
    """What `run` takes of a recipe, by the same names."""

    settings: Mapping[str, Any] | None
    budget: str | float | None
    epochs: int | None
    precision: str
    compile: bool
    limit: int | None
    measure: Sequence[str]
    evaluate_test: bool | None


def run(
    task: str,
    model: str,
    *,
    settings: Mapping[str, Any] | None = None,
    budget: str | float | None = None,
    epochs: int | None = None,
    seed: int = 0,
    device: str = "auto",
    precision: str = "float32",
    compile: bool = False,
    out: str | Path | None = None,
    limit: int | None = None,
    measure: Sequence[str] = (),
    evaluate_test: bool | None = None,
    reporter: Reporter | None = None,
) -> Run:
    """Train a model on a task, evaluate it exactly, sample from it, time it, record it all.

    Args:
        task: a task's name, such as "mnist", or "images:PATH".
        model: a model's name, such as "nade".
        settings: overrides of the recipe, of the settings' own types, such as `{"hidden": 200}`.
        budget: wall-clock training time, such as "60s", or seconds; the schedule is laid over it.
        epochs: length instead of a budget; the recipe's own length when both are None.
        seed: keys every random draw.
        device: "auto", "cpu", "cuda", "cuda:1" or "mps".
        precision: "float32" or "bfloat16", of training; evaluation is in float32.
        compile: compile the training loss with `torch.compile`.
        out: the run folder; by default a new one under `runs/`.
        limit: use only the first so many events of every split, for a quick try.
        measure: further measurements, made at the end; see `arbench list measurements`.
        evaluate_test: whether the test split is evaluated: False for a search that chooses on
            validation, whose runs have no test number; None as the recipe says.
        reporter: receives progress; by default nobody.

    Raises:
        ArbenchError: of the kind that says what went wrong; see `arbench.errors`.
    """
    request = as_request(
        task,
        model,
        settings=settings,
        budget=budget,
        epochs=epochs,
        seed=seed,
        device=device,
        precision=precision,
        compile=compile,
        out=None if out is None else Path(out),
        limit=limit,
        measure=measure,
        evaluate_test=evaluate_test,
    )
    finished = start_run(request, reporter or Reporter())
    if finished.is_main:
        write_card(finished.path, finished.record)
    return finished


def resume(
    path: str | Path,
    *,
    task: str | None = None,
    device: str = "auto",
    reporter: Reporter | None = None,
) -> Run:
    """Continue an interrupted or killed run from its last checkpoint.

    Args:
        path: the run folder.
        task: for a run on your own data: where they are, such as "images:PATH".
        device: where to continue.
        reporter: receives progress.
    """
    finished = resume_run(Path(path), device, reporter or Reporter(), task)
    card = RunFolder(finished.path).card
    # A run that was interrupted while its card was written has none yet.
    wanted = not finished.was_finished or (not card.exists() and os.access(finished.path, os.W_OK))
    if finished.is_main and wanted:
        write_card(finished.path, finished.record)
    return finished


def run_queue(
    path: str | Path,
    *,
    out: str | Path = "runs",
    device: str = "auto",
    reporter: Reporter | None = None,
) -> list[Run]:
    """Train all runs of a queue, in order; skips finished ones and continues unfinished ones.

    Args:
        path: a queue file; see `arbench.runs.queue`.
        out: the folder that holds the run folders, one for each run by its name.
        device: where to train.
        reporter: receives progress.

    Raises:
        ConfigError: if the file is no queue.
        Interrupted: at a stop signal; the same call takes the queue up again.
        RunError: at the end, if some of the runs failed; the others have been made.
    """
    return _make_all("queue", read_queue(Path(path)), Path(out), device, reporter or Reporter())


def run_seeds(
    task: str,
    model: str,
    *,
    seeds: int,
    out: str | Path | None = None,
    device: str = "auto",
    reporter: Reporter | None = None,
    **options: Unpack[RecipeOptions],
) -> list[Run]:
    """Train one recipe with seeds 0 to `seeds` - 1, each seed in its own folder, in order.

    What is finished is kept and what is begun continued, so that the same call takes all up again;
    a greater number adds seeds. `compare` takes the folder, and a board shows it as one row.

    Args:
        task: a task's name, such as "mnist", or "images:PATH".
        model: a model's name, such as "nade".
        seeds: how many; a verdict about the recipe takes at least 3.
        out: the folder that holds `seed-0`, `seed-1` and so on; by default one under `runs/`.
        device: where to train.
        reporter: receives progress; by default nobody.
        options: the rest of what `run` takes, but for the seed.

    Raises:
        ConfigError: if there is no seed, the folder is a run, or one of its seeds is of another
            recipe.
        Interrupted: at a stop signal; the same call takes the seeds up again.
        RunError: at the end, if some of them failed; the others have been made.
    """
    if seeds < 1:
        raise ConfigError(f"seeds is at least 1, got {seeds}")
    config, _ = resolve(as_request(task, model, **options), open_task(task))
    home = seeds_home(None if out is None else Path(out), config.task, model)
    folders = [seed_folder(home, seed) for seed in range(seeds)]
    for folder in folders:  # before any is trained
        if folder.config.exists():
            require_recipe(folder, config)
    wanted = [
        QueuedRun.model_validate(
            {**options, "task": task, "model": model, "seed": seed, "name": folder.path.name}
        )
        for seed, folder in enumerate(folders)
    ]
    return _make_all("seeds", wanted, home, device, reporter or Reporter())


def _make_all(
    what: str, wanted: Sequence[QueuedRun], home: Path, device: str, reporter: Reporter
) -> list[Run]:
    """Make every run in its folder below `home`; what is begun there is continued.

    Raises:
        Interrupted: at a stop signal.
        RunError: at the end, if some of them failed; the others have been made.
    """
    finished: list[Run] = []
    failed: list[str] = []
    for number, item in enumerate(wanted, start=1):
        folder = home / item.name
        reporter.say(f"{what}   {number} of {len(wanted)}: {folder}")
        try:
            if RunFolder(folder).config.exists():
                made = resume(folder, task=item.task, device=device, reporter=reporter)
            else:
                asked = item.model_dump(exclude={"name"})
                made = run(**asked, out=folder, device=device, reporter=reporter)
        except Interrupted:
            reporter.say(f"{what}   {home}: the same command goes on with the rest")
            raise
        except ArbenchError as error:
            reporter.say(f"failed  {item.name}: {error}")
            failed.append(item.name)
        else:
            finished.append(made)
    if failed:
        kind = "seeds" if what == "seeds" else "runs"
        raise RunError(f"{len(failed)} of {len(wanted)} {kind} failed: {', '.join(failed)}")
    return finished


def as_request(
    task: str,
    model: str,
    *,
    settings: Mapping[str, Any] | None = None,
    budget: str | float | None = None,
    measure: Sequence[str] = (),
    **others: Any,
) -> RunRequest:
    """The arguments of `run` as a request; `resolve` decides what they leave open.

    Args:
        task: see `run`.
        model: see `run`.
        settings: see `run`.
        budget: see `run`.
        measure: see `run`.
        others: fields of a request by their names; what is not given has its default.
    """
    return RunRequest(
        task=task,
        model=model,
        overrides=dict(settings or {}),
        budget_s=None if budget is None else parse_seconds(str(budget)),
        measure=[open_measurement(name) for name in measure],
        **others,
    )
