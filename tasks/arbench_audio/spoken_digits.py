"""`fsdd`: the Free Spoken Digit Dataset in windows."""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

import torch

from arbench import (
    AudioRendering,
    DataError,
    Discrete,
    EventSpec,
    Labels,
    SourceFile,
    Split,
    SplitName,
    Task,
    data_dir,
    fetch,
    mu_law,
    read_members,
    read_recording,
    recording_windows,
)

WINDOW = 2048
SAMPLE_RATE = 8000
FOLDER = "free-spoken-digit-dataset/recordings"
ARCHIVE = SourceFile(
    path="free-spoken-digit-dataset-1.0.10.tar.gz",
    urls=(
        "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/tags/v1.0.10.tar.gz",
    ),
    # GitHub may pack the same files differently one day, so the manifest pins their content.
    sha256=None,
)
MANIFEST_SHA256 = "1801eae019c063377d98f831d3f93574f259475df7332bb0e3d1b080fb5e6959"
_NAME = re.compile(r"(?P<digit>\d)_(?P<speaker>[a-z]+)_(?P<index>\d+)\.wav")
_MEMBER = re.compile(rf"free-spoken-digit-dataset-[^/]+/recordings/(?P<name>{_NAME.pattern})")
_INDICES: dict[SplitName, range] = {
    "test": range(5),
    "validation": range(5, 10),
    "train": range(10, 50),
}


class SpokenDigits(Task):
    """Six speakers say each digit 50 times; 8 kHz, 256 mu-law levels, windows of 2,048 samples.

    A recording is cut into consecutive windows. The last one is padded, and padding is not scored.
    Test is recordings 0 to 4 of each speaker and digit, as the authors say. They have no
    validation; here it is 5 to 9.

    Source: Jackson et al., "Free Spoken Digit Dataset", release 1.0.10, 2020.
    """

    name = "fsdd"
    version = "1"
    spec = EventSpec((WINDOW,), Discrete(mu_law.NUM_LEVELS))
    unit = "sample"
    group = "recording"
    source = "Free Spoken Digit Dataset 1.0.10 (CC BY-SA 4.0), " + ARCHIVE.urls[0]
    sample_rate = SAMPLE_RATE
    companding = "mu-law"
    rendering = AudioRendering(sample_rate=SAMPLE_RATE, companding="mu-law")

    def __init__(self) -> None:
        """Look for the unpacked folder in `$ARBENCH_DATA`; else the archive is the source."""
        folder = data_dir()
        self._folder = None if folder is None else folder / FOLDER
        if self._folder is not None and not self._folder.is_dir():
            self._folder = None
        self.files = (ARCHIVE,) if self._folder is None else ()

    def load(self, split: SplitName) -> Split:
        """The windows `(N, 2048)` of a split, uint8: by digit, speaker, index, then in time.

        Raises:
            DataError: if any of the 3,000 recordings is missing or not the published one.
            NetworkError: if they are not on this machine and cannot be downloaded.
        """
        levels = []
        for name in self._names(split):
            recording = read_recording(self._contents[name], name)
            levels.append(mu_law.encode(recording.amplitudes))
        return recording_windows(levels, WINDOW)

    def load_labels(self, split: SplitName) -> Labels:
        """The digit of each window, spoken in its recording; raises what `load` does."""
        groups = self.load(split).groups
        assert groups is not None  # a window belongs to a recording
        digits = torch.tensor([_key(name)[0] for name in self._names(split)])
        return Labels(digits[groups], tuple("0123456789"))

    def _names(self, split: SplitName) -> list[str]:
        """The recordings of a split: by digit, speaker, index."""
        keys = {name: _key(name) for name in self._contents}
        return sorted((n for n in keys if keys[n][-1] in _INDICES[split]), key=keys.__getitem__)

    @functools.cached_property
    def _contents(self) -> dict[str, bytes]:
        """All recordings by name, checked against the manifest: 20 MB, read once for all splits."""
        if self._folder is None:
            place = fetch(ARCHIVE)
            contents = dict(read_members(place, _MEMBER))
        else:
            place = self._folder
            contents = {
                file.name: file.read_bytes()
                for file in place.iterdir()
                if _NAME.fullmatch(file.name)
            }
        check_manifest(contents, place)
        return contents


def check_manifest(contents: Mapping[str, bytes], place: Path) -> None:
    """Refuse recordings that are not exactly those of the release.

    Raises:
        DataError: with both hashes.
    """
    if (found := manifest_sha256(contents)) != MANIFEST_SHA256:
        raise DataError(
            f"{place}: its {len(contents):,} recordings have the manifest sha256 {found}, expected "
            f"the 3,000 of release 1.0.10 with {MANIFEST_SHA256}; move it away or put the right "
            "files there"
        )


def manifest_sha256(contents: Mapping[str, bytes]) -> str:
    """The sha256 of what `sha256sum *.wav` prints for the files, in the order of their names."""
    digest = hashlib.sha256()
    for name in sorted(contents):
        digest.update(f"{hashlib.sha256(contents[name]).hexdigest()}  {name}\n".encode())
    return digest.hexdigest()


def _key(name: str) -> tuple[int, str, int]:
    """Digit, speaker and index of a recording."""
    match = _NAME.fullmatch(name)
    assert match is not None  # nothing else is read
    return int(match["digit"]), match["speaker"], int(match["index"])
