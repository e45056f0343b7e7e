"""The folder of several seeds of one recipe (`--seeds`): `seed-0`, `seed-1`, ...."""

from __future__ import annotations

import re
from pathlib import Path

from arbench.errors import CheckpointError, ConfigError
from arbench.files.atomic import make_folder
from arbench.runs.config import RunConfig
from arbench.runs.folder import RunFolder

_NAME = re.compile(r"seed-(?P<seed>0|[1-9]\d*)")


def seed_folder(path: Path, seed: int) -> RunFolder:
    """Where the run of a seed lies in a folder of seeds."""
    return RunFolder(path / f"seed-{seed}")


def seeds_home(out: Path | None, task: str, model: str) -> Path:
    """The folder of the seeds of one recipe: `out`, or `runs/<task>-<model>-seeds`.

    It may hold seeds already, which are then taken up.

    Raises:
        ConfigError: if it is a run, or cannot be made or written.
    """
    stem = re.sub(r"[^a-z0-9._-]+", "-", f"{task}-{model}-seeds")
    home = Path("runs") / stem if out is None else out
    if RunFolder(home).config.exists() or RunFolder(home).record.exists():
        raise ConfigError(f"{home}: is the folder of a run; choose another one for the seeds")
    make_folder(home)
    return home


def require_recipe(folder: RunFolder, config: RunConfig) -> None:
    """Refuse to take up a run that is of another recipe than the other seeds.

    Raises:
        ConfigError: if it is; names what differs first.
        CheckpointError: if its configuration is damaged.
    """
    found = RunConfig.read(folder.config)
    if found.recipe_sha256 == config.recipe_sha256:
        return
    # With the first alternative each: which of them a seed has chosen is no other recipe.
    old, new = (
        next(map(each.alternative, each.recipe.alternatives), each).model_dump(
            mode="json", exclude={"seed", "tried"}
        )
        for each in (found, config)
    )
    names = [name for name in new if old[name] != new[name]]
    if names == ["recipe"] or (names and names[0] == "hyperparameters"):
        names += [name for name in new["recipe"] if old["recipe"][name] != new["recipe"][name]]
    raise ConfigError(
        f"{folder.path}: is a run of another recipe ({', '.join(names)}); choose another folder "
        "with --out"
    )


def seed_folders(path: Path) -> list[RunFolder]:
    """The runs of a folder of seeds, by seed; of any other folder, itself.

    Raises:
        ConfigError: if they are not of one recipe, or two have the same seed.
        CheckpointError: if a configuration is damaged.
    """
    own = RunFolder(path)
    if own.record.exists() or own.config.exists() or not path.is_dir():
        return [own]
    found = {int(match["seed"]): file for file in path.iterdir() if (match := _match(file))}
    folders = [RunFolder(found[seed]) for seed in sorted(found)]
    recipes: dict[str, Path] = {}
    for folder in folders:
        if not folder.config.exists():
            raise CheckpointError(f"{folder.path}: holds no run; start its seed again")
        config = RunConfig.read(folder.config)
        if folder.path.name != f"seed-{config.seed}":
            raise ConfigError(
                f"{folder.path}: holds a run of seed {config.seed}; name it seed-{config.seed}"
            )
        recipes.setdefault(config.recipe_sha256, folder.path)
    if len(recipes) > 1:
        first, second, *_ = recipes.values()
        raise ConfigError(
            f"{path}: {first.name} and {second.name} are of different recipes; a folder of seeds "
            "holds one recipe"
        )
    return folders or [own]


def _match(file: Path) -> re.Match[str] | None:
    return _NAME.fullmatch(file.name) if file.is_dir() else None
