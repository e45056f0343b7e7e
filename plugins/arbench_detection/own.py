"""Reads files of the user's own, one after the other; lists what cannot be read, and why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import torch
from torch import Tensor

from arbench import (
    IMAGE_EXTENSIONS,
    AudioRendering,
    DataError,
    Discrete,
    EventSpec,
    ImageRendering,
    OwnFiles,
    Rendering,
    Split,
    TextRendering,
    Windows,
    recording_windows,
    text_windows,
)

_SOUNDS = frozenset({".wav", ".flac"})


class Described(Protocol):
    """What has to be known of a run's data; a dataset and an opened run both say it."""

    @property
    def rendering(self) -> Rendering:
        """How events are shown."""
        ...

    @property
    def windows(self) -> Windows | None:
        """Through which a stream is seen."""
        ...

    @property
    def draws_pixels(self) -> bool:
        """Whether bits were drawn from grey levels."""
        ...


@dataclass(frozen=True)
class Part:
    """The events of a file.

    Attributes:
        file: its name.
        split: the events.
        holds: one event, several, or the windows of one text or sound, whose log-probabilities are
            summed.
    """

    file: str
    split: Split
    holds: Literal["one", "several", "windows"]


@dataclass
class Read:
    """What was read.

    Attributes:
        parts: of each file that could be read.
        refused: of each other file, its name and the reason.
    """

    parts: list[Part] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)

    def require_all(self) -> None:
        """Refuse if anything could not be read.

        Raises:
            DataError: with the first reason.
        """
        if self.refused:
            raise DataError(self.refused[0][1])
        if not self.parts:
            raise DataError("there is no file to read")

    @property
    def split(self) -> Split:
        """All events together."""
        splits = [part.split for part in self.parts]
        scored = None
        if any(split.scored is not None for split in splits):
            scored = torch.cat([_all_scored(split) for split in splits])
        return Split(torch.cat([_as_read(split.events) for split in splits]), scored)


def _as_read(events: Tensor) -> Tensor:
    return events if events.is_floating_point() else events.long()


def _all_scored(split: Split) -> Tensor:
    every = torch.ones(split.events.shape, dtype=torch.bool)
    return every if split.scored is None else split.scored


@dataclass(frozen=True)
class OwnEvents:
    """Reads files as events of one spec.

    Attributes:
        spec: of the events.
        about: what else is known of them.
    """

    spec: EventSpec
    about: Described

    def read(
        self, places: Sequence[Path], progress: Callable[[float, str], None] | None = None
    ) -> Read:
        """Files, and all files in folders; a name that starts with a dot is left out."""
        files = [file for place in places for file in _files(place)]
        found = Read()
        for number, file in enumerate(files, 1):
            try:
                found.parts.append(self._part(file))
            except DataError as error:
                found.refused.append((str(file), str(error)))
            if progress is not None:
                progress(number / len(files), "")
        return found

    @property
    def binarisation(self) -> str:
        """What becomes of grey pixels, in a sentence; empty where there is nothing to say."""
        domain = self.spec.domain
        if self.about.rendering.kind != "image" or domain != Discrete(2):
            return ""
        grey = self._grey
        why = "the task has no grey levels" if grey is None else "as in the data of the run"
        return f"Pixels are {ImageRendering(grey=grey or 128)}: {why}."

    @property
    def _grey(self) -> Literal["drawn"] | int | None:
        """What became of grey pixels in the run's own data; None if there were none."""
        rendering = self.about.rendering
        stated = rendering.grey if isinstance(rendering, ImageRendering) else None
        return stated or ("drawn" if self.about.draws_pixels else None)

    def _part(self, file: Path) -> Part:
        rendering, windows = self.about.rendering, self.about.windows
        own = OwnFiles(self.spec, rendering, self._grey or 128)
        suffix = file.suffix.lower()
        if not file.is_file():
            raise DataError(f"{file}: found no such file")
        if suffix == ".npz" and windows is None:
            return Part(str(file), self.ended(own.archive(file)), "several")
        if isinstance(rendering, TextRendering):
            if rendering.end is not None:
                return Part(str(file), self.ended(own.words(file)), "several")
            if windows is not None:
                return Part(str(file), text_windows(own.text(file), windows), "windows")
        if isinstance(rendering, AudioRendering) and suffix in _SOUNDS:
            cut = recording_windows([own.sound(file).numpy()], self.spec.num_dims)
            return Part(str(file), cut, "windows")
        if rendering.kind == "image" and suffix in IMAGE_EXTENSIONS:
            return Part(str(file), Split(own.image(file).unsqueeze(0)), "one")
        raise DataError(
            f"{file}: found {suffix or 'a file without an extension'}, expected an npz archive "
            f"with the key 'events'{_ALSO.get(rendering.kind, '')}"
        )

    def ended(self, events: Tensor) -> Split:
        """Events, of which words are scored up to their end."""
        rendering = self.about.rendering
        end = rendering.end if isinstance(rendering, TextRendering) else None
        if end is None:
            return Split(events)
        ended = (events == end).long().cumsum(1)
        return Split(events, (ended == 0) | ((ended == 1) & (events == end)))


_ALSO = {"image": ", or an image", "audio": ", or a wav or flac file", "text": ", or a text"}


def _files(place: Path) -> list[Path]:
    if not place.is_dir():
        return [place]
    inside = (file for file in place.rglob("*") if file.is_file())
    return sorted(
        file
        for file in inside
        if not any(part.startswith(".") for part in file.relative_to(place).parts)
    )
