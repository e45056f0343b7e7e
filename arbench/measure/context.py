"""What a measurement is given: its splits and labels, device, generator, artifacts.

Whatever it opens through its context is written into the record with its sha256, so that a number
says all that it depends on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import torch
from torch import Tensor

from arbench.data.dataset import Dataset
from arbench.data.rendering import Rendering
from arbench.data.tasks import SPLITS, Split, SplitName
from arbench.errors import CheckpointError, ConfigError, PluginError
from arbench.files.atomic import make_folder
from arbench.files.tensors import load_tensors, save_tensors
from arbench.probability.events import EventSpec
from arbench.probability.randomness import keyed_generator
from arbench.show.reporting import Reporter

if TYPE_CHECKING:
    from arbench.data.labels import Labels
    from arbench.data.streams import PieceWindows, Windows
    from arbench.probability.density import Density


class Handed:
    """The part of a dataset that a measurement gets: its description, and only what it `reads`.

    Args:
        dataset: the whole.
        reader: who reads, for messages.
        reads: what may be read, such as "test" or "labels:train".

    Attributes:
        name: of the task.
        version: of the task.
        spec: shape and domain of the events.
        windows: through which a stream is scored; None for a task of events.
        pieces: through which pieces are scored; None for any other task.
        opened: name to sha256 of what was read and is no part of the dataset's own hash: labels.
    """

    def __init__(self, dataset: Dataset, reader: str, reads: Sequence[str]) -> None:
        self._dataset = dataset
        self._reader = reader
        self._reads = reads
        self.name: str = dataset.task.name
        self.version: str = dataset.task.version
        self.spec: EventSpec = dataset.task.spec
        self.windows: Windows | None = dataset.windows
        self.pieces: PieceWindows | None = dataset.pieces
        self.opened: dict[str, str] = {}

    @property
    def unit(self) -> str:
        """What one dim is: "dim", "pixel", "char", "byte", "sample" or "key"."""
        return self._dataset.task.unit

    @property
    def rendering(self) -> Rendering:
        """How events are shown to people."""
        return self._dataset.task.rendering

    @property
    def sha256(self) -> str:
        """Of all its events."""
        return self._dataset.sha256

    @property
    def group(self) -> str:
        """What is independent of others of its kind, such as "event" or "recording"."""
        return self._dataset.task.group

    @property
    def has_labels(self) -> bool:
        """Whether anybody knows what the events are of."""
        return self._dataset.task.has_labels

    @property
    def draws_pixels(self) -> bool:
        """Whether its bits were drawn from grey levels; see `Task.draws_pixels`."""
        return self._dataset.task.draws_pixels

    @property
    def has_true_log_prob(self) -> bool:
        """Whether the data come from a known distribution."""
        return self._dataset.task.has_true_log_prob

    def true_log_prob(self, events: Tensor) -> Tensor:
        """Log-probability `(B,)` in nats, float64, under the distribution of the data."""
        return self._dataset.task.true_log_prob(events)

    def split(self, name: SplitName) -> Split:
        """The events of a split.

        Raises:
            PluginError: unless the measurement says that it reads it.
        """
        if name not in self._reads:
            raise self._unread(name)
        return self._dataset.split(name)

    def training_events(self) -> Split:
        """The train split as a model sees it in one epoch: events, whatever is stored.

        Where training draws bits anew in every epoch, from grey levels for instance, they are
        drawn once here, always the same. Of a stream these are windows side by side.

        Raises:
            PluginError: unless the measurement says that it reads "train".
        """
        split = self.split("train")
        task = self._dataset.task
        if not task.has_training_view:
            return split
        generator = keyed_generator(0, "training events", task.name, task.version)
        return replace(split, events=task.training_view(split.events, generator))

    def labels(self, name: SplitName) -> Labels:
        """What the events of a split are of, one label for each.

        Raises:
            PluginError: unless the measurement says that it reads them.
        """
        if f"labels:{name}" not in self._reads:
            raise self._unread(f"labels:{name}")
        labels = self._dataset.labels(name)
        self.opened[f"labels:{name}"] = tensors_sha256({"values": labels.values})
        return labels

    def _unread(self, name: str) -> PluginError:
        return PluginError(
            f"{self._reader} asks for {name!r}, and says that it reads "
            f"{', '.join(self._reads) or 'nothing'}: its author has to add it to `reads`"
        )


# By the name of its run: the trained density, what a record may call it (never a path), and the
# sha256 of its weights.
LoadDensity = Callable[[str], "tuple[Density, str, str]"]


def not_here(text: str) -> NoReturn:
    """Refuse to open anything: it is no part of the question.

    Raises:
        ConfigError: with its name.
    """
    raise ConfigError(f"{text}: nothing else can be opened here")


@dataclass(eq=False, kw_only=True)
class Context:
    """What a measurement may ask for while it measures.

    Attributes:
        name: of the measurement.
        version: of the measurement.
        seed: of the run.
        device: where to compute.
        place: see `folder`.
        shared: log-probabilities of a split, `(N,)` float64; see `log_probs`.
        data_sha256: of the dataset, all of it.
        data_part: what is handed of it; see `Dataset.part`.
        cache: where artifacts are kept; None keeps them for this process alone.
        reads: the splits whose log-probabilities may be asked for.
        alone: whether no other run was at work on this machine meanwhile; asked of it where the
            measurement is `exclusive`.
        open_dataset: opens a task by name; see `open`.
        load_density: loads a trained density by the name of its run; see `load`.
        subject: what messages call the density.
        reporter: receives progress.
        opened: name to sha256 of all that was opened through this.
    """

    name: str
    version: str
    seed: int
    device: torch.device
    place: Path
    shared: Callable[[SplitName], Tensor]
    data_sha256: str
    data_part: str = ""
    cache: Path | None = None
    reads: Sequence[str] = SPLITS
    alone: bool = True
    open_dataset: Callable[[str], Dataset] = not_here
    load_density: LoadDensity = not_here
    subject: str = "the density"
    reporter: Reporter = field(default_factory=Reporter)
    opened: dict[str, str] = field(default_factory=dict)
    _artifacts: dict[str, dict[str, Tensor]] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where pictures and files go that are to stay with the run."""
        make_folder(self.place)
        return self.place

    def generator(self, purpose: str, *key: str | int) -> torch.Generator:
        """A CPU generator that depends on the run's seed, the measurement and what it is for.

        Every call makes it anew: the same purpose gives the same numbers.
        """
        return keyed_generator(self.seed, "measure", self.name, purpose, *key)

    def log_probs(self, split: SplitName) -> Tensor:
        """Log-probability of every event of a split, `(N,)` nats, float64, on the CPU.

        A run computes them once for all measurements; one that is finished has kept those of test.
        The events of a stream are its windows.

        Raises:
            Diverged: if one is not finite.
            PluginError: unless the measurement says that it reads the split.
        """
        if split not in self.reads:
            raise PluginError(
                f"{self.name} asks for log-probabilities of {split!r}, and does not say that it "
                "reads it: its author has to add it to `reads`"
            )
        return self.shared(split).clone()

    def open(self, task: str) -> Dataset:
        """The dataset of another task, such as one whose events should be unlikely.

        Raises:
            ConfigError: if no task has that name.
            DataError: if its data are missing or damaged.
        """
        dataset = self.open_dataset(task)
        self.opened[dataset.task.name] = dataset.sha256
        return dataset

    def load(self, run: str) -> Density:
        """The trained density of another run: its folder, its name in the zoo, or a repository.

        Raises:
            ConfigError: if there is no such run.
            CheckpointError: if it is unfinished or damaged.
        """
        density, name, sha256 = self.load_density(run)
        self.opened[name] = sha256
        return density

    def artifact(
        self, name: str, build: Callable[[torch.Generator], Mapping[str, Tensor]]
    ) -> dict[str, Tensor]:
        """Tensors that depend on the dataset and on no run, such as the weights of a classifier.

        They are built once per dataset and kept. Another version of the measurement builds its own,
        and so do a part of the data (`--limit`) and other windows of a stream.

        Args:
            name: says all that they depend on beside the data, such as a setting.
            build: makes them, given a generator that depends on the data and the name alone.
        """
        if name not in self._artifacts:
            kept, sha256 = self._kept_or_built(name, build)
            self._artifacts[name] = kept
            self.opened[f"artifact:{name}"] = sha256
        return {key: tensor.clone() for key, tensor in self._artifacts[name].items()}

    def _kept_or_built(
        self, name: str, build: Callable[[torch.Generator], Mapping[str, Tensor]]
    ) -> tuple[dict[str, Tensor], str]:
        part = [self.data_part] if self.data_part else []
        key = (self.data_sha256, self.name, self.version, name, *part)
        generator = keyed_generator(0, "artifact", *key)
        if self.cache is None:
            built = {each: t.detach().cpu() for each, t in build(generator).items()}
            return built, tensors_sha256(built)
        place = hashlib.sha256("\0".join(key).encode()).hexdigest()
        path = self.cache / "artifacts" / f"{place}.safetensors"
        try:
            kept = load_tensors(path)
        except CheckpointError:  # none yet, or damaged
            make_folder(path.parent)
            save_tensors(path, build(generator))
            kept = load_tensors(path)
        return kept, tensors_sha256(kept)


def tensors_sha256(tensors: Mapping[str, Tensor]) -> str:
    """A hash of tensors by name: of dtypes, shapes and bytes."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
