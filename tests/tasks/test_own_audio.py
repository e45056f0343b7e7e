"""Recordings of one's own: every sample kept, files divided whole, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from sounds import scored_values, tone, wav

from arbench.data.formats import mu_law
from arbench.data.tasks import SPLITS, open_task
from arbench.errors import DataError
from arbench.probability.events import Discrete, EventSpec
from arbench_files.audio import AudioTask


def recordings(folder: Path, count: int = 30, rate: int = 22_050, kind: str = "flac") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        soundfile.write(folder / f"{i:02}.{kind}", tone(1500 + 200 * i, i), rate, subtype="PCM_16")


def test_own_recordings_keep_every_sample_and_stay_whole(tmp_path: Path) -> None:
    recordings(tmp_path / "bells" / "deep")
    task = open_task(f"audio:{tmp_path / 'bells'}")
    assert isinstance(task, AudioTask)
    assert task.name.startswith("audio-")
    assert task.source == "bells"
    assert (task.sample_rate, task.companding, task.unit) == (22_050, "mu-law", "sample")
    assert task.spec == EventSpec((2048,), Discrete(256))
    task.rendering.check(task.spec)
    assert task.rendering.sample_rate == 22_050
    assert not task.public
    splits = {split: task.load(split) for split in SPLITS}
    values = {split: scored_values(splits[split]).tobytes() for split in SPLITS}
    where = {}
    for i in range(30):
        levels = mu_law.encode(tone(1500 + 200 * i, i) / 2**15).tobytes()
        where[i] = [split for split in SPLITS if levels in values[split]]
    assert all(len(found) == 1 for found in where.values())
    assert sum(map(len, values.values())) == sum(1500 + 200 * i for i in range(30))


def test_own_recordings_are_named_and_split_by_content(tmp_path: Path) -> None:
    recordings(tmp_path / "a")
    recordings(tmp_path / "b" / "x", kind="wav")
    first, second = AudioTask(str(tmp_path / "a")), AudioTask(str(tmp_path / "b"))
    assert first.name == second.name
    for split, many in zip(SPLITS, (8, 1, 1), strict=True):
        recordings(tmp_path / "c" / split, count=many)
    stated = AudioTask(str(tmp_path / "c"))
    lengths = [stated.load(split).num_scored_dims for split in SPLITS]
    assert lengths == [sum(1500 + 200 * i for i in range(8)), 1500, 1500]


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        (
            "a.wav",
            wav(tone(9, 0), 8000),
            "z.wav has 16,000 samples per second, expected 8,000 as",
        ),
        ("a.wav", wav(np.zeros((9, 2), np.int16)), "a.wav: found 2 channels, expected one"),
        ("a.wav", b"RIFF....WAVE", "a.wav: expected a wav or flac file"),
        (
            "a.wav",
            wav(tone(9, 0), 2_000_000),
            "2,000,000 samples per second, expected 1 to 1,048,576",
        ),
        ("a.mp3", b"", "found the extension '.mp3', expected wav or flac files only"),
        ("a.flac", b"", "a.flac: expected a wav or flac file"),
        (".a", b"", "1 to divide, 1 of them different, leave nothing for the train split"),
    ],
)
def test_bad_folder_of_recordings(file: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "z.wav").write_bytes(wav(tone(9, 0)))
    (tmp_path / file).write_bytes(content)
    with pytest.raises(DataError) as caught:
        AudioTask(str(tmp_path))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found no such folder"):
        AudioTask(str(tmp_path / "none"))
    (tmp_path / "a.wav").touch()
    with pytest.raises(DataError, match="found a file, expected a folder"):
        AudioTask(str(tmp_path / "a.wav"))


def test_a_folder_of_telephone_recordings_keeps_all_codes(tmp_path: Path) -> None:
    codes = np.random.default_rng(0).permutation(np.arange(256 * 40) % 256).astype(np.uint8)
    for index, part in enumerate(codes.reshape(40, 256)):
        soundfile.write(tmp_path / f"{index:02}.wav", np.zeros(256), 8000, "ULAW")
        content = (tmp_path / f"{index:02}.wav").read_bytes()
        start = content.index(b"data") + 8
        content = content[:start] + part.tobytes() + content[start + 256 :]
        (tmp_path / f"{index:02}.wav").write_bytes(content)
    task = AudioTask(str(tmp_path))
    assert task.rendering.companding == task.companding == "g711"
    values = np.concatenate([scored_values(task.load(split)) for split in SPLITS])
    assert set(values) == set(range(256))
    assert sorted(values) == sorted(mu_law.from_codes(codes))
    # As a run of version 1 found them, and among other files, they are amplitudes.
    old = task.as_of("1", None)
    assert isinstance(old, AudioTask)
    assert old.companding == "mu-law"
    values = np.concatenate([scored_values(old.load(split)) for split in SPLITS])
    assert len(set(values)) == 239
    soundfile.write(tmp_path / "other.wav", tone(999, 0), 8000, "PCM_16")
    assert AudioTask(str(tmp_path)).companding == "mu-law"


def test_a_name_that_is_no_file_is_not_opened(tmp_path: Path) -> None:
    recordings(tmp_path, count=4)
    (tmp_path / "04.wav").symlink_to("/dev/null")
    with pytest.raises(DataError, match=r"04\.wav: found no file that can be read, expected wav"):
        AudioTask(str(tmp_path))


def test_a_recording_is_of_the_kind_its_name_says(tmp_path: Path) -> None:
    recordings(tmp_path, count=4)
    (tmp_path / "00.flac").rename(tmp_path / "00.wav")
    with pytest.raises(DataError, match=r"00\.wav: found a flac file, expected wav as its name"):
        AudioTask(str(tmp_path))


def test_real_recordings_are_whole_and_divided_as_files(data_dir: Path, tmp_path: Path) -> None:
    source = data_dir / "free-spoken-digit-dataset" / "recordings"
    files = sorted(source.glob("7_*_1?.wav"))
    if not files:
        pytest.skip(f"{source} is not there")
    for file in files:
        (tmp_path / file.name).write_bytes(file.read_bytes())
        (tmp_path / f"again-{file.name}").write_bytes(file.read_bytes())
    task = AudioTask(str(tmp_path))
    splits = [task.load(split) for split in SPLITS]
    lengths = {soundfile.info(file).frames for file in files}
    assert sum(split.num_scored_dims for split in splits) == 2 * sum(
        soundfile.info(file).frames for file in files
    )
    assert len(lengths) > 30
    # A file, its copy and all their windows are one work.
    assert task.group == "distinct file"
    works = [split.num_groups for split in splits]
    assert works == [len(files) * 8 // 10, len(files) // 10, len(files) // 10]
    rows = AudioTask(f"{tmp_path}?split=rows")
    assert rows.group == "file"
    assert rows.load("test").num_groups == 2 * len(files) // 10
    assert splits[2].num_events_also_in(splits[0]) == 0
    assert splits[1].num_events_also_in(splits[0]) == 0
    assert splits[2].num_events_also_in(splits[1]) == 0
