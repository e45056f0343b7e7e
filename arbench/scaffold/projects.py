"""Writes a project for a model, task, head or measurement from its template.

A template is a text file under `templates/<kind>/` that ends in `.txt`. It may contain `$name` and
the other fields of a project. A folder `package` gets the name of the project's package.
"""

from __future__ import annotations

import re
import string
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Literal, get_args

from arbench.errors import ConfigError
from arbench.registry.entries import NAME_PATTERN, Entry
from arbench.registry.manager import Registered, registry
from arbench.registry.source import module_file

Kind = Literal["model", "task", "head", "measurement"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_CLASS_ENDINGS: dict[Kind, str] = {
    "model": "Network",
    "task": "Task",
    "head": "Head",
    "measurement": "Measurement",
}
_TRIALS: dict[Kind, str] = {
    "model": "arbench run --task mnist-mini --model {name}",
    "task": "arbench run --task {name} --model fvsbn",
    "head": "arbench run --task toy-ar1 --model rnade --set head.name={name}",
    "measurement": "arbench run --task mnist-mini --model bernoulli --measure {name}",
}


@dataclass(frozen=True)
class Project:
    """The names of a new project: of what it offers, its package, distribution and class.

    Attributes:
        kind: what it offers.
        name: the name of the model, task, head or measurement.
    """

    kind: Kind
    name: str

    def __post_init__(self) -> None:
        """Refuse a name that nobody could register.

        Raises:
            ConfigError: if the name does not match the registry's pattern.
        """
        if not re.fullmatch(NAME_PATTERN, self.name):
            raise ConfigError(
                f"{self.name!r} is no name for a {self.kind}: use at most 64 lower-case letters, "
                "digits, dots, dashes and underscores, the first a letter or a digit"
            )

    @property
    def package(self) -> str:
        """The import package, such as `arbench_above`."""
        return "_".join(["arbench", *self._words])

    @property
    def distribution(self) -> str:
        """What pip calls it, such as `arbench-above`; also the folder."""
        return "-".join(["arbench", *self._words])

    @property
    def class_name(self) -> str:
        """Such as `AboveNetwork`; the ending avoids clashes with names that templates import."""
        words = "".join(word.capitalize() for word in self._words) + _CLASS_ENDINGS[self.kind]
        return words if words.isidentifier() else f"N{words}"

    @property
    def trial(self) -> str:
        """The command that uses it for the first time."""
        return _TRIALS[self.kind].format(name=self.name)

    @property
    def fields(self) -> dict[str, str]:
        """The fields that templates may contain."""
        return {
            "name": self.name,
            "package": self.package,
            "distribution": self.distribution,
            "class_name": self.class_name,
            "trial": self.trial,
        }

    @property
    def _words(self) -> list[str]:
        return re.findall(r"[a-z0-9]+", self.name)


def write_project(project: Project, folder: Path) -> list[Path]:
    """Write the project into a new folder: all of it or, if anything fails, nothing.

    Args:
        project: one whose name is free.
        folder: must not exist; its parent must.

    Returns:
        The files written, relative to the folder.

    Raises:
        ConfigError: if the name is taken, the folder exists, or it cannot be written.
    """
    _require_free(project)
    if folder.exists() or folder.is_symlink():
        raise ConfigError(
            f"{folder} exists, and a new project goes into a new folder: choose another name, "
            "give --out, or remove it"
        )
    files = dict(_filled(project))
    try:
        # Beside the new folder, so that the final rename stays on one file system.
        with tempfile.TemporaryDirectory(prefix=".arbench-new-", dir=folder.parent) as scratch:
            made = Path(scratch) / "project"  # with ordinary permissions, unlike the scratch folder
            for path, text in files.items():
                (made / path).parent.mkdir(parents=True, exist_ok=True)
                (made / path).write_text(text, encoding="utf-8")
            made.rename(folder)
    except OSError as error:
        raise ConfigError(
            f"{folder} cannot be written ({error.strerror or error}): nothing was written; "
            "choose a folder where you may write, with --out"
        ) from error
    return sorted(files)


def _require_free(project: Project) -> None:
    """Refuse a name that is registered, and a package that would hide another.

    Raises:
        ConfigError: saying who has it.
    """
    offers = registry()
    taken: dict[Kind, Mapping[str, Registered[Entry]]] = {
        "model": offers.models,
        "task": offers.tasks,
        "head": offers.heads,
        "measurement": offers.measurements,
    }
    owners = [
        f"{offer.distribution} {offer.version}"
        for offer in taken[project.kind].values()
        if project.name in offer.entry.spellings
    ]
    if clashing := offers.clashes.get((project.kind, project.name)):
        owners.append(" and ".join(clashing))
    if owners:
        raise ConfigError(
            f"the {project.kind} name {project.name!r} is taken by {owners[0]}: choose another name"
        )
    if (file := module_file(project.package)) is not None:
        raise ConfigError(
            f"a package {project.package} is here already ({file}), and a second one would hide "
            "it: choose another name"
        )


def _filled(project: Project) -> Iterator[tuple[Path, str]]:
    """Path and text of every file of the project."""
    templates = resources.files("arbench.scaffold") / "templates" / project.kind
    for path, template in _templates(templates, Path()):
        parts = [project.package if part == "package" else part for part in path.parts]
        text = string.Template(template.read_text(encoding="utf-8")).substitute(project.fields)
        yield Path(*parts).with_suffix(""), text


def _templates(folder: Traversable, path: Path) -> Iterator[tuple[Path, Traversable]]:
    for item in folder.iterdir():
        if item.is_dir():
            yield from _templates(item, path / item.name)
        else:
            yield path / item.name, item
