"""`sc09`: the ten digits of Speech Commands, one clip per event."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from arbench import (
    SPLITS,
    AudioRendering,
    DataError,
    Discrete,
    EventSpec,
    SourceFile,
    Split,
    SplitName,
    Task,
    atomic_path,
    cache_dir,
    fetch,
    mu_law,
    read_members,
    read_npz,
    read_recording,
    writing_cache,
)

CLIP = 16_000
SAMPLE_RATE = 16_000
ARCHIVE = SourceFile(
    path="speech_commands_v0.02.tar.gz",
    urls=("http://download.tensorflow.org/data/speech_commands_v0.02.tar.gz",),
    sha256="af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",
    size=2_428_923_189,
)
_LISTS: dict[str, SplitName] = {
    "validation_list.txt": "validation",
    "testing_list.txt": "test",
}
_MEMBER = re.compile(
    r"(\./)?(?P<name>(validation|testing)_list\.txt"
    r"|(zero|one|two|three|four|five|six|seven|eight|nine)/[0-9a-f]+_nohash_\d+\.wav)"
)
# From the S4 repository's scaling: avoids a division by zero for a clip of zeros.
_EPSILON = 1e-6


class SpeechCommandDigits(Task):
    """Clips of one second at 16 kHz, each scaled to [-1, 1], 256 mu-law levels.

    Shorter clips are padded at the end, and padding is not scored. Two lists in the archive state
    validation and test, by speaker. The clips of one speaker are one group. As in SaShiMi, the data
    are version 0.02, and each clip is scaled by its own extremes, so that its published numbers and
    ours can be compared.

    Source: Warden, "Speech Commands: a dataset for limited-vocabulary speech recognition", 2018;
        Donahue et al., "Adversarial audio synthesis", ICLR 2019, for the ten digits; Goel et al.,
        "It's raw! Audio generation with state-space models", ICML 2022, for this form of them.
    """

    name = "sc09"
    version = "1"
    spec = EventSpec((CLIP,), Discrete(mu_law.NUM_LEVELS))
    unit = "sample"
    group = "speaker"
    source = "Speech Commands 0.02, digits (CC BY 4.0), " + ARCHIVE.urls[0]
    files = (ARCHIVE,)
    sample_rate = SAMPLE_RATE
    companding = "mu-law"
    rendering = AudioRendering(sample_rate=SAMPLE_RATE, companding="mu-law")

    def load(self, split: SplitName) -> Split:
        """The clips `(N, 16000)` of a split, uint8, by name.

        The levels of all clips are computed once and kept in the cache.

        Raises:
            DataError: if the archive is damaged or not the published one.
            NetworkError: if it is not on this machine and cannot be downloaded.
        """
        # An older arbench may still look for the file without "-speakers", which held none.
        kept = cache_dir() / f"sc09-{self.version}-speakers.npz"
        if not kept.is_file():
            keep_levels(fetch(self.files[0]), kept)
        parts = ("levels", "lengths", "speakers")
        arrays = read_npz(kept, [f"{split}_{part}" for part in parts])
        lengths = arrays[f"{split}_lengths"]
        scored = np.arange(CLIP) < lengths[:, None]
        events = np.full(scored.shape, mu_law.SILENCE, dtype=np.uint8)
        events[scored] = arrays[f"{split}_levels"]  # row by row, as they were joined
        speakers = torch.from_numpy(arrays[f"{split}_speakers"])
        return Split(torch.from_numpy(events), torch.from_numpy(scored), speakers)


def keep_levels(archive: Path, kept: Path) -> None:
    """Write to an npz, for every split: all levels, joined, and each clip's length and speaker.

    Raises:
        DataError: if something is missing in the archive or is not a clip, or if the cache cannot
            be written.
    """
    clips: dict[str, NDArray[np.uint8]] = {}
    listed: dict[str, SplitName] = {}
    lists = set()
    for name, content in read_members(archive, _MEMBER):
        if name in _LISTS:
            lists.add(name)
            listed.update(dict.fromkeys(content.decode().split(), _LISTS[name]))
        else:
            clips[name] = _levels(content, f"{archive}: {name}")
    if missing := set(_LISTS) - lists:
        raise DataError(f"{archive}: holds no {min(missing)}, expected Speech Commands 0.02")
    arrays: dict[str, Any] = {}
    for split in SPLITS:
        names = [name for name in sorted(clips) if listed.get(name, "train") == split]
        if not names:
            raise DataError(f"{archive}: holds no {split} clips, expected Speech Commands 0.02")
        arrays[f"{split}_levels"] = np.concatenate([clips[name] for name in names])
        arrays[f"{split}_lengths"] = np.array([len(clips[name]) for name in names])
        said_by = [_speaker(name) for name in names]
        known = {speaker: number for number, speaker in enumerate(sorted(set(said_by)))}
        arrays[f"{split}_speakers"] = np.array([known[name] for name in said_by], dtype=np.int64)
    with writing_cache(kept.parent), atomic_path(kept) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)


def _speaker(name: str) -> str:
    """The archive's key of a clip's speaker, such as "0a" in "zero/0a_nohash_1"."""
    return name.partition("/")[2].partition("_")[0]


def _levels(content: bytes, place: str) -> NDArray[np.uint8]:
    recording = read_recording(content, place)
    amplitudes = recording.amplitudes
    if recording.sample_rate != SAMPLE_RATE or len(amplitudes) > CLIP:
        raise DataError(
            f"{place}: found {len(amplitudes):,} samples at {recording.sample_rate:,} Hz, expected "
            f"at most {CLIP:,} at {SAMPLE_RATE:,} Hz"
        )
    low, high = amplitudes.min(), amplitudes.max()
    return mu_law.encode(2 * (amplitudes - low) / (high - low + _EPSILON) - 1)
