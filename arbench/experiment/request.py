"""A request for a run, and everything that it leaves open, decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from arbench.errors import ConfigError
from arbench.experiment.config import RunConfig, plan_members
from arbench.experiment.recipes import resolve_recipe
from arbench.experiment.tasks import Task
from arbench.probability.heads import make_head
from arbench.registry.manager import registry


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """What a user asks for; see `arbench run --help`."""

    task: str
    model: str
    overrides: Mapping[str, str] = field(default_factory=dict)
    budget_s: float | None = None
    epochs: int | None = None
    seed: int = 0
    device: str = "auto"
    precision: str = "float32"
    compile: bool = False
    out: Path | None = None
    limit: int | None = None


def resolve_config(request: RunRequest, task: Task) -> RunConfig:
    """Everything that a request leaves open, decided."""
    if request.budget_s is not None and request.epochs is not None:
        raise ConfigError("--budget and --epochs both set the length: give one of them")
    registered = registry().model(request.model)
    overrides = dict(request.overrides)
    if request.epochs is not None:
        overrides["training.epochs"] = str(request.epochs)
    network_class = registered.load()
    name, recipe = resolve_recipe(registered.entry, network_class, task.name, overrides)
    try:
        head = make_head(recipe.head.name, task.spec.domain)
        members = plan_members(recipe, task.spec)
    except ValueError as error:
        raise ConfigError(f"{request.model} on {task.name}: {error}") from error
    return RunConfig(
        task=request.task,
        task_version=task.version,
        model=registered.entry.name,
        plugin=registered.distribution,
        plugin_version=registered.version,
        hyperparameters=recipe.network,
        head=head.name,
        members=members,
        recipe_name=name,
        recipe=recipe,
        seed=request.seed,
        budget_s=request.budget_s,
        limit=request.limit,
        precision="bfloat16" if request.precision == "bfloat16" else "float32",
        compile=request.compile,
    )
