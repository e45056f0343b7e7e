"""`arbench.run` and `resume`: train from Python."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict, Unpack

from arbench.api.logging import Logger, following
from arbench.hub.card import write_card
from arbench.hub.finding import find_run
from arbench.measure.opening import open_measurement
from arbench.runs.experiment import Run, resume_run, start_run
from arbench.runs.folder import RunFolder
from arbench.runs.request import RunRequest, parse_seconds
from arbench.show.notebooks.bars import usual_reporter
from arbench.show.reporting import Reporter


class RecipeOptions(TypedDict, total=False):
    """What a run takes of a recipe, by the names that `arbench run --help` has.

    Attributes:
        settings: overrides of the recipe, of the settings' own types, such as `{"hidden": 200}`.
        budget: wall-clock training time, such as "60s", or seconds; the schedule is laid over it.
        epochs: length instead of a budget; the recipe's own length when both are None.
        precision: "float32" or "bfloat16", of training; evaluation is in float32.
        compile: compile the training loss with `torch.compile`.
        limit: use only the first so many events of every split, for a quick try.
        measure: further measurements, made at the end; see `arbench list measurements`.
        evaluate_test: whether the test split is evaluated: False for a search that chooses on
            validation, whose runs have no test number; None as the recipe says.
        recipe: by its name; None takes that of the task, or a quick one for a short budget.
        init: begin from the weights of this run, which is what `load` takes, by its recipe.
        large: train a network however large it is.
    """

    settings: Mapping[str, Any] | None
    budget: str | float | None
    epochs: int | None
    precision: str
    compile: bool
    limit: int | None
    measure: Sequence[str]
    evaluate_test: bool | None
    recipe: str | None
    init: str | Path | None
    large: bool


def run(
    task: str,
    model: str,
    *,
    seed: int = 0,
    device: str = "auto",
    out: str | Path | None = None,
    reporter: Reporter | None = None,
    log: Sequence[str | Logger] = (),
    **options: Unpack[RecipeOptions],
) -> Run:
    """Train a model on a task, evaluate it exactly, sample from it, time it, record it all.

    Args:
        task: a task's name, such as "mnist", or "images:PATH".
        model: a model's name, such as "nade".
        seed: keys every random draw.
        device: "auto", "cpu", "cuda", "cuda:1" or "mps".
        out: the run folder; by default a new one under `runs/`.
        reporter: receives progress; by default a notebook, and nobody elsewhere.
        log: what follows the training, by name as in `arbench list loggers`, or a `Logger`.
        options: see `RecipeOptions`.

    Raises:
        ArbenchError: of the kind that says what went wrong; see `arbench.errors`.
    """
    place = None if out is None else Path(out)
    around = following(log) if log else None
    request = as_request(task, model, seed=seed, device=device, out=place, around=around, **options)
    finished = start_run(request, reporter or usual_reporter())
    if finished.is_main:
        write_card(finished.path, finished.record)
    return finished


def resume(
    path: str | Path,
    *,
    task: str | None = None,
    device: str = "auto",
    reporter: Reporter | None = None,
    log: Sequence[str | Logger] = (),
) -> Run:
    """Continue an interrupted or killed run from its last checkpoint.

    Args:
        path: the run folder.
        task: for a run on your own data: where they are, such as "images:PATH".
        device: where to continue.
        reporter: receives progress.
        log: see `run`; it gets the points from before the interruption as well.
    """
    around = following(log) if log else None
    finished = resume_run(Path(path), device, reporter or usual_reporter(), task, around)
    card = RunFolder(finished.path).card
    # A run that was interrupted while its card was written has none yet.
    wanted = not finished.was_finished or (not card.exists() and os.access(finished.path, os.W_OK))
    if finished.is_main and wanted:
        write_card(finished.path, finished.record)
    return finished


def as_request(
    task: str,
    model: str,
    *,
    settings: Mapping[str, Any] | None = None,
    budget: str | float | None = None,
    measure: Sequence[str] = (),
    init: str | Path | None = None,
    **others: Any,
) -> RunRequest:
    """The arguments of `run` as a request; `resolve` decides what they leave open.

    Args:
        task: see `run`.
        model: see `run`.
        settings: see `run`.
        budget: see `run`.
        measure: see `run`.
        init: see `run`.
        others: fields of a request by their names; what is not given has its default.
    """
    return RunRequest(
        task=task,
        model=model,
        overrides=dict(settings or {}),
        budget_s=None if budget is None else parse_seconds(str(budget)),
        measure=[open_measurement(name) for name in measure],
        init=None if init is None else find_run(init),
        **others,
    )
