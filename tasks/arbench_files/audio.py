"""`audio:PATH`: recordings of one sample rate from a folder of wav or flac files."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Literal

import numpy as np

from arbench import (
    AudioRendering,
    DataError,
    Discrete,
    Division,
    EventSpec,
    Recording,
    Split,
    mu_law,
    read_recording,
    recording_windows,
)
from arbench_files.argument import Argument
from arbench_files.division import Array, Indices, PartName
from arbench_files.folders import files_under, part_roots
from arbench_files.splits import FileTask

EXTENSIONS = frozenset({".wav", ".flac"})
WINDOW = 2048
MOST_SAMPLES = 1 << 20  # per second


class AudioTask(FileTask):
    """Consecutive windows of 2,048 samples over recordings of one channel, 256 levels.

    All windows of a recording are in one split. Its last window is padded, and padding is not
    scored. Levels are mu-law. If all files hold telephone codes (G.711), the codes are the levels.

    Attributes:
        sample_rate: of all recordings, in samples per second.
        companding: what the levels are, "mu-law" or "g711".
    """

    unit = "sample"
    group = "file"
    companding: Literal["mu-law", "g711"] = "mu-law"

    def __init__(self, argument: str) -> None:
        """Read all recordings.

        Args:
            argument: the folder, with options as `Argument.read` has them: with `?split=rows` equal
                files are independent.

        Raises:
            ConfigError: for an unknown rule.
            DataError: if they are not recordings of one channel and one sample rate; one sentence
                with the file, what was found and what was expected.
        """
        given = Argument.read(argument)
        folder = given.path
        parts: dict[PartName, list[Array]] = {}
        codes: dict[PartName, list[Array]] = {}
        rates: dict[str, int] = {}
        for part, files in given.parts(_files_of).items():
            parts[part], codes[part] = [], []
            for name, file in files.items():
                recording = _read(file)
                parts[part].append(mu_law.encode(recording.amplitudes))
                if recording.codes is not None:
                    codes[part].append(mu_law.from_codes(recording.codes))
                rates[name] = recording.sample_rate
        first, self.sample_rate = next(iter(rates.items()))
        if not 1 <= self.sample_rate <= MOST_SAMPLES:
            raise DataError(
                f"{folder}: {first} has {self.sample_rate:,} samples per second, expected 1 to "
                f"{MOST_SAMPLES:,}"
            )
        for name, rate in rates.items():
            if rate != self.sample_rate:
                raise DataError(
                    f"{folder}: {name} has {rate:,} samples per second, expected "
                    f"{self.sample_rate:,} as in {first}; arbench does not resample"
                )
        if sum(map(len, codes.values())) == len(rates):
            parts, self.companding = codes, "g711"
        spec = EventSpec((WINDOW,), Discrete(mu_law.NUM_LEVELS))
        super().__init__("audio", folder, spec, parts, rule=given.rule, usual="files")

    def as_of(self, version: str, division: Division | None) -> FileTask:
        """See the base class; version 1 read telephone codes by amplitude, like any other sound."""
        if version != "1" or self.companding != "g711":
            return super().as_of(version, division)
        other = copy.copy(self)
        other.companding = "mu-law"
        levels = mu_law.encode(mu_law.decode_codes(np.arange(mu_law.NUM_LEVELS)))
        other._parts = {part: [levels[x] for x in files] for part, files in self._parts.items()}
        return super(AudioTask, other).as_of(version, division)

    def events_of(self, part: PartName, indices: Indices) -> Split:
        """The windows of some recordings, one recording after another."""
        recordings = self._parts[part]
        return recording_windows([recordings[index] for index in indices], WINDOW)

    @property
    def rendering(self) -> AudioRendering:
        """Sound at the recordings' own rate."""
        return AudioRendering(sample_rate=self.sample_rate, companding=self.companding)


def _files_of(folder: Path) -> dict[PartName, dict[str, Path]]:
    """The files of each part of a folder, by their paths within it."""
    if not folder.is_dir():
        found = "a file" if folder.exists() else "no such folder"
        raise DataError(f"{folder}: found {found}, expected a folder of wav or flac files")
    return {
        part: {
            file.relative_to(folder).as_posix(): file
            for file in files_under(root, EXTENSIONS, "wav or flac")
        }
        for part, root in part_roots(folder).items()
    }


def _read(file: Path) -> Recording:
    """The recording in a file.

    Raises:
        DataError: if the file cannot be read, or is of another kind than its name says.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}") from error
    recording = read_recording(content, str(file))
    if (said := file.suffix.lower().removeprefix(".")) != recording.container:
        raise DataError(
            f"{file}: found a {recording.container} file, expected {said} as its name says"
        )
    return recording
