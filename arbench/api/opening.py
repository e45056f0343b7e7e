"""`arbench.open_run`: a trained run with all that belongs to it, for commands of plugins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from arbench.api.loading import load
from arbench.data.dataset import Dataset
from arbench.data.rendering import Rendering
from arbench.data.streams import Windows
from arbench.data.tasks import task_class
from arbench.files.atomic import sha256_of
from arbench.hub.finding import find_run
from arbench.probability.density import Density
from arbench.runs.config import RunConfig
from arbench.runs.folder import RunFolder
from arbench.runs.loading import read_config
from arbench.runs.record.record import Record
from arbench.runs.request import reopen
from arbench.show.notebooks.embedding import run_html


@dataclass(frozen=True)
class OpenedRun:
    """A trained run: what it learned, from what, and how that is shown.

    Attributes:
        folder: of the run.
        name: "task/model".
        density: trained, in evaluation mode.
        rendering: how its events are shown.
        windows: through which it sees a stream; None for a task of events.
        draws_pixels: whether its bits were drawn from grey levels; see `Task.draws_pixels`.
        sha256: of its configuration ("config") and of its weights ("weights"), as files.
    """

    folder: Path
    name: str
    density: Density
    rendering: Rendering
    windows: Windows | None
    draws_pixels: bool
    sha256: Mapping[str, str]
    _config: RunConfig

    def _repr_html_(self) -> str:
        """Its numbers, samples and pictures, for a notebook."""
        record = Record.read(RunFolder(self.folder).record)
        return run_html(self.folder, record.model_dump(mode="json"))

    def dataset(self, task: str | None = None, *, limit: int | None = None) -> Dataset:
        """The data that it was trained on.

        Args:
            task: for a run on the user's own data: where they are, such as "images:PATH".
            limit: only the first so many events of each split.

        Raises:
            ConfigError: if that is another task, or another version of it.
            DataError: if the data are missing, or not those of the run.
        """
        return reopen(self._config, task, limit=limit)


def open_run(path: str | Path, *, device: str = "cpu") -> OpenedRun:
    """A trained run, by what `load` takes; it raises what `load` raises."""
    folder = find_run(path)
    density = load(folder, device=device)
    config, files = read_config(folder), RunFolder(folder)
    stream, task = config.recipe.stream, task_class(config.task)
    is_stream = task is not None and task.needs_windows and not task.has_pieces
    return OpenedRun(
        folder=folder,
        name=f"{config.task}/{config.model}",
        density=density,
        rendering=config.shown,
        windows=Windows(stream.context, stream.stride) if is_stream else None,
        draws_pixels=task is not None and task.draws_pixels,
        sha256={"config": sha256_of(files.config), "weights": sha256_of(files.model)},
        _config=config,
    )
