"""`midi:PATH`: pieces of music from a folder of MIDI files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from arbench import (
    ConfigError,
    DataError,
    Discrete,
    EventSpec,
    MusicRendering,
    PieceTask,
    Split,
    SplitName,
    read_midi,
)
from arbench_files.argument import Argument
from arbench_files.division import Array, PartName
from arbench_files.folders import files_under, part_roots
from arbench_files.splits import FileTask

EXTENSIONS = frozenset({".mid", ".midi"})
NUM_KEYS = 88
STEPS_PER_BEAT, MOST_PER_BEAT = 4, 64


class MidiTask(FileTask, PieceTask):
    """Pieces of steps in time, each of the 88 keys of a piano, 1 where a key sounds; a file each.

    Notes are read one by one; see `arbench.data.formats.midi`. A note that is held and one that is
    struck again look alike.

    Attributes:
        steps_per_beat: how many steps a quarter note has.
    """

    unit = "key"
    group = "file"
    domain = Discrete(2)
    step_dims = NUM_KEYS

    def __init__(self, argument: str) -> None:
        """Read all files.

        Args:
            argument: the folder, with options as `Argument.read` has them, and `?steps=N` for N
                steps a quarter note (4 unless stated). With `?split=rows` equal files are
                independent.

        Raises:
            ConfigError: for an unknown rule, another number of steps, or if mido is not installed.
            DataError: if there are other files, or one that cannot be read; one sentence with the
                file, what was found and what was expected.
        """
        given = Argument.read(argument, "steps")
        folder, self.steps_per_beat = given.path, _steps(given.options)
        parts = given.parts(self._read_folder)
        longest = max(len(piece) for pieces in parts.values() for piece in pieces)
        spec = EventSpec((1, longest, NUM_KEYS), self.domain)
        super().__init__("midi", folder, spec, parts, rule=given.rule, usual="files")

    def _read_folder(self, folder: Path) -> dict[PartName, list[Array]]:
        """The pieces of each part of a folder."""
        if not folder.is_dir():
            found = "a file" if folder.exists() else "no such folder"
            raise DataError(f"{folder}: found {found}, expected a folder of MIDI files")
        return {
            part: [self._read(file) for file in files_under(root, EXTENSIONS, "MIDI")]
            for part, root in part_roots(folder).items()
        }

    def _read(self, file: Path) -> Array:
        """The piece in a file, `(steps, 88)` uint8."""
        try:
            content = file.read_bytes()
        except OSError as error:
            raise DataError(f"{file} cannot be read: {error.strerror}") from error
        piece = read_midi(content, str(file), steps_per_beat=self.steps_per_beat)
        return piece.astype(np.uint8)

    @property
    def rendering(self) -> MusicRendering:
        """Played by as many steps a beat as it was read by."""
        return MusicRendering(steps_per_beat=self.steps_per_beat)

    def load_pieces(self, split: SplitName) -> Sequence[Tensor]:
        """The pieces of a split, `(steps, 88)` uint8 each, in the order of their paths."""
        part, indices = self._places[split]
        return [torch.from_numpy(self._parts[part][index]) for index in indices]

    def load(self, split: SplitName) -> Split:
        """Whole pieces; see `PieceTask.load`. All copies of a work are one group."""
        return replace(PieceTask.load(self, split), groups=self.works(split))


def _steps(options: Mapping[str, str]) -> int:
    """How many steps a quarter note has.

    Raises:
        ConfigError: if that is no number that music has.
    """
    steps = options.get("steps", str(STEPS_PER_BEAT))
    if not (steps.isascii() and steps.isdigit() and 1 <= int(steps) <= MOST_PER_BEAT):
        raise ConfigError(
            f"?steps={steps} is no number of steps for a quarter note, expected 1 to "
            f"{MOST_PER_BEAT}"
        )
    return int(steps)
