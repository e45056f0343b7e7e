"""The seeds of one recipe, in Python: as many runs, in one folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict, Unpack

from arbench.api.training import as_request, resume, run
from arbench.data.tasks import open_task
from arbench.errors import ArbenchError, ConfigError, Interrupted, RunError
from arbench.runs.experiment import Run
from arbench.runs.request import resolve
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
    evaluate_test: bool | None


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
    """Train one recipe with the seeds 0 to `seeds` - 1, each in a folder of its own, in order.

    What is finished is kept and what is begun continued, so that the same call takes all up again;
    a greater number adds seeds. `compare` takes the folder, and a board shows it as one row.

    Args:
        task: a task's name, such as "mnist", or "images:PATH".
        model: a model's name, such as "nade".
        seeds: how many; a verdict about the recipe takes at least 3.
        out: the folder that holds `seed-0`, `seed-1` and so on; by default one under `runs/`.
        device: where to train.
        reporter: who is told of progress; by default nobody.
        options: the rest of what `run` takes, but for the seed.

    Raises:
        ConfigError: if there is no seed, the folder is a run, or one of its seeds is of another
            recipe.
        Interrupted: at a stop signal; the same call takes the seeds up again.
        RunError: at the end, if some of them failed; the others have been made.
    """
    if seeds < 1:
        raise ConfigError(f"seeds is at least 1, got {seeds}")
    reporter = reporter or Reporter()
    config, _ = resolve(as_request(task, model, **options), open_task(task))
    home = seeds_home(None if out is None else Path(out), config.task, model)
    begun = [seed for seed in range(seeds) if seed_folder(home, seed).config.exists()]
    for seed in begun:  # before any is trained
        require_recipe(seed_folder(home, seed), config)
    finished: list[Run] = []
    failed: list[str] = []
    for seed in range(seeds):
        folder = seed_folder(home, seed).path
        reporter.say(f"seeds   {seed + 1} of {seeds}: {folder}")
        try:
            if seed in begun:
                made = resume(folder, task=task, device=device, reporter=reporter)
            else:
                made = run(
                    task, model, seed=seed, out=folder, device=device, reporter=reporter, **options
                )
        except Interrupted:
            reporter.say(f"seeds   {home}: the same command takes them up again")
            raise
        except ArbenchError as error:
            reporter.say(f"failed  {folder.name}: {error}")
            failed.append(folder.name)
        else:
            finished.append(made)
    if failed:
        raise RunError(f"{len(failed)} of {seeds} seeds failed: {', '.join(failed)}")
    return finished
