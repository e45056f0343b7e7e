"""Audio tasks: the real spoken digits, and a small Speech Commands served by HTTP."""

from __future__ import annotations

import hashlib
import io
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from sounds import scored_values, tone, wav

from arbench.data.dataset import Dataset
from arbench.data.formats import mu_law
from arbench.data.sources import SourceFile
from arbench.data.tasks import SPLITS, Split, SplitName, Task
from arbench.errors import DataError, NetworkError
from arbench.show.samples import save_samples
from arbench_audio import spoken_digits
from arbench_audio.speech_commands import SpeechCommandDigits
from arbench_audio.spoken_digits import FOLDER, SpokenDigits, manifest_sha256


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARBENCH_CACHE", str(tmp_path / "cache"))


# The Free Spoken Digit Dataset

FSDD_SHA256 = {
    "train": "111b3e025dfde37fae430b38c1370a68a2fd0123f61febde657ca5c52f1654f9",
    "validation": "fc547008ab339ee381637e82b80dc51b98d99536ebb5ad1b786b798e5d73f350",
    "test": "7eaba399e325b8758880cea78c68e31bd92d588afbfe41b95b854942ecc17445",
}


@pytest.fixture(scope="module")
def digits(data_dir: Path) -> dict[SplitName, Split]:
    task = SpokenDigits()
    return {split: task.load(split) for split in SPLITS}


def test_windows_of_one_spoken_digit_are_one_group(digits: dict[SplitName, Split]) -> None:
    assert SpokenDigits.group == "recording"
    assert [digits[split].num_groups for split in SPLITS] == [2400, 300, 300]
    for split in digits.values():
        assert split.groups is not None
        assert split.scored is not None
        assert set(split.groups.diff().tolist()) <= {0, 1}  # window after window
        new = split.groups.diff() == 1
        # A recording ends with its padded window, and begins in a window of its own.
        assert bool(split.scored[:-1][~new].all())


def test_spoken_digits_are_pinned(digits: dict[SplitName, Split]) -> None:
    assert [len(digits[split]) for split in SPLITS] == [5315, 673, 654]
    assert [digits[split].num_scored_dims for split in SPLITS] == [8_407_965, 1_056_429, 1_034_030]
    for name, split in digits.items():
        SpokenDigits.spec.validate(split.events)
        assert hashlib.sha256(split.events.numpy().tobytes()).hexdigest() == FSDD_SHA256[name]


@pytest.mark.parametrize(("task", "rate"), [(SpokenDigits, 8000), (SpeechCommandDigits, 16_000)])
def test_samples_are_written_as_sound_at_the_rate_of_the_data(
    task: type[Task], rate: int, tmp_path: Path
) -> None:
    """A second of levels becomes a second of sound, and its amplitudes have those levels again."""
    events = torch.randint(256, (2, *task.spec.shape), dtype=torch.uint8)
    path = save_samples(tmp_path / "x.wav", events, task.spec, rendering=task().rendering)
    sound, found = soundfile.read(path)
    assert found == rate
    np.testing.assert_allclose(
        sound[: task.spec.num_dims], mu_law.decode(events[0].numpy()), atol=2**-15
    )
    assert path.with_suffix(".png").is_file()


def test_spoken_digits_are_in_one_split_only(digits: dict[SplitName, Split]) -> None:
    for split, other in (("test", "train"), ("test", "validation"), ("validation", "train")):
        assert digits[split].num_events_also_in(digits[other]) == 0  # type: ignore[index]


def test_spoken_digits_are_the_recordings_in_order(
    digits: dict[SplitName, Split], data_dir: Path
) -> None:
    """By digit, then speaker, then index."""
    names = ["0_george_0", "0_george_1", "0_george_2", "9_yweweler_3", "9_yweweler_4"]
    levels = []
    for name in names:
        samples, rate = soundfile.read(data_dir / FOLDER / f"{name}.wav", dtype="float64")
        assert rate == SpokenDigits.sample_rate
        levels.append(mu_law.encode(samples))
    values = scored_values(digits["test"])
    first, last = np.concatenate(levels[:3]), np.concatenate(levels[3:])
    np.testing.assert_array_equal(values[: len(first)], first)
    np.testing.assert_array_equal(values[-len(last) :], last)


def test_a_changed_recording_is_refused(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "data" / FOLDER
    shutil.copytree(data_dir / FOLDER, copy)
    copy.chmod(0o755)
    file = copy / "7_theo_12.wav"
    file.chmod(0o644)
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    monkeypatch.setenv("ARBENCH_DATA", str(tmp_path / "data"))
    with pytest.raises(DataError, match=r"3,000 recordings have the manifest sha256 [0-9a-f]{64}"):
        SpokenDigits().load("test")
    file.unlink()
    with pytest.raises(DataError, match="2,999 recordings"):
        SpokenDigits().load("test")


def test_a_dataset_of_spoken_digits_reads_every_recording_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether they lie in a folder or in the archive; hash and events are of one reading."""
    names = [f"{digit}_theo_{index}.wav" for digit in (0, 7) for index in (1, 6, 11, 12)]
    contents = {name: wav(tone(3000, seed), 8000) for seed, name in enumerate(names)}
    digest = manifest_sha256(contents)
    monkeypatch.setattr(spoken_digits, "MANIFEST_SHA256", digest)
    folder = tmp_path / "data" / FOLDER
    folder.mkdir(parents=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    monkeypatch.setenv("ARBENCH_DATA", str(tmp_path / "data"))
    reads: list[str] = []
    read_bytes, read_members = Path.read_bytes, spoken_digits.read_members

    def counted(file: Path) -> bytes:
        reads.append(file.name)
        return read_bytes(file)

    def members(archive: Path, pattern: re.Pattern[str]) -> Iterator[tuple[str, bytes]]:
        for name, content in read_members(archive, pattern):
            reads.append(name)
            yield name, content

    monkeypatch.setattr(Path, "read_bytes", counted)
    monkeypatch.setattr(spoken_digits, "read_members", members)
    hashes = set()
    for place in ("folder", "archive"):
        if place == "archive":
            archive = tmp_path / "data" / spoken_digits.ARCHIVE.path
            with tarfile.open(archive, "w:gz") as packed:
                packed.add(folder, "free-spoken-digit-dataset-1.0.10/recordings")
            shutil.rmtree(folder)
        reads.clear()
        dataset = Dataset(SpokenDigits())
        hashes.add(dataset.sha256)
        assert [len(dataset.split(name)) for name in SPLITS] == [8, 4, 4]
        assert sorted(reads) == sorted(names), place
    assert len(hashes) == 1


def test_the_manifest_is_what_sha256sum_prints() -> None:
    contents = {"b.wav": b"two", "a.wav": b"one"}
    lines = "".join(f"{hashlib.sha256(contents[n]).hexdigest()}  {n}\n" for n in ("a.wav", "b.wav"))
    assert manifest_sha256(contents) == hashlib.sha256(lines.encode()).hexdigest()


# Archives, from a real server


def pack(path: Path, contents: dict[str, bytes], extra: tuple[tarfile.TarInfo, ...] = ()) -> str:
    """A tar.gz of files and hand-made members; its sha256."""
    with tarfile.open(path, "w:gz") as tar:
        for member in extra:
            tar.addfile(member, io.BytesIO(b"x" * member.size))
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return hashlib.sha256(path.read_bytes()).hexdigest()


CLIPS = {
    "zero/0a_nohash_0.wav": 16_000,
    "one/0b_nohash_0.wav": 11_000,
    "nine/0c_nohash_1.wav": 16_000,
    "four/0d_nohash_0.wav": 5,
    "six/0e_nohash_0.wav": 15_999,
}
COMMANDS = {
    "./validation_list.txt": b"one/0b_nohash_0.wav\nbed/0b_nohash_0.wav\n",
    "./testing_list.txt": b"nine/0c_nohash_1.wav\n",
    **{f"./{name}": wav(tone(n, seed=i)) for i, (name, n) in enumerate(CLIPS.items())},
    "./bed/0b_nohash_0.wav": wav(tone(9, seed=9)),
    "./_background_noise_/pink_noise.wav": wav(tone(99, seed=8)),
}


def commands(
    tmp_path: Path,
    server: str,
    contents: dict[str, bytes],
    extra: tuple[tarfile.TarInfo, ...] = (),
) -> SpeechCommandDigits:
    """The task, with a small archive on our own server in place of the published one."""
    sha256 = pack(tmp_path / "served" / "commands.tar.gz", contents, extra)
    task = SpeechCommandDigits()
    url = f"{server}/commands.tar.gz"
    task.files = (SourceFile(path="commands.tar.gz", urls=(url,), sha256=sha256),)
    return task


@pytest.fixture
def no_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ARBENCH_DATA", raising=False)


@pytest.mark.usefixtures("no_data")
def test_speech_commands_are_split_by_the_lists(tmp_path: Path, server: str) -> None:
    task = commands(tmp_path, server, COMMANDS)
    splits = {split: task.load(split) for split in SPLITS}
    assert [len(splits[split]) for split in SPLITS] == [3, 1, 1]
    for split, names in (
        ("train", ["four/0d_nohash_0.wav", "six/0e_nohash_0.wav", "zero/0a_nohash_0.wav"]),
        ("validation", ["one/0b_nohash_0.wav"]),
        ("test", ["nine/0c_nohash_1.wav"]),
    ):
        task.spec.validate(splits[split].events)  # type: ignore[index]
        values = scored_values(splits[split])  # type: ignore[index]
        assert len(values) == sum(CLIPS[name] for name in names)
        expected = []
        for name in names:
            clip = tone(CLIPS[name], seed=list(CLIPS).index(name)) / 2**15
            low, high = clip.min(), clip.max()
            expected.append(mu_law.encode(2 * (clip - low) / (high - low + 1e-6) - 1))
        np.testing.assert_array_equal(values, np.concatenate(expected))


@pytest.mark.usefixtures("no_data")
def test_clips_of_one_speaker_are_one_group(tmp_path: Path, server: str) -> None:
    more = {
        f"./{name}": wav(tone(50, 0)) for name in ("two/0e_nohash_0.wav", "one/0a_nohash_3.wav")
    }
    task = commands(tmp_path, server, COMMANDS | more)
    # four/0d, one/0a, six/0e, two/0e, zero/0a
    groups = task.load("train").groups
    assert groups is not None
    assert groups.tolist() == [1, 0, 2, 2, 0]
    assert SpeechCommandDigits.group == "speaker"


@pytest.mark.usefixtures("no_data")
def test_clips_are_worked_out_once_and_kept(tmp_path: Path, server: str) -> None:
    task = commands(tmp_path, server, COMMANDS)
    first = task.load("train")
    (tmp_path / "cache" / "commands.tar.gz").unlink()
    (tmp_path / "served" / "commands.tar.gz").unlink()
    again = task.load("train")
    assert torch.equal(first.events, again.events)
    assert {f.name for f in (tmp_path / "cache").iterdir()} == {"sc09-1-speakers.npz"}


def _link(name: str, target: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, target
    return member


def _outside(name: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size = 4
    return member


@pytest.mark.usefixtures("no_data")
def test_nothing_of_an_archive_is_unpacked(tmp_path: Path, server: str) -> None:
    """Names that lead outside, links and devices are passed over, and change nothing."""
    device = tarfile.TarInfo("./zero/0f_nohash_0.wav")
    device.type = tarfile.CHRTYPE
    hostile = (
        _outside("../escaped.wav"),
        _outside(str(tmp_path / "absolute.wav")),
        _outside("./zero/../../0f_nohash_0.wav"),
        _link("./zero/0f_nohash_1.wav", "/etc/passwd"),
        device,
    )
    before = set(tmp_path.rglob("*"))
    assert len(commands(tmp_path, server, COMMANDS, hostile).load("train")) == 3
    new = {str(p.relative_to(tmp_path)) for p in set(tmp_path.rglob("*")) - before}
    cache = {"cache", "cache/commands.tar.gz", "cache/sc09-1-speakers.npz"}
    assert new == cache | {"served/commands.tar.gz"}


@pytest.mark.usefixtures("no_data")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"./testing_list.txt": None}, "holds no testing_list.txt"),
        ({"./testing_list.txt": b"bed/0b_nohash_0.wav\n"}, "holds no test clips"),
        ({"./zero/0a_nohash_0.wav": wav(tone(16_001, 0))}, "16,001 samples at 16,000 Hz"),
        ({"./zero/0a_nohash_0.wav": wav(tone(99, 0), 8000)}, "99 samples at 8,000 Hz"),
        ({"./zero/0a_nohash_0.wav": b"no sound"}, "zero/0a_nohash_0.wav: expected a wav"),
        ({"./zero/0a_nohash_0.wav": bytes(1 << 23)}, "8,388,608 bytes"),
        ({"zero/0a_nohash_0.wav": wav(tone(9, 0))}, "zero/0a_nohash_0.wav twice"),
    ],
)
def test_an_archive_of_something_else_is_refused(
    changes: dict[str, bytes | None], message: str, tmp_path: Path, server: str
) -> None:
    contents = {n: c for n, c in {**COMMANDS, **changes}.items() if c is not None}
    with pytest.raises(DataError) as caught:
        commands(tmp_path, server, contents).load("train")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "cache" / "sc09-1-speakers.npz").exists()


@pytest.mark.usefixtures("no_data")
def test_a_damaged_or_wrong_archive_is_refused(tmp_path: Path, server: str) -> None:
    task = commands(tmp_path, server, COMMANDS)
    archive = tmp_path / "served" / "commands.tar.gz"
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="sha256"):
        task.load("train")
    half = hashlib.sha256(archive.read_bytes()).hexdigest()
    task.files = (SourceFile(path="commands.tar.gz", urls=task.files[0].urls, sha256=half),)
    with pytest.raises(DataError, match=r"expected a tar archive"):
        task.load("train")


@pytest.mark.usefixtures("no_data")
def test_spoken_digits_come_out_of_the_release_archive(
    tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"{d}_{who}_{i}.wav" for d in (0, 9) for who in ("ann", "bob") for i in (0, 7, 10)]
    sounds = {name: wav(tone(2000 + 30 * i, i), 8000) for i, name in enumerate(names)}
    root = "free-spoken-digit-dataset-1.0.10"
    pack(
        tmp_path / "served" / "digits.tar.gz",
        {f"{root}/recordings/{name}": content for name, content in reversed(sounds.items())}
        | {f"{root}/README.md": b"hello", f"{root}/recordings/notes.txt": b"no sound"},
    )
    archive = SourceFile(path="digits.tar.gz", urls=(f"{server}/digits.tar.gz",), sha256=None)
    monkeypatch.setattr(spoken_digits, "ARCHIVE", archive)
    with pytest.raises(DataError, match=r"digits\.tar\.gz: its 12 recordings have the manifest"):
        SpokenDigits().load("train")
    monkeypatch.setattr(spoken_digits, "MANIFEST_SHA256", manifest_sha256(sounds))
    task = SpokenDigits()
    assert task.files == (archive,)
    splits = {split: task.load(split) for split in SPLITS}
    for split, index in (("test", 0), ("validation", 7), ("train", 10)):
        chosen = [i for i, name in enumerate(names) if name.endswith(f"_{index}.wav")]
        expected = [mu_law.encode(tone(2000 + 30 * i, i) / 2**15) for i in chosen]
        values = scored_values(splits[split])  # type: ignore[index]
        np.testing.assert_array_equal(values, np.concatenate(expected))
        windows = [int(names[i][0]) for i in chosen for _ in range(-(-(2000 + 30 * i) // 2048))]
        assert task.load_labels(split).values.tolist() == windows  # type: ignore[arg-type]


@pytest.mark.usefixtures("no_data")
def test_without_data_and_network_one_line_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = SourceFile(path="digits.tar.gz", urls=("http://127.0.0.1:9/x",), sha256=None)
    monkeypatch.setattr(spoken_digits, "ARCHIVE", nobody)
    with pytest.raises(NetworkError, match="put digits.tar.gz into a folder"):
        SpokenDigits().load("train")


def test_soundfile_is_imported_only_when_audio_is_read() -> None:
    code = (
        "import sys, arbench_files.audio, arbench_audio.speech_commands, arbench_audio."
        "spoken_digits; sys.exit('soundfile' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
