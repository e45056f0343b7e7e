"""Labels: as many of each digit as there should be, each beside its picture or sound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from arbench.data.dataset import Dataset
from arbench.data.formats import mu_law
from arbench.data.tasks import SPLITS, SplitName, Task
from arbench.errors import DataError
from arbench_audio.spoken_digits import FOLDER, SpokenDigits
from arbench_mnist import mini
from arbench_mnist.gray import GrayMNIST
from arbench_mnist.mini import MiniMNIST
from arbench_mnist.resampled import MNIST
from arbench_mnist.static import StaticMNIST

TASKS = {"mnist": MNIST, "mnist-static": StaticMNIST, "mnist-gray": GrayMNIST}
DIGITS = tuple("0123456789")
# Of the raw files, as often published: 60,000 and 10,000.
TRAIN_COUNTS = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
TEST_COUNTS = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARBENCH_CACHE", str(cache))


@pytest.fixture(scope="module")
def drawing(raw: dict[str, tuple[Tensor, Tensor]]) -> dict[str, tuple[Tensor, Tensor]]:
    """Of each raw digit: log-odds `(N, 784)` of its bits, and log-probability `(N,)` of no ink."""
    p = (torch.arange(256) / 255).clamp(1e-6, 1 - 1e-6)
    odds, none = p.log() - (-p).log1p(), (-p).log1p()
    rows = {part: grey.int() for part, (grey, _) in raw.items()}
    return {part: (odds[grey], none[grey].sum(1)) for part, grey in rows.items()}


@pytest.fixture(scope="module")
def raw(data_dir: Path) -> dict[str, tuple[Tensor, Tensor]]:
    """The raw digits `(N, 784)` and their classes `(N,)`, read here."""

    def read(name: str) -> tuple[Tensor, Tensor]:
        place = data_dir / "MNIST/raw"
        images = np.fromfile(place / f"{name}-images-idx3-ubyte", np.uint8)[16:]
        classes = np.fromfile(place / f"{name}-labels-idx1-ubyte", np.uint8)[8:]
        return torch.from_numpy(images).view(-1, 784), torch.from_numpy(classes).long()

    return {"train": read("train"), "test": read("t10k")}


def nearest_mean_accuracy(train: Tensor, classes: Tensor, test: Tensor, wanted: Tensor) -> float:
    """How often an event `(N, D)` is nearest to the mean train event of its own class."""
    means = torch.stack([train[classes == each].mean(0) for each in classes.unique()])
    return float((torch.cdist(test, means).argmin(1) == wanted).double().mean())


def flat(task: Task, split: SplitName) -> Tensor:
    """The pictures `(N, 784)`, 0 to 1; those of mnist's train split are grey."""
    events = task.load(split).events.flatten(1)
    return events / events.max()


@pytest.mark.parametrize("name", TASKS)
def test_there_are_as_many_of_each_digit_as_in_the_raw_files(data_dir: Path, name: str) -> None:
    labels = {split: TASKS[name]().load_labels(split) for split in SPLITS}
    counts = {split: labels[split].values.bincount() for split in SPLITS}
    assert {each.names for each in labels.values()} == {DIGITS}
    assert (counts["train"] + counts["validation"]).tolist() == TRAIN_COUNTS
    assert counts["test"].tolist() == TEST_COUNTS
    assert len(Dataset(TASKS[name](), limit=9).labels("train")) == 9


@pytest.mark.parametrize("name", [*TASKS, "mnist-mini"])
def test_a_digit_is_mostly_nearest_to_the_mean_of_its_own(data_dir: Path, name: str) -> None:
    task = {**TASKS, "mnist-mini": MiniMNIST}[name]()
    train, classes = flat(task, "train")[::5], task.load_labels("train").values[::5]
    for split in SPLITS:
        events, labels = flat(task, split)[::5], task.load_labels(split).values[::5]
        assert nearest_mean_accuracy(train, classes, events, labels) > 0.75
        others = labels[torch.randperm(len(labels))]
        assert nearest_mean_accuracy(train, classes, events, others) < 0.15


@pytest.mark.parametrize("name", ["mnist", "mnist-static", "mnist-mini"])
def test_the_raw_digit_that_bits_were_drawn_from_has_their_label(
    raw: dict[str, tuple[Tensor, Tensor]], drawing: dict[str, tuple[Tensor, Tensor]], name: str
) -> None:
    """It is the raw digit of which they are the likeliest draw."""
    task = {**TASKS, "mnist-mini": MiniMNIST}[name]()
    for split in SPLITS:
        if name == "mnist" and split == "train":
            continue  # grey levels; see the next test
        part = "test" if split == "test" and name != "mnist-mini" else "train"
        chosen = torch.linspace(0, len(task.load(split)) - 1, 40).long()
        bits = flat(task, split)[chosen]
        odds, none = drawing[part]
        row = (bits @ odds.T + none).argmax(1)
        assert torch.equal(task.load_labels(split).values[chosen], raw[part][1][row])


@pytest.mark.parametrize("task", [MNIST(), GrayMNIST()], ids=["mnist", "mnist-gray"])
def test_grey_digits_are_the_raw_ones_with_their_labels(
    raw: dict[str, tuple[Tensor, Tensor]], task: Task
) -> None:
    for split, of in (("train", raw["train"]), ("validation", raw["train"]), ("test", raw["test"])):
        if task.name == "mnist" and split != "train":
            continue
        rows = slice(0, 50_000) if split == "train" else slice(-10_000, None)
        assert torch.equal(task.load(split).events.flatten(1), of[0][rows])  # type: ignore[arg-type]
        assert torch.equal(task.load_labels(split).values, of[1][rows])  # type: ignore[arg-type]


def test_the_labels_of_mini_ship_with_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ARBENCH_DATA", raising=False)
    monkeypatch.setenv("ARBENCH_CACHE", str(tmp_path / "cache"))
    for split, each in zip(SPLITS, (350, 50, 100), strict=True):
        labels = MiniMNIST().load_labels(split)
        assert labels.names == DIGITS
        assert labels.values.bincount().tolist() == [each] * 10
    assert not (tmp_path / "cache").exists()
    damaged = bytearray((mini.FOLDER / mini.LABELS.path).read_bytes())
    damaged[0] ^= 1
    (tmp_path / mini.LABELS.path).write_bytes(damaged)
    monkeypatch.setattr(mini, "FOLDER", tmp_path)
    with pytest.raises(DataError, match=str(mini.LABELS.sha256)):
        MiniMNIST().load_labels("train")


@pytest.fixture(scope="module")
def spoken(data_dir: Path) -> Dataset:
    """It is read once."""
    return Dataset(SpokenDigits())


def test_six_speakers_say_each_digit_equally_often(spoken: Dataset) -> None:
    for split, each in zip(SPLITS, (240, 30, 30), strict=True):
        labels, groups = spoken.labels(split), spoken.split(split).groups
        assert groups is not None
        assert labels.names == DIGITS
        first = torch.ones(len(groups), dtype=torch.bool)
        first[1:] = groups.diff() == 1  # windows of one recording
        assert labels.values[first].bincount().tolist() == [each] * 10
        assert torch.equal(labels.values[first][groups], labels.values)


def test_a_window_has_the_digit_of_the_file_that_it_is_cut_from(
    spoken: Dataset, data_dir: Path
) -> None:
    events, labels = spoken.split("test").events, spoken.labels("test").values
    for name in ("0_george_0", "3_lucas_2", "7_theo_4", "9_yweweler_1"):
        samples, _ = soundfile.read(data_dir / FOLDER / f"{name}.wav", dtype="float64")
        levels = torch.from_numpy(mu_law.encode(samples))
        start = levels[: min(len(levels), 2048)]
        (row,) = (events[:, : len(start)] == start).all(1).nonzero().tolist()
        assert labels[row] == int(name[0])


def test_a_sound_is_often_nearest_to_the_mean_spectrum_of_its_own_digit(spoken: Dataset) -> None:
    def spectra(split: SplitName) -> Tensor:
        """How loud 32 bands of each window are, in four quarters of it, `(N, 128)`."""
        events = spoken.split(split).events
        sound = torch.from_numpy(mu_law.decode(events.numpy())).float().view(-1, 4, 512)
        power = torch.fft.rfft(sound).abs().square()[..., 1:].unflatten(-1, (32, 8)).mean(-1)
        loud = (power + 1e-4).log().flatten(1)
        return loud - loud.mean(1, keepdim=True)

    train, classes = spectra("train"), spoken.labels("train").values
    for split in SPLITS:
        labels = spoken.labels(split).values
        assert nearest_mean_accuracy(train, classes, spectra(split), labels) > 0.25
