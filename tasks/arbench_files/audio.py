"""`audio:PATH`: recordings of one sample rate from a folder of wav or flac files."""

from __future__ import annotations

from pathlib import Path

from arbench.errors import DataError
from arbench.experiment import mu_law
from arbench.experiment.recordings import read_recording, windows
from arbench.experiment.rendering import AudioRendering
from arbench.probability.events import Discrete
from arbench_files.folders import files_under, part_roots
from arbench_files.splits import Array, FileTask, PartName, places

EXTENSIONS = frozenset({".wav", ".flac"})
WINDOW = 2048


class AudioTask(FileTask):
    """Consecutive windows of 2,048 samples over recordings of one channel, 256 mu-law levels.

    A recording is in one split with all of its windows. Its last window is padded, and padding is
    not scored.

    Attributes:
        sample_rate: of all recordings, in samples per second.
    """

    unit = "sample"
    companding = "mu-law"

    def __init__(self, path: str) -> None:
        """Read all recordings.

        Raises:
            DataError: if they are not recordings of one channel and one sample rate; one sentence
                with the file, what was found and what was expected.
        """
        folder = Path(path).expanduser()
        if not folder.is_dir():
            found = "a file" if folder.exists() else "no such folder"
            raise DataError(f"{folder}: found {found}, expected a folder of wav or flac files")
        parts: dict[PartName, list[Array]] = {}
        rates: dict[str, int] = {}
        for part, root in part_roots(folder).items():
            parts[part] = []
            for file in files_under(root, EXTENSIONS, "wav or flac"):
                recording = read_recording(_content(file), str(file))
                parts[part].append(mu_law.encode(recording.amplitudes))
                rates[file.relative_to(folder).as_posix()] = recording.sample_rate
        first, self.sample_rate = next(iter(rates.items()))
        for name, rate in rates.items():
            if rate != self.sample_rate:
                raise DataError(
                    f"{folder}: {name} has {rate:,} samples a second, expected "
                    f"{self.sample_rate:,} as in {first}; nothing is resampled here"
                )
        splits = {
            split: windows([parts[part][row] for row in rows], WINDOW)
            for split, (part, rows) in places(parts, folder).items()
        }
        super().__init__("audio", folder, Discrete(mu_law.NUM_LEVELS), splits)

    @property
    def rendering(self) -> AudioRendering:
        """Sound at the recordings' own rate."""
        return AudioRendering(sample_rate=self.sample_rate, companding="mu-law")


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}") from error
