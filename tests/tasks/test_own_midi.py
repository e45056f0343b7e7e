"""Music of one's own: every step kept, files divided whole, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import arbench
from arbench.data.dataset import Dataset
from arbench.data.formats.midi import read_midi, write_midi
from arbench.data.rendering import MusicRendering
from arbench.data.tasks import SPLITS, open_task
from arbench.errors import ConfigError, DataError
from arbench.testing.tasks import TASK_CHECKS, TaskSubject
from arbench_files.midi import MidiTask


def piece(number: int, num_steps: int = 0) -> np.ndarray:
    """Of 5 to 12 steps unless stated, and another one for every number."""
    rng = np.random.default_rng(number)
    keys = rng.random((num_steps or 5 + number % 8, 88)) < 0.05
    keys[-1, number % 88] = True  # so that it does not end in silence
    return keys


def folder_of(folder: Path, numbers: list[int], steps_per_beat: int = 4) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for index, number in enumerate(numbers):
        content = write_midi(piece(number), steps_per_beat=steps_per_beat)
        (folder / f"{index:02}.mid").write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty pieces, the last of which are copies of one another."""
    return folder_of(tmp_path_factory.mktemp("own") / "songs", [*range(18), 40, 40])


def test_own_pieces_keep_every_step_and_stay_whole(songs: Path) -> None:
    task = open_task(f"midi:{songs}")
    assert isinstance(task, MidiTask)
    assert task.name.startswith("midi-")
    assert (task.source, task.unit, task.group) == ("songs", "key", "distinct file")
    assert task.rendering == MusicRendering(steps_per_beat=4)
    assert not task.public
    found = {
        piece.numpy().tobytes(): split for split in SPLITS for piece in task.load_pieces(split)
    }
    assert set(found) == {piece(n).astype(np.uint8).tobytes() for n in [*range(18), 40]}
    counts = [len(task.load_pieces(split)) for split in SPLITS]
    assert sum(counts) == 20
    assert min(counts) >= 1


@pytest.mark.parametrize("check", ["spec", "splits_disjoint", "deterministic", "padding_last"])
def test_it_keeps_the_promises_of_a_task(songs: Path, check: str) -> None:
    TASK_CHECKS[check](TaskSubject(lambda: MidiTask(str(songs))))


@pytest.mark.parametrize("check", ["training_view", "groups"])
def test_pieces_of_a_few_steps_keep_them_too(tmp_path: Path, check: str) -> None:
    """The windows of the checks are shorter still, so that training cuts them at random."""
    for split, numbers in zip(SPLITS, (range(6), (6, 7), (8, 9)), strict=True):
        folder_of(tmp_path / split, [*numbers])
    TASK_CHECKS[check](TaskSubject(lambda: MidiTask(str(tmp_path))))


def test_the_windows_of_all_copies_are_one_group(songs: Path) -> None:
    copy = torch.from_numpy(piece(40).astype(np.uint8))
    task = MidiTask(str(songs))
    (split,) = (s for s in SPLITS if any(torch.equal(copy, p) for p in task.load_pieces(s)))
    dataset = Dataset(task, context=3, stride=3)
    events = dataset.split(split)
    groups = events.groups
    assert groups is not None
    starts = (events.events[:, 0] == copy[:3]).flatten(1).all(1)
    assert int(starts.sum()) == 2
    assert len(groups[starts].unique()) == 1
    assert (groups == groups[starts][0]).sum() == 2 * -(-len(copy) // 3)
    alone = Dataset(MidiTask(f"{songs}?split=rows"), context=3, stride=3)
    assert alone.task.group == "file"
    for name in SPLITS:
        pieces = MidiTask(f"{songs}?split=rows").load_pieces(name)
        assert alone.split(name).num_groups == len(pieces)


def test_own_pieces_are_named_and_divided_by_content(songs: Path, tmp_path: Path) -> None:
    other = folder_of(tmp_path / "b" / "x", [40, 40, *reversed(range(18))])
    assert MidiTask(str(songs)).name != MidiTask(str(tmp_path / "b") + "?split=rows").name
    for split in SPLITS:
        ours = MidiTask(str(songs)).load_pieces(split)
        theirs = MidiTask(str(other)).load_pieces(split)
        assert {p.numpy().tobytes() for p in ours} == {p.numpy().tobytes() for p in theirs}


def test_stated_splits_are_kept(tmp_path: Path) -> None:
    for split, numbers in zip(SPLITS, ([1, 2, 3], [4], [5, 6]), strict=True):
        folder_of(tmp_path / split, numbers)
    task = MidiTask(str(tmp_path))
    assert task.division is None
    test = task.load_pieces("test")
    assert [p.numpy().tolist() for p in test] == [piece(n).astype(int).tolist() for n in (5, 6)]


def test_steps_of_a_quarter_note_are_chosen(tmp_path: Path) -> None:
    folder_of(tmp_path, list(range(10)), steps_per_beat=2)
    task = MidiTask(f"{tmp_path}?steps=2?split=rows")
    assert task.rendering == MusicRendering(steps_per_beat=2)
    assert task.longest == max(len(piece(n)) for n in range(10))
    assert MidiTask(f"{tmp_path}?steps=6").longest == 3 * task.longest
    for steps in ("0", "65", "four", ""):
        with pytest.raises(ConfigError, match=rf"\?steps={steps} is no number of steps"):
            MidiTask(f"{tmp_path}?steps={steps}")


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("a.wav", b"", "found the extension '.wav', expected MIDI files only (.mid .midi)"),
        ("a.mid", b"RIFF", "a.mid: expected a MIDI file, found something else"),
        ("a.midi", write_midi(piece(3), steps_per_beat=4)[:-9], "a.midi: the MIDI file ends"),
        (".a", b"", "1 to divide, 1 of them different, leave nothing for the train split"),
    ],
)
def test_bad_folder_of_music(file: str, content: bytes, message: str, tmp_path: Path) -> None:
    folder_of(tmp_path, [1])
    (tmp_path / file).write_bytes(content)
    with pytest.raises(DataError) as caught:
        MidiTask(str(tmp_path))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found no such folder"):
        MidiTask(str(tmp_path / "none"))


def test_a_run_on_own_music_is_verified_and_writes_midi(songs: Path, tmp_path: Path) -> None:
    settings = {"stream.context": 4, "stream.stride": 2}
    task = f"midi:{songs}"
    run = arbench.run(task, "bernoulli", settings=settings, device="cpu", out=tmp_path / "run")
    # The run's configuration holds how the files were divided; so does what is seen of them.
    own = MidiTask(str(songs))
    assert own.windows(4, 2).division == own.division is not None
    assert arbench.verify(tmp_path / "run", task=task).holds
    written = read_midi((tmp_path / "run" / "samples.mid").read_bytes(), "x", steps_per_beat=4)
    assert written.any()
    assert run.record.task.groups == "distinct file"
