"""Npz archives of one's own: shapes before contents, and nothing of what is damaged or hostile."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arbench.data.tasks import SPLITS
from arbench.errors import DataError
from arbench.files.arrays import read_npz
from arbench_files.images import ImagesTask
from arbench_files.tables import TableTask

BITS = np.random.default_rng(0).integers(0, 2, size=(200, 7), dtype=np.uint8)


def _npz(folder: Path, **parts: np.ndarray) -> str:
    path = folder / "data.npz"
    np.savez(path, **parts)
    return str(path)


def _refusal(task: Callable[[str], object], path: str) -> str:
    with pytest.raises(DataError) as caught:
        task(path)
    message = str(caught.value)
    assert "\n" not in message
    assert path in message
    return message


@given(position=st.integers(0, 10_000), cut=st.booleans(), value=st.integers(1, 255))
@settings(max_examples=60, deadline=None)
def test_a_damaged_archive_is_read_whole_or_refused(
    position: int, cut: bool, value: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, rows=BITS)
    damaged = bytearray(buffer.getvalue())
    position %= len(damaged)
    if cut:
        del damaged[position:]
    else:
        damaged[position] ^= value
    path = tmp_path_factory.mktemp("damaged") / "data.npz"
    path.write_bytes(damaged)
    try:
        found = read_npz(path)
    except DataError:
        return
    assert all(np.array_equal(array, BITS) for array in found.values())


@pytest.mark.parametrize(
    ("offset", "value"),
    [(6, 200), (8, 1), (8, 32), (10, 77)],
    ids=["version", "key", "patch", "method"],
)
def test_an_archive_that_zipfile_cannot_read_is_refused(
    offset: int, value: int, tmp_path: Path
) -> None:
    """A newer zip version, encryption, patched data, an unknown compression method."""
    path = Path(_npz(tmp_path, rows=BITS))
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + offset] = value
    path.write_bytes(content)
    assert "the archive is damaged" in _refusal(TableTask, str(path))


@pytest.mark.parametrize(
    "header",
    ["(", "{'descr': '<f4'", "[" * 9000, "[" * 20000, "{'descr': 3}", "\x00"],
    ids=["open", "cut", "deep", "long", "keys", "nul"],
)
def test_a_hostile_array_header_is_refused(header: str, tmp_path: Path) -> None:
    text = header.encode() + b"\n"
    member = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text
    with zipfile.ZipFile(tmp_path / "data.npz", "w") as archive:
        archive.writestr("rows.npy", member)
    assert "the archive is damaged" in _refusal(TableTask, str(tmp_path / "data.npz"))


def test_an_array_that_no_memory_holds_is_refused(tmp_path: Path) -> None:
    text = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000, 1000000000)}\n"
    member = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text
    with zipfile.ZipFile(tmp_path / "data.npz", "w") as archive:
        archive.writestr("rows.npy", member)
    assert "the archive is damaged" in _refusal(TableTask, str(tmp_path / "data.npz"))


def _member(shape: tuple[int, ...], num_bytes: int, descr: str = "|u1") -> bytes:
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}}}\n".encode()
    header = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text
    return header + bytes(num_bytes)


@pytest.mark.parametrize(
    ("task", "shape", "message"),
    [
        (TableTask, (1 << 24, 1, 2), "has shape (16777216, 1, 2), expected (rows, columns)"),
        (ImagesTask, (4096, 1024, 1, 2, 4), "expected (N, H, W)"),
        (ImagesTask, (4096, 64, 64, 2), "expected 1 or 3 channels"),
    ],
)
def test_a_shape_is_refused_before_anything_is_unpacked(
    task: Callable[[str], object], shape: tuple[int, ...], message: str, tmp_path: Path
) -> None:
    """32 MB of zeros in 32 kB; a larger file would only be more of the same."""
    path = tmp_path / "data.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("rows.npy", _member(shape, 1 << 25))
    assert path.stat().st_size < 50_000
    tracemalloc.start()
    try:
        assert message in _refusal(task, str(path))
        assert tracemalloc.get_traced_memory()[1] < 1 << 22
    finally:
        tracemalloc.stop()


def test_arrays_that_are_no_data_are_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, rows=BITS)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("labels.npy", _member((1 << 25,), 1 << 25))
    tracemalloc.start()
    try:
        assert sum(len(TableTask(str(path)).load(split)) for split in SPLITS) == len(BITS)
        assert tracemalloc.get_traced_memory()[1] < 1 << 22
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([("rows.npy", _member((4, 2), 9))], "9 bytes of numbers, expected 8"),
        ([("rows.npy", _member((4, 2), 7))], "7 bytes of numbers, expected 8"),
        ([("rows.npy", _member((-4, -2), 8))], "the archive is damaged"),
        ([("rows.npy", _member((4, 2), 8)), ("rows", _member((4, 2), 8))], "found it twice"),
        ([("rows.npy", _member((4, 2), 8).replace(b"NUMPY\x01", b"NUMPY\x07"))], "version (7, 0)"),
        ([("rows.npy", _member((4, 2), 64, "|O"))], "pickles are never read"),
    ],
)
def test_members_that_say_one_thing_and_hold_another(
    members: list[tuple[str, bytes]], message: str, tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "data.npz", "w") as archive:
        for name, content in members:
            archive.writestr(name, content)
    assert message in _refusal(TableTask, str(tmp_path / "data.npz"))


def test_a_pickle_in_an_archive_is_never_run(tmp_path: Path) -> None:
    marker = tmp_path / "marker"

    class Hostile:
        def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
            return (Path.touch, (marker,))

    path = _npz(tmp_path, rows=np.array([[Hostile()]], dtype=object))
    assert "pickles are never read" in _refusal(TableTask, path)
    assert not marker.exists()


def test_an_archive_member_that_is_no_array_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.txt", "hello")
    assert "'notes.txt' is not an array" in _refusal(TableTask, str(path))
