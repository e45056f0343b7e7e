"""CIFAR-10 and ImageNet 32x32 from small archives of the published form; grey MNIST."""

from __future__ import annotations

import dataclasses
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from arbench.boards.published import published_results
from arbench.data.sources import SourceFile
from arbench.data.tasks import SPLITS
from arbench.errors import DataError, NetworkError
from arbench.files.atomic import sha256_of
from arbench_cifar.cifar10 import ARCHIVE, Cifar10
from arbench_cifar.prefix import Cifar10Prefix
from arbench_imagenet.imagenet32 import TEST, TRAIN, ImageNet32
from arbench_mnist.gray import GrayMNIST
from arbench_mnist.raw import TEST_IMAGES, TRAIN_IMAGES, grey_levels

Bytes = NDArray[np.uint8]


def pixels(seed: int, count: int) -> Bytes:
    return np.random.default_rng(seed).integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)


def write_tar(path: Path, members: Mapping[str, bytes], mode: str = "w:gz") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def batch(images: Bytes) -> bytes:
    """Rows of a class and three planes, as CIFAR-10's binary version has them."""
    return b"".join(bytes([7]) + image.tobytes() for image in images)


def png(image: Bytes) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image.transpose(1, 2, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def offer(source: SourceFile, path: Path, server: str) -> SourceFile:
    """The source with the address and hash of a stand-in."""
    return dataclasses.replace(
        source, urls=(f"{server}/{path.name}",), sha256=sha256_of(path), size=None
    )


@pytest.fixture(autouse=True)
def _own_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setenv("ARBENCH_CACHE", str(tmp_path / "cache"))
    if "data_dir" not in request.fixturenames:
        monkeypatch.delenv("ARBENCH_DATA", raising=False)


class TestCifar10:
    def test_batches_are_read_in_order_and_planes_are_channels(
        self, tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        train = [pixels(i, 4) for i in range(5)]
        test = pixels(9, 4)
        folder = "cifar-10-batches-bin/"
        members = {f"{folder}data_batch_{i + 1}.bin": batch(train[i]) for i in reversed(range(5))}
        members |= {f"{folder}test_batch.bin": batch(test), f"{folder}readme.html": b"hello"}
        archive = tmp_path / "served" / ARCHIVE.path
        write_tar(archive, members)
        monkeypatch.setattr(Cifar10, "files", (offer(ARCHIVE, archive, server),))
        task = Cifar10()
        splits = {split: task.load(split) for split in SPLITS}
        for split in splits.values():
            assert split.events.dtype == torch.uint8
            task.spec.validate(split.events)
        joined = torch.cat([splits["train"].events, splits["validation"].events])
        assert torch.equal(joined, torch.from_numpy(np.concatenate(train)))
        assert (len(splits["train"]), len(splits["validation"])) == (18, 2)  # nine to one
        assert torch.equal(splits["test"].events, torch.from_numpy(test))

    def test_another_archive_is_refused(
        self, tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        archive = tmp_path / "served" / ARCHIVE.path
        write_tar(archive, {"cifar-10-batches-bin/data_batch_1.bin": batch(pixels(0, 2))})
        monkeypatch.setattr(Cifar10, "files", (offer(ARCHIVE, archive, server),))
        with pytest.raises(DataError, match="found 1 batches for train, expected 5"):
            Cifar10().load("train")
        # The right form, but not the published file.
        changed = dataclasses.replace(ARCHIVE, urls=(f"{server}/{ARCHIVE.path}",))
        monkeypatch.setattr(Cifar10, "files", (changed,))
        monkeypatch.setenv("ARBENCH_CACHE", str(tmp_path / "other"))
        with pytest.raises(DataError, match="sha256"):
            Cifar10().load("train")


class TestCifar10Prefix:
    def test_train_and_validation_are_the_five_batches_and_test_the_sixth(
        self, data_dir: Path
    ) -> None:
        splits = {split: Cifar10Prefix().load(split).events for split in SPLITS}
        assert [len(splits[split]) for split in SPLITS] == [4576, 509, 1017]
        stored = np.load(data_dir / "cifar10_prefix.npz")
        batches = torch.from_numpy(np.stack([stored[f"data_batch_{i + 1}_x"] for i in range(5)]))
        assert torch.equal(
            torch.cat([splits["train"], splits["validation"]]), batches.flatten(0, 1)
        )
        assert torch.equal(splits["test"], torch.from_numpy(stored["test_batch_x"]))

    def test_it_is_another_task_than_cifar10_and_no_paper_reports_it(self) -> None:
        assert Cifar10Prefix.name != Cifar10.name
        assert Cifar10Prefix.files != Cifar10.files
        assert published_results(Cifar10.name)
        assert not published_results(Cifar10Prefix.name)

    def test_another_archive_is_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ARBENCH_DATA", str(tmp_path))
        np.savez(tmp_path / "cifar10_prefix.npz", test_batch_x=pixels(0, 3))
        with pytest.raises(DataError, match="sha256"):
            Cifar10Prefix().load("test")


class TestImageNet32:
    def test_pictures_are_ordered_by_name_and_decoded_once(
        self, tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        train, test = pixels(1, 6), pixels(2, 3)
        served = tmp_path / "served"
        names = [f"./train_32x32/{i:07d}.png" for i in range(6)]
        shuffled = [3, 0, 5, 1, 4, 2]
        write_tar(served / "train_32x32.tar", {names[i]: png(train[i]) for i in shuffled}, "w")
        members = {f"valid_32x32/{i}.png": png(image) for i, image in enumerate(test)}
        write_tar(served / "valid_32x32.tar", members, "w")
        files = (
            offer(TRAIN, served / "train_32x32.tar", server),
            offer(TEST, served / "valid_32x32.tar", server),
        )
        monkeypatch.setattr(ImageNet32, "files", files)
        first = {split: ImageNet32().load(split).events for split in SPLITS}
        assert torch.equal(
            torch.cat([first["train"], first["validation"]]), torch.from_numpy(train)
        )
        assert torch.equal(first["test"], torch.from_numpy(test))
        for file in served.iterdir():
            file.unlink()
        for tar in (tmp_path / "cache" / "imagenet32").glob("*.tar"):
            tar.unlink()
        assert all(torch.equal(ImageNet32().load(s).events, first[s]) for s in SPLITS)
        (kept,) = (tmp_path / "cache" / "imagenet32").glob("valid*.npz")
        whole = kept.read_bytes()
        for damaged in (whole[: len(whole) // 2], whole[:2000] + b"\1\2" + whole[2002:], b""):
            kept.write_bytes(damaged)
            with pytest.raises(DataError, match=r"valid_32x32.*npz"):
                ImageNet32().load("test")

    def test_who_has_no_files_is_told_where_they_are(
        self, server: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        gone = dataclasses.replace(TEST, urls=(f"{server}/gone.tar",))
        monkeypatch.setattr(ImageNet32, "files", (TRAIN, gone))
        with pytest.raises(NetworkError, match=r"404.*image-net\.org/download.*not the npz"):
            ImageNet32().load("test")

    def test_other_pictures_are_refused(
        self, tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        archive = tmp_path / "served" / "valid_32x32.tar"
        write_tar(archive, {"valid_32x32/a.png": png(pixels(3, 1)[0][:, :16])}, "w")
        monkeypatch.setattr(ImageNet32, "files", (TRAIN, offer(TEST, archive, server)))
        with pytest.raises(DataError, match=r"a\.png is \(32, 16\), expected 32x32"):
            ImageNet32().load("test")


def test_grey_digits_are_the_raw_files(data_dir: Path) -> None:
    task = GrayMNIST()
    raw = torch.from_numpy(grey_levels(TRAIN_IMAGES)).view(-1, 1, 28, 28)
    assert torch.equal(task.load("train").events, raw[:50_000])
    assert torch.equal(task.load("validation").events, raw[50_000:])
    test = task.load("test").events
    assert torch.equal(test.flatten(1), torch.from_numpy(grey_levels(TEST_IMAGES)))
    assert task.spec.domain.size == 256  # type: ignore[union-attr]
    assert 0.1 < (test > 127).float().mean() < 0.15
