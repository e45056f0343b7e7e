"""`arbench.show`: events as a person looks at them, or listens to them, in a notebook."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from torch import Tensor

from arbench.data.rendering import Rendering, TextRendering, natural_rendering
from arbench.data.tasks import open_task
from arbench.errors import ConfigError
from arbench.probability.events import EventSpec
from arbench.show.escaping import printable
from arbench.show.notebooks.embedding import files_html
from arbench.show.samples import join_texts, save_samples


@dataclass(frozen=True)
class Shown:
    """Events that a notebook draws; elsewhere a text, or how many there are of what.

    Attributes:
        events: `(B, *event_shape)`.
        spec: theirs.
        rendering: how they are shown.
    """

    events: Tensor
    spec: EventSpec
    rendering: Rendering

    def __repr__(self) -> str:
        """The texts; of anything else a count."""
        if isinstance(self.rendering, TextRendering):
            texts = [self.rendering.decode(event) for event in self.events]
            return printable(join_texts(texts, self.rendering)).rstrip("\n")
        return f"{len(self.events)} events {self.spec.shape}, shown as {self.rendering.kind}"

    def _repr_html_(self) -> str:
        """Pictures, sounds, rows or texts."""
        with TemporaryDirectory() as folder:
            save_samples(Path(folder), self.events, self.spec, rendering=self.rendering)
            return files_html(sorted(Path(folder).iterdir()))


def shown(events: Tensor, of: Any) -> Shown:
    """Events, ready to be looked at; see `arbench.show`.

    Args:
        events: `(B, *event_shape)`, or one event.
        of: what says how they are shown.

    Raises:
        ConfigError: if nothing says how, or the events are others.
    """
    task = open_task(of) if isinstance(of, str) else of
    density = getattr(task, "density", task)  # of a run that was opened
    spec = getattr(density, "spec", None)
    if not isinstance(spec, EventSpec):
        raise ConfigError(
            "show(events, of): `of` says what the events are; expected the name of a task, a Task, "
            f"a density or what `arbench.open_run` returns, got {type(of).__name__}"
        )
    if events.shape == spec.shape:
        events = events[None]
    try:
        spec.validate(events)
    except ValueError as error:
        raise ConfigError(f"show(events, of): {error}") from error
    rendering = getattr(task, "rendering", None) or natural_rendering(spec)
    return Shown(events.detach().cpu(), spec, rendering)
