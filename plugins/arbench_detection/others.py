"""Which events a model is to be told from others by: its own, and outliers of many kinds."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from arbench import (
    ConfigError,
    Context,
    DataError,
    Discrete,
    Handed,
    Split,
    TextRendering,
    open_task,
)
from arbench_detection import perturbations
from arbench_detection.own import OwnEvents

ALL = "generated"
FILES = "files:"
# By how events are shown; what would mean nothing for them is not there.
GENERATED: Mapping[str, tuple[str, ...]] = {
    "image": ("blank", "inverted", "noise", "uniform", "shifted", "blurred"),
    "text": ("shuffled", "reversed", "uniform"),
    "audio": ("blank", "shuffled", "reversed", "uniform"),
    "music": ("blank", "noise", "uniform"),
    "table": ("noise", "uniform"),
}
JPEG = "jpeg"  # made by a library, whose versions differ: for those who ask for it
_KNOWN = {JPEG, *(name for names in GENERATED.values() for name in names)}
_MOST_LEVELS = 256


def names_in(text: str) -> list[str]:
    """The others in a setting, such as "generated,mnist-static".

    Raises:
        ValueError: if there are none, one twice, or a file by its path.
    """
    names = [name.strip() for name in text.split(",")]
    for name in names:
        file = name.removeprefix(FILES)
        if not file or names.count(name) > 1:
            raise ValueError(f"against is {text!r}, expected names of others, each once")
        if ":" in name and not name.startswith(FILES):
            raise ValueError(f"{name!r}: files of your own are named as {FILES}NAME")
        if name.startswith(FILES) and (Path(file).name != file or "\\" in file):
            raise ValueError(
                f"{name!r} is a path, and settings stand in the record, which holds none: go to "
                f"its folder and write {FILES}{Path(file).name}"
            )
    return names


def generated_for(dataset: Handed) -> tuple[str, ...]:
    """What can be generated for a dataset."""
    if not isinstance(dataset.spec.domain, Discrete):
        return ("noise",)
    return GENERATED[dataset.rendering.kind]


def expanded(names: list[str], dataset: Handed) -> list[str]:
    """The names, with all that can be generated in place of "generated"; each once."""
    found: dict[str, None] = {}
    for name in names:
        found |= dict.fromkeys(generated_for(dataset) if name == ALL else [name])
    return [*found]


def why_not(name: str, dataset: Handed) -> str | None:
    """Why one means nothing for a dataset, in a sentence; None if it does, or nobody knows yet."""
    domain = dataset.spec.domain
    possible: tuple[str, ...] = generated_for(dataset)
    if dataset.rendering.kind == "image" and isinstance(domain, Discrete):
        possible += (JPEG,) if domain.size <= _MOST_LEVELS else ()
    if name not in _KNOWN or name in possible:
        return None
    kind = dataset.rendering.kind
    return f"{name!r} means nothing for this {kind}; there are {', '.join(possible)}"


def evenly(split: Split, rows: Tensor, num_events: int) -> Split:
    """So many events of some rows `(N,)`, evenly spaced, or all; each has a group."""
    count = min(num_events, len(rows))
    rows = rows[torch.arange(count) * len(rows) // count]
    part, groups = split.take(rows), split.dependent
    return Split(part.events, part.scored, rows if groups is None else groups[rows])


def comparable(split: Split, dataset: Handed) -> Tensor:
    """The rows of events whose log-probabilities may be compared, `(M,)`.

    Windows of a stream or of a sound are to have as many scored dims as most of them have. A word
    has as many as it has letters: its end is a part of it.
    """
    rows = torch.arange(len(split))
    if split.scored is None or not (split.is_stream or dataset.rendering.kind == "audio"):
        return rows
    dims = split.scored_dims
    return rows[dims == dims.mode().values]


def typical_events(train: Split, home: Split, dataset: Handed, num_events: int) -> Split:
    """Train events that are scored as those of home are, to say what is typical."""
    picked = evenly(train, comparable(train, dataset), num_events)
    if dataset.windows is None or home.scored is None:
        return picked
    # Windows of train are scored whole, and those of test where no window before them was.
    return Split(picked.events, home.scored[:1].expand(picked.events.shape), picked.groups)


@dataclass(frozen=True)
class Others:
    """Makes outliers.

    Attributes:
        dataset: whose events are at home.
        context: through which other tasks are opened.
        home: events of the test split.
        train: as training sees them; noise is drawn from them.
        num_events: of other tasks and files, at most.
    """

    dataset: Handed
    context: Context
    home: Split
    train: Split
    num_events: int

    def make(self, name: str) -> Split:
        """The outliers of a name; those made of an event of home share its group.

        Raises:
            ConfigError: if there is no such task, or its events are others in kind.
            DataError: if the data are not there, or are too short to be compared.
        """
        if name in _KNOWN:
            return self._generated(name)
        if name.startswith(FILES):
            return self._files(name)
        return self._task(name)

    def _generated(self, name: str) -> Split:
        spec, home, groups = self.dataset.spec, self.home, self.home.groups
        size = spec.domain.size if isinstance(spec.domain, Discrete) else 0
        if name == "blank":
            return Split(perturbations.blank(spec.shape, self.dataset.rendering))
        events = home.events if size == 0 else home.events.long()
        match name:
            case "inverted":
                made = perturbations.inverted(events, size)
            case "shifted":
                made = perturbations.shifted(events)
            case "blurred":
                made = perturbations.blurred(events)
            case "jpeg":
                made = perturbations.jpeg(events, size)
            case "shuffled":
                made = perturbations.shuffled(events, self._movable())
            case "reversed":
                made = perturbations.reversed_(events, self._movable())
            case "noise":
                made, groups = perturbations.marginal_noise(events, self.train.events), None
            case _:
                made = perturbations.uniform_noise(events, self._values(size))
                groups = None if self.dataset.windows is None else groups
        free = self._movable() if self.dataset.rendering.kind == "text" else home.scored
        if free is not None:
            made = torch.where(free, made, home.events.to(made.dtype))
        return Split(made, home.scored, groups)

    def _movable(self) -> Tensor:
        """Which dims may be changed, of the shape of home: a word's letters, else everything."""
        rendering = self.dataset.rendering
        end = rendering.end if isinstance(rendering, TextRendering) else None
        if end is None or self.home.scored is None:
            return torch.ones(self.home.events.shape, dtype=torch.bool)
        return self.home.scored & (self.home.events != end)

    def _values(self, size: int) -> list[int]:
        rendering = self.dataset.rendering
        end = rendering.end if isinstance(rendering, TextRendering) else None
        return [value for value in range(size) if value != end]

    def _task(self, name: str) -> Split:
        task = open_task(name)
        if task.needs_windows:
            raise ConfigError(f"{name} is one sequence, and has no events to tell from others")
        if task.spec != self.dataset.spec:
            raise ConfigError(
                f"{name} has events {task.spec}, and {self.dataset.name} has "
                f"{self.dataset.spec}: only other events of one spec can be told apart"
            )
        split = self.context.open(name).split("test")
        return evenly(split, self._comparable(name, split), self.num_events)

    def _files(self, name: str) -> Split:
        place = Path(name.removeprefix(FILES))
        found = OwnEvents(self.dataset.spec, self.dataset).read([place])
        found.require_all()
        events = found.split
        digest = hashlib.sha256(events.events.contiguous().numpy().tobytes()).hexdigest()
        self.context.opened[f"files-{digest[:8]}"] = digest
        return evenly(events, self._comparable(name, events), self.num_events)

    def _comparable(self, name: str, split: Split) -> Tensor:
        """The rows of outliers that are scored on as many dims as home, where `comparable` asks."""
        if self.dataset.windows is None and self.dataset.rendering.kind != "audio":
            return torch.arange(len(split))
        count = int(self.home.scored_dims[0])
        rows = (split.scored_dims == count).nonzero().squeeze(1)
        if len(rows) == 0:
            raise DataError(
                f"{name}: windows of {self.dataset.name} are scored on {count:,} "
                f"{self.dataset.unit}s each, and none of these is: give longer ones"
            )
        return rows
