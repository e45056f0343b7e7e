"""Splits larger than memory are mapped, and nothing on their way to a number copies them whole."""

from __future__ import annotations

import hashlib
import io
import mmap
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from arbench.data.dataset import Dataset
from arbench.data.tasks import Split, Task
from arbench.errors import DataError
from arbench.files.arrays import read_npz
from arbench.probability.events import Discrete, EventSpec

SIDE = 28
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux says what memory is whose")


class Holes(io.FileIO):
    """A file in which zeros take no room."""

    def write(self, data: object) -> int:  # type: ignore[override]
        content = bytes(data)  # type: ignore[call-overload]
        if len(content) >= 4096 and content.count(0) == len(content):
            self.seek(len(content), io.SEEK_CUR)
            return len(content)
        return super().write(content)


def write_images(path: Path, num_train: int) -> None:
    """An archive of black train images, and of others to validate and to test on."""
    few = (np.random.default_rng(0).random((200, SIDE, SIDE)) < 0.3).astype(np.uint8)
    with Holes(path, "w+") as file, zipfile.ZipFile(file, "w") as archive:
        for name, rows in (("train", num_train), ("validation", 200), ("test", 200)):
            header = {"descr": "|u1", "fortran_order": False, "shape": (rows, SIDE, SIDE)}
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array_header_2_0(member, header)
                left = rows * SIDE * SIDE
                while name == "train" and left:
                    left -= member.write(bytes(min(left, 1 << 22)))
                if name != "train":
                    member.write(few.tobytes())


def own_memory(process: int | str = "self") -> int:
    """Bytes that a process holds and no file does."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) << 10
    return 0


def peak_of(action: Callable[[], object]) -> int:
    """How many bytes this process holds more, at most, while something is done."""
    before, most, done = own_memory(), 0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not done.wait(0.001):
            most = max(most, own_memory())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        action()
    finally:
        done.set()
        watcher.join()
    return most - before


@LINUX
def test_a_mapped_split_is_read_and_never_copied(tmp_path: Path) -> None:
    """78 MB of images take less than 30: hashed, checked, counted, shuffled, and some evaluated.

    The whole size, 4 GB, is too slow for every day; see the next test.
    """
    file = tmp_path / "black.npz"
    write_images(file, 100_000)
    assert file.stat().st_blocks < 10_000  # of 512 bytes
    torch.zeros(1 << 20).sum()  # what torch itself needs is there before

    def read_all() -> None:
        from arbench.data.repeats import describe_own
        from arbench.training.batches import TrainingBatches

        dataset = Dataset(f"images:{file}")
        assert len(dataset.sha256) == 64
        train = dataset.split("train")
        assert describe_own(dataset)[1].startswith("repeats within a split 99,999 of train")
        assert train.num_scored_dims == 100_000 * SIDE * SIDE
        batches = TrainingBatches(
            dataset.task, train, batch_size=100, seed=0, device=torch.device("cpu")
        )
        assert batches.batch(3).events.shape == (100, 1, SIDE, SIDE)

    assert peak_of(read_all) < 30 << 20


@LINUX
@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_split_of_4_gb_trains_in_little_memory(tmp_path: Path) -> None:
    file = tmp_path / "black.npz"
    write_images(file, 5_480_000)
    settings = ["--set", "hidden=16", "--set", "batch_size=1000", "--budget", "2s"]
    settings += ["--set", "alternative=dropout"]
    command = ["run", "--task", f"images:{file}", "--model", "made", *settings]
    run = subprocess.Popen(
        [sys.executable, "-m", "arbench", *command, "--out", str(tmp_path / "run")],
        stdout=subprocess.DEVNULL,
    )
    most = 0
    while run.poll() is None:
        most = max(most, own_memory(run.pid))
        time.sleep(0.02)
    assert run.returncode == 0
    assert 0 < most < 1.5e9


def test_a_large_array_that_is_not_compressed_is_the_one_that_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("arbench.files.arrays._LEAST_MAPPED", 1 << 10)
    file = tmp_path / "some.npz"
    generator = np.random.default_rng(0)
    arrays = {
        "bytes": generator.integers(0, 255, (700, 300), dtype=np.uint8),
        "columns": np.asfortranarray(generator.integers(0, 255, (700, 300), dtype=np.uint8)),
        "numbers": generator.normal(size=(50, 40)),
        "few": np.arange(3),
    }
    np.savez(file, **arrays)
    before = file.read_bytes()
    found = read_npz(file)
    assert isinstance(found["bytes"].base, mmap.mmap)  # it is where the file is
    for name, array in arrays.items():
        assert np.array_equal(found[name], array), name
        assert found[name].dtype == array.dtype
    found["bytes"][:] = 0  # somebody's own copy
    assert file.read_bytes() == before
    damaged = bytearray(before)
    damaged[before.index(arrays["bytes"].tobytes()) + 100_000] ^= 1
    file.write_bytes(damaged)
    with pytest.raises(DataError, match="damaged at 'bytes'"):
        read_npz(file)


class Striped(Task):
    """Events that lie in memory in another order than their own."""

    name, version, spec = "striped", "1", EventSpec((3, 40, 50), Discrete(256))

    def load(self, split: str) -> Split:
        values = torch.arange(7 * 3 * 40 * 50).mul(31).remainder(256).to(torch.uint8)
        return Split(values.view(7, 40, 50, 3).permute(0, 3, 1, 2))


def test_a_hash_of_parts_is_that_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("arbench.data.dataset._HASHED_AT_ONCE", 2 * 3 * 40 * 50)
    expected = hashlib.sha256()
    for name in ("train", "validation", "test"):
        events = Striped().load(name).events
        expected.update(f"{name} torch.uint8 (7, 3, 40, 50)".encode())
        expected.update(events.contiguous().numpy().tobytes())
    assert Dataset(Striped()).sha256 == expected.hexdigest()


def test_a_value_is_refused_wherever_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """In each part that is checked at once, with the event's own number."""
    monkeypatch.setattr("arbench.probability.events._CHECKED_AT_ONCE", 8)
    spec = EventSpec((4,), Discrete(3))
    for event in (0, 1, 2, 5, 6):
        events = torch.zeros(7, 4, dtype=torch.uint8)
        spec.validate(events)
        events[event, 3] = 3
        events[6, 3] = 4
        found = 4 if event == 6 else 3
        with pytest.raises(ValueError, match=f"event {event}, dim 3: found {found}, expected"):
            spec.validate(events)
