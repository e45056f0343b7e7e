"""Resolves what the user asked for: recipe, head, layout, data; opens a run's task again."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from arbench.data.dataset import Dataset
from arbench.data.rendering import ImageRendering
from arbench.data.tasks import Task, open_task, task_class
from arbench.errors import ConfigError, DataError
from arbench.files.documents import describe_validation
from arbench.measure.measurement import Measurement
from arbench.probability.flows.flow import is_flow
from arbench.probability.heads.natural import natural_head
from arbench.registry.entries import HeadEntry, ModelEntry
from arbench.registry.manager import registry
from arbench.runs.config import RunConfig, plan_members, require_combination
from arbench.runs.record.record import TaskRecord
from arbench.training.recipes import (
    Recipe,
    check_options,
    options_schema,
    resolve_recipe,
    settled,
)

if TYPE_CHECKING:
    from arbench.runs.start.parent import Parent
    from arbench.show.reporting import Reporter


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """What a user asks for; see `arbench run --help`."""

    task: str
    model: str
    overrides: Mapping[str, Any] = field(default_factory=dict)
    budget_s: float | None = None
    epochs: int | None = None
    seed: int = 0
    device: str = "auto"
    precision: str = "float32"
    compile: bool = False
    shard: bool = False
    out: Path | None = None
    limit: int | None = None
    measure: Sequence[Measurement] = ()
    evaluate_test: bool | None = None  # None: as the recipe says
    recipe: str | None = None  # None: that of the task, or what is good within the budget
    init: Path | None = None  # the folder of a run to begin from
    large: bool = False
    # Put around the run: gets its folder and reporter, gives the reporter that the run tells.
    around: Callable[[Path, Reporter], AbstractContextManager[Reporter]] | None = None


def resolve(request: RunRequest, task: Task) -> tuple[RunConfig, Dataset]:
    """Everything that a request leaves open, decided, and the task as the run will see it."""
    if request.budget_s is not None and request.epochs is not None:
        raise ConfigError("--budget and --epochs both set the length: give one of them")
    registered = registry().find(ModelEntry, request.model)
    overrides = dict(request.overrides)
    if request.epochs is not None:
        overrides["training.epochs"] = request.epochs
    if request.evaluate_test is not None:
        overrides["training.evaluate_test"] = request.evaluate_test
    network_class = registered.load()
    base, parent = None, None
    if request.init or request.recipe or (request.budget_s and not request.overrides):
        task, base, parent = _start_of(request, registered.entry, task)
    name, recipe = resolve_recipe(registered.entry, network_class, task.name, overrides, base)
    dataset = Dataset(task, **dict(recipe.stream), limit=request.limit)
    try:
        members = plan_members(recipe, dataset.task.spec)
        layouts = [member.layout.build() for member in members]
        head = None if is_flow(network_class) else recipe.head.name
        if head == "auto":
            head = natural_head(layouts[0]).name
    except ValueError as error:
        raise ConfigError(f"{request.model} on {task.name}: {error}") from error
    dataset.require_likelihood(request.model, layouts)
    if getattr(network_class, "any_order", False):
        dataset.require_whole_events(request.model, "answers for any order of the dims")
    if head is None:
        dataset.require_whole_events(request.model, "is a flow, a density of whole events")
    recipe, head_options = _with_options_of(head, recipe)
    values = {
        "task": task.name,
        "task_version": task.version,
        "rendering": task.rendering,
        "data_sha256": dataset.sha256,
        "division": task.division,
        "model": registered.entry.name,
        "plugin": registered.distribution,
        "plugin_version": registered.version,
        "hyperparameters": recipe.network,
        "head": head,
        "head_options": head_options,
        "members": members,
        "recipe_name": name,
        "recipe": recipe,
        **({} if parent is None else parent.named),
        "seed": request.seed,
        "budget_s": request.budget_s and request.budget_s / max(1, len(recipe.alternatives)),
        "limit": request.limit,
        "precision": request.precision,
        **{name: getattr(request, name) for name in ("compile", "shard")},
    }
    try:
        # What no record takes is refused here, and not when a training has come to its end.
        TaskRecord.from_task(dataset.task, dataset.sha256)
        config = RunConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError(describe_validation(error)) from error
    require_combination(config)
    return config, dataset


def _start_of(
    request: RunRequest, entry: ModelEntry, task: Task
) -> tuple[Task, tuple[str, dict[str, Any]], Parent | None]:
    """The task as a parent sees it, the recipe to begin with, and the parent, if there is one.

    The recipe is that of the parent, or the one that the user named, or one for the budget.
    """
    from arbench.runs.start.parent import Parent  # most runs take the task's recipe, and no weights
    from arbench.training.choice import named_recipe, recipe_in_time

    if request.init is not None:
        if request.recipe is not None:
            raise ConfigError("--recipe and --init both say how to train: give one of them")
        parent = Parent.open(request.init, entry.name)
        return as_seen_by(parent.config, task), parent.recipe, parent
    if request.recipe is not None:
        return task, named_recipe(entry, request.recipe), None
    assert request.budget_s is not None
    return task, recipe_in_time(entry, task.name, request.budget_s), None


def _with_options_of(head: str | None, recipe: Recipe) -> tuple[Recipe, dict[str, Any]]:
    """The recipe with the options of its head as that head takes them, and all that it has."""
    if head is None:
        return recipe, {}
    head_class = registry().find(HeadEntry, head).load()
    options = settled("head", recipe.head.options, options_schema(head_class))
    own_head = recipe.head.model_copy(update={"options": options})
    settings = check_options(head_class, options).model_dump(mode="json")
    return recipe.model_copy(update={"head": own_head}), settings


def reopen(
    config: RunConfig, task: Task | str | None = None, *, limit: int | None = None
) -> Dataset:
    """The data that a run was started on, as its recipe sees them.

    Args:
        config: of the run; it holds no path, so the user's own data have to be named again.
        task: as the user names it, such as "images:PATH", or opened by `open_as_recorded`; None for
            the run's own name.
        limit: only the first so many events of each split, whatever the run had.

    Raises:
        ConfigError: if that is another task, or another version of it.
        DataError: if the data are not those of the run.
    """
    if task is None or isinstance(task, str):
        task = recorded_task(config, task)
    if (task.name, task.version) != (config.task, config.task_version):
        raise ConfigError(
            f"the run is on {config.task} version {config.task_version}, not on {task.name} "
            f"version {task.version}"
        )
    dataset = Dataset(task, **dict(config.recipe.stream), limit=limit)
    if (found := dataset.sha256) != config.data_sha256:
        raise DataError(
            f"the data of {task.name} are not those of the run: their sha256 is {found[:12]}, and "
            f"the run was started on {config.data_sha256[:12]}"
        )
    return dataset


def recorded_task(config: RunConfig, text: str | None = None) -> Task:
    """The task of a run, as its user names it; no data are read of a task that is registered.

    Raises:
        ConfigError: if it is on data of the user's own, and `text` does not say where they are.
    """
    if text is None and config.task not in registry().tasks:
        raise ConfigError(
            f"the run is on data of your own ({config.task}): say where they are, with "
            f"--task {config.task.partition('-')[0]}:PATH"
        )
    return open_as_recorded(config, text or config.task)


def open_as_recorded(config: RunConfig, text: str) -> Task:
    """The task that a text names, its data read and divided as those of the run were."""
    task = as_seen_by(config, open_task(text))
    return task.as_of(config.task_version, config.division)


def as_seen_by(config: RunConfig, task: Task) -> Task:
    """A task as events of a run's model, whose alphabet and black and white its user's data take.

    Raises:
        DataError: if they hold what no event of the model can say.
    """
    rendering, own = config.shown, task_class(config.task)
    if isinstance(rendering, ImageRendering) and own is not None and own.draws_pixels:
        rendering = ImageRendering(grey="drawn")
    return task.as_events_of(config.members[0].layout.build().spec, rendering)


def parse_seconds(text: str) -> float:
    """Seconds of a duration such as "90", "90s", "5m" or "1.5h".

    Raises:
        ConfigError: for anything else, and for durations that are not positive.
    """
    unit = {"s": 1, "m": 60, "h": 3600}.get(text[-1:])
    try:
        seconds = float(text[:-1]) * unit if unit else float(text)
    except ValueError:
        seconds = math.nan
    if not (0 < seconds < math.inf):
        raise ConfigError(f"expected a duration such as 90s, 5m or 1h, got {text!r}")
    return seconds
