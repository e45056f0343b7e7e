"""The user's own data: how it is divided and named, and what a bad file is answered with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from arbench.data.tasks import SPLITS
from arbench.errors import DataError
from arbench.probability.events import Discrete, EventSpec
from arbench_files.folders import files_under
from arbench_files.images import ImagesTask
from arbench_files.tables import TableTask

BITS = np.random.default_rng(0).integers(0, 2, size=(200, 7), dtype=np.uint8)
GREY = np.random.default_rng(1).integers(0, 256, size=(60, 5, 6), dtype=np.uint8)
COLOUR = np.random.default_rng(2).integers(0, 256, size=(60, 5, 6, 3), dtype=np.uint8)


def _npz(folder: Path, **parts: np.ndarray) -> str:
    path = folder / "data.npz"
    np.savez(path, **parts)
    return str(path)


def _csv(folder: Path, text: str | bytes, name: str = "data.csv") -> str:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return str(path)


def _rows(table: np.ndarray) -> str:
    return "".join(",".join(map(str, row)) + "\n" for row in table)


def _refusal(task: Callable[[str], object], path: str) -> str:
    with pytest.raises(DataError) as caught:
        task(path)
    message = str(caught.value)
    assert "\n" not in message
    assert path in message
    return message


# Tables


def test_csv_and_npz_of_the_same_rows_are_the_same_task(tmp_path: Path) -> None:
    from_csv = TableTask(_csv(tmp_path, _rows(BITS)))
    variants = [
        TableTask(_csv(tmp_path, _rows(BITS), "nltcs.train.data")),
        TableTask(_csv(tmp_path, "a,b,c,d,e,f,g\r\n" + _rows(BITS).replace("\n", "\r\n"))),
        TableTask(_csv(tmp_path, b"\xef\xbb\xbf" + _rows(BITS).replace("0,", ' "0",').encode())),
        TableTask(_npz(tmp_path, anything=BITS)),
        TableTask(_npz(tmp_path, rows=BITS.astype(np.float32), labels=np.arange(len(BITS)))),
        TableTask(_npz(tmp_path, rows=BITS.astype(bool))),
    ]
    for task in variants:
        assert task.name == from_csv.name
        for split in SPLITS:
            assert torch.equal(task.load(split).events, from_csv.load(split).events)
    assert from_csv.spec == EventSpec((7,), Discrete(2))
    assert sum(len(from_csv.load(split)) for split in SPLITS) == len(BITS)


def test_name_is_of_the_content_and_never_of_the_path(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    here = TableTask(_npz(tmp_path, train=BITS[:9], validation=BITS[9:12], test=BITS[12:]))
    there = TableTask(_npz(tmp_path / "secret", train=BITS[:9], val=BITS[9:12], test=BITS[12:]))
    other = TableTask(_npz(tmp_path, train=BITS[:8], validation=BITS[8:12], test=BITS[12:]))
    assert here.name == there.name != other.name
    assert here.name.startswith("table-")
    assert len(here.name) == len("table-") + 8
    assert there.source == "data.npz"
    assert "secret" not in str(vars(there))
    assert not there.public


def test_stated_splits_are_kept_in_order(tmp_path: Path) -> None:
    parts = {"train_data": BITS[:120], "valid_data": BITS[120:150], "test_data": BITS[150:]}
    task = TableTask(_npz(tmp_path, **parts))
    for split, rows in zip(SPLITS, parts.values(), strict=True):
        np.testing.assert_array_equal(task.load(split).events.numpy(), rows)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "found no rows"),
        ("a,b\n", "found no rows"),
        ("x,y\n0,1\n1,half\n", "row 1 (line 3), column 'y': found 'half', expected a number"),
        ("0,1\n1,nan\n", "row 1 (line 2), column 1: found 'nan', which looks like a missing"),
        ("x,y\n0,1\n1,\n", "row 1 (line 3), column 'y': found '', which looks like a missing"),
        ("0,1\n1,inf\n", "column 1: found 'inf', expected a number"),
        ("0,1\n1,1e999\n", "column 1: found inf, expected a finite number"),
        ("2,5\n3,5\n", "row 0 (line 1), column 1: found '5.0' here and in all other rows"),
        ("2,a\n3,b\x07\n", "column 1: found a category with control characters"),
        ("x,y\x1b[2J\n2,a\n", "found control characters in the name of column 1, expected"),
        ("x,y\x07\n0,1\n", "found control characters in the name of column 1, expected"),
        ("0,1\n1\n", "row 1 (line 2): found 1 fields, expected 2"),
        ("0,1\n\n1,0\n", "row 1 (line 2): found 0 fields, expected 2"),
        ("\n0,1\n", "row 0 (line 1): found an empty line"),
        ("0;1\n1;0\n", "row 0 (line 1): found one field with ';' in it, expected fields"),
        ("nan,na\n0,1\n", "row 0 (line 1), column 0: found 'nan'"),
        ("a,1\n0,1\n", "row 0 (line 1), column 0: found 'a'"),
        (b"\x00\x01\x02\nb\n", "column 0: found a category with control characters"),
        ("".join(f"{n}a\n" for n in range(1025)), "found 1,025 different values, expected at most"),
        (b"0,1\n" * 9000 + b"\xff\xfe\n", "byte 36000 is not UTF-8"),
        ('0,"1\n', "unexpected end of data"),
        ("0,1\n1,0\n", "2 to divide, 2 of them different, leave nothing for the train split"),
    ],
)
def test_bad_csv_is_answered_with_file_row_and_expectation(
    text: str | bytes, message: str, tmp_path: Path
) -> None:
    found = _refusal(TableTask, _csv(tmp_path, text))
    assert message in found
    assert "expected" in found


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"a": np.full_like(BITS, 2)}, "'a' row 0, column 0: found '2.0' here and in all other"),
        ({"a": np.full((3, 2), np.nan)}, "'a' row 0, column 0: found 'nan', which looks like"),
        ({"a": np.full((3, 2), np.inf)}, "'a' row 0, column 0: found inf, expected a finite"),
        ({"a": np.array(["x", ""]), "b": np.arange(2)}, "row 1, column 'a': found ''"),
        ({"a": np.zeros((0, 4))}, "shape (0, 4), expected (rows, columns)"),
        ({"a": np.zeros((2, 3, 4))}, "shape (2, 3, 4), expected (rows, columns)"),
        ({"train_data": BITS[0], "test_data": BITS}, "'train_data' has shape (7,)"),
        ({"a": BITS.astype(str)}, "dtype <U3, expected numbers"),
        ({"a": BITS.astype(object)}, "pickles are never read"),
        ({"a": BITS.astype(complex)}, "dtype complex128"),
        ({"a": BITS, "b": BITS}, "found a (200, 7), b (200, 7)"),
        ({"labels": np.arange(3)}, "found labels (3,)"),
        ({}, "found nothing"),
        ({"train": BITS, "other": BITS, "test": BITS}, "the key 'other' names no split"),
        ({"train": BITS, "train_data": BITS}, "expected one train array, found train, train_data"),
        ({"train": BITS, "validation": BITS}, "found train and validation alone"),
        ({"train": BITS, "val": BITS, "test": BITS[:, :5]}, "test (5,)"),
        ({"train": BITS, "val": BITS[:0], "test": BITS}, "'val' has shape (0, 7)"),
    ],
)
def test_bad_table_archive(parts: dict[str, np.ndarray], message: str, tmp_path: Path) -> None:
    assert message in _refusal(TableTask, _npz(tmp_path, **parts))


def test_files_that_are_not_there_or_not_what_they_are_called(tmp_path: Path) -> None:
    assert "no such file" in _refusal(TableTask, str(tmp_path / "none.csv"))
    assert "no such file" in _refusal(ImagesTask, str(tmp_path / "none.npz"))
    assert "found a folder, expected a .csv" in _refusal(TableTask, str(tmp_path))
    assert "extension '.txt'" in _refusal(TableTask, _csv(tmp_path, "0,1\n", "data.txt"))
    assert "extension '.csv'" in _refusal(ImagesTask, _csv(tmp_path, "0,1\n"))
    for task in (TableTask, ImagesTask):
        assert "expected an npz archive" in _refusal(task, _csv(tmp_path, "0,1\n", "data.npz"))


# Images


def test_channels_at_either_end_or_absent(tmp_path: Path) -> None:
    last = ImagesTask(_npz(tmp_path, x=COLOUR))
    first = ImagesTask(_npz(tmp_path, x=COLOUR.transpose(0, 3, 1, 2)))
    assert last.spec == first.spec == EventSpec((3, 5, 6), Discrete(256))
    assert last.name == first.name
    train = last.load("train").events
    assert train.dtype == torch.uint8
    assert train.is_contiguous()
    assert torch.equal(train, first.load("train").events)
    kept = {row.tobytes() for row in COLOUR.transpose(0, 3, 1, 2)}
    assert all(event.numpy().tobytes() in kept for event in train)
    grey = [ImagesTask(_npz(tmp_path, x=x)) for x in (GREY, GREY[:, None], GREY[..., None])]
    assert {task.spec.shape for task in grey} == {(1, 5, 6)}
    assert len({task.name for task in grey}) == 1


def test_images_are_binary_only_if_all_values_are(tmp_path: Path) -> None:
    binary = (GREY > 127).astype(np.uint8)
    assert ImagesTask(_npz(tmp_path, x=binary)).spec.domain == Discrete(2)
    assert ImagesTask(_npz(tmp_path, x=binary.astype(bool))).spec.domain == Discrete(2)
    assert ImagesTask(_npz(tmp_path, x=binary * 255)).spec.domain == Discrete(256)
    parts = {"train": binary, "validation": binary, "test": binary * 2}
    assert ImagesTask(_npz(tmp_path, **parts)).spec.domain == Discrete(256)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (GREY / 255, "dtype float64, expected uint8"),
        (GREY.astype(np.int64), "dtype int64, expected uint8"),
        (np.zeros((9, 3, 8, 3), np.uint8), "may be (N, C, H, W) or (N, H, W, C)"),
        (np.zeros((9, 8, 8, 5), np.uint8), "expected 1 or 3 channels"),
        (np.zeros((9, 2, 8, 8, 3), np.uint8), "shape (9, 2, 8, 8, 3)"),
        (np.zeros((0, 8, 8), np.uint8), "shape (0, 8, 8)"),
        (GREY.astype(object), "pickles are never read"),
    ],
)
def test_bad_image_archive(array: np.ndarray, message: str, tmp_path: Path) -> None:
    assert message in _refusal(ImagesTask, _npz(tmp_path, x=array))


def test_images_of_two_sizes_in_two_splits(tmp_path: Path) -> None:
    path = _npz(tmp_path, x_train=GREY, x_val=GREY, x_test=GREY[:, :4])
    assert "test (1, 4, 6)" in _refusal(ImagesTask, path)


def _save(array: np.ndarray, path: Path, mode: str | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(path)


def test_a_folder_is_the_same_task_as_the_archive_of_its_pixels(tmp_path: Path) -> None:
    names = [f"{'ab'[i % 2]}/{i:03}.png" for i in range(len(COLOUR))]
    for name, pixels in zip(names, COLOUR, strict=True):
        _save(pixels, tmp_path / "folder" / name)
    (tmp_path / "folder" / ".hidden").write_text("skipped")
    order = np.argsort(names)
    task, archive = ImagesTask(str(tmp_path / "folder")), _npz(tmp_path, x=COLOUR[order])
    assert task.name == ImagesTask(archive + "?split=files").name
    assert task.name != ImagesTask(archive).name == ImagesTask(f"{tmp_path}/folder?split=rows").name
    assert task.source == "folder"


def test_a_folder_with_splits(tmp_path: Path) -> None:
    for i, split in enumerate(SPLITS):
        for j in range(i + 1):
            _save(GREY[3 * i + j], tmp_path / split / f"{j}.png")
    task = ImagesTask(str(tmp_path))
    assert [len(task.load(split)) for split in SPLITS] == [1, 2, 3]
    np.testing.assert_array_equal(task.load("test").events[2, 0].numpy(), GREY[8])


def test_bilevel_files_are_binary(tmp_path: Path) -> None:
    pixels = GREY > 127
    for i in range(40):
        _save(pixels[i], tmp_path / f"{i:02}.png")
    task = ImagesTask(str(tmp_path))
    assert task.spec == EventSpec((1, 5, 6), Discrete(2))
    kept = {image.astype(np.uint8).tobytes() for image in pixels}
    assert all(event.numpy().tobytes() in kept for event in task.load("train").events)


def test_bad_folders(tmp_path: Path) -> None:
    def folder(name: str) -> Path:
        _save(GREY[0], tmp_path / name / "0.png")
        return tmp_path / name

    place = folder("sizes")
    _save(GREY[1][:4], place / "1.png")
    message = _refusal(ImagesTask, str(place))
    assert "image 1 (1.png): found mode L, 6x4, expected mode L, 6x5 as in 0.png" in message
    place = folder("modes")
    _save(COLOUR[1], place / "1.png")
    assert "image 1 (1.png): found mode RGB, 6x5" in _refusal(ImagesTask, str(place))
    place = folder("palette")
    _save(COLOUR[1], place / "1.png", mode="P")
    assert "image 1 (1.png): found mode P, expected one of" in _refusal(ImagesTask, str(place))
    place = folder("frames")
    frames = [Image.fromarray(GREY[i]) for i in range(3)]
    frames[0].save(place / "1.gif", save_all=True, append_images=frames[1:])
    assert "found 3 frames, expected one" in _refusal(ImagesTask, str(place))
    place = folder("damaged")
    (place / "1.png").write_bytes((place / "0.png").read_bytes()[:60])
    assert "image 1 (1.png): expected an image" in _refusal(ImagesTask, str(place))
    place = folder("other")
    (place / "labels.csv").write_text("0\n")
    assert "found the extension '.csv'" in _refusal(ImagesTask, str(place))
    place = folder("partly")
    _save(GREY[0], place / "train" / "0.png")
    assert "found '0.png' beside 'train'" in _refusal(ImagesTask, str(place))
    place = tmp_path / "unfinished"
    _save(GREY[0], place / "train" / "0.png")
    assert "found train alone" in _refusal(ImagesTask, str(place))
    (tmp_path / "empty").mkdir()
    assert "found no files" in _refusal(ImagesTask, str(tmp_path / "empty"))


def test_folders_elsewhere_and_folders_that_may_be_splits_are_refused(tmp_path: Path) -> None:
    """Of 80 images in two folders, one of them a link, 40 were used and nobody was told."""
    for i in range(10):
        _save(GREY[i], tmp_path / "data" / "cats" / f"{i}.png")
        _save(GREY[10 + i], tmp_path / "elsewhere" / f"{i}.png")
    link = tmp_path / "data" / "dogs"
    link.symlink_to(tmp_path / "elsewhere")
    message = _refusal(ImagesTask, str(tmp_path / "data"))
    assert f"{link}: found a symbolic link to a folder, which arbench does not follow" in message
    link.unlink()
    (tmp_path / "data" / ".hidden").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data" / "one.png").symlink_to(tmp_path / "elsewhere" / "0.png")
    task = ImagesTask(str(tmp_path / "data"))
    assert sum(len(task.load(split)) for split in SPLITS) == 11
    (tmp_path / "linked").symlink_to(tmp_path / "data")
    assert ImagesTask(str(tmp_path / "linked")).name == task.name
    _save(GREY[20], tmp_path / "data" / "Test" / "0.png")
    message = _refusal(ImagesTask, str(tmp_path / "data"))
    assert "found the folder 'Test', which may or may not be a split" in message


def test_a_folder_that_cannot_be_listed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none: cannot be read \(No such file"):
        files_under(tmp_path / "none", {".png"}, "image")


def test_a_dim_of_a_colour_image_is_no_pixel(tmp_path: Path) -> None:
    assert ImagesTask(_npz(tmp_path, x=GREY)).unit == "pixel"
    assert ImagesTask(_npz(tmp_path, x=COLOUR)).unit == "dim"


def test_the_cifar_prefix(data_dir: Path) -> None:
    file = data_dir / "cifar10_prefix.npz"
    task = ImagesTask(str(file))
    assert task.spec == EventSpec((3, 32, 32), Discrete(256))
    stored = np.load(file)
    np.testing.assert_array_equal(task.load("test").events.numpy(), stored["test_batch_x"])
    train, validation = task.load("train"), task.load("validation")
    assert [len(train), len(validation)] == [4520, 565]
    assert train.num_events_also_in(validation) == 0
