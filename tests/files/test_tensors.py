"""Weights: what is written comes back, and whatever else lies there is refused with one line."""

from __future__ import annotations

import hashlib
import json
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load as load_of_the_library
from safetensors.torch import save, save_file

from arbench.errors import CheckpointError, RunError
from arbench.files.tensors import _ORDER, load_tensors, save_tensors


@pytest.fixture
def tensors() -> dict[str, torch.Tensor]:
    return {"w": torch.randn(3, 4), "counts": torch.arange(5), "b": torch.randn(2).bfloat16()}


def test_round_trip_is_exact_and_the_hash_is_of_the_file(
    tmp_path: Path, tensors: dict[str, torch.Tensor]
) -> None:
    digest = save_tensors(tmp_path / "m.safetensors", tensors)
    loaded = load_tensors(tmp_path / "m.safetensors", sha256=digest, expected=tensors)
    assert loaded.keys() == tensors.keys()
    assert all(torch.equal(loaded[k], tensors[k]) for k in tensors)


def test_equal_tensors_give_equal_bytes(tmp_path: Path, tensors: dict[str, torch.Tensor]) -> None:
    first = save_tensors(tmp_path / "a.safetensors", tensors)
    second = save_tensors(tmp_path / "b.safetensors", dict(tensors))
    assert first == second


def test_every_flipped_byte_is_noticed(tmp_path: Path, tensors: dict[str, torch.Tensor]) -> None:
    path = tmp_path / "m.safetensors"
    digest = save_tensors(path, tensors)
    good = path.read_bytes()
    for position in range(len(good)):
        bad = bytearray(good)
        bad[position] ^= 1
        path.write_bytes(bytes(bad))
        with pytest.raises(CheckpointError):
            load_tensors(path, sha256=digest)


def test_random_mutations_never_escape_as_another_error(
    tmp_path: Path, tensors: dict[str, torch.Tensor]
) -> None:
    path = tmp_path / "m.safetensors"
    save_tensors(path, tensors)
    good = path.read_bytes()
    random = np.random.default_rng(0)
    for _ in range(2000):
        bad = bytearray(good)
        for _ in range(random.integers(1, 4)):
            bad[random.integers(len(bad))] = random.integers(256)
        cut = random.integers(1, len(bad) + 1) if random.random() < 0.3 else len(bad)
        path.write_bytes(bytes(bad[:cut]))
        try:
            loaded = load_tensors(path, expected=tensors)
        except CheckpointError:
            continue
        # Without a hash a flipped data bit passes, but never another shape, type or infinity.
        assert {k: (t.shape, t.dtype) for k, t in loaded.items()} == {
            k: (t.shape, t.dtype) for k, t in tensors.items()
        }
        # The library takes it too, and reads the same from it.
        theirs = load_of_the_library(path.read_bytes())
        assert theirs.keys() == loaded.keys()
        assert all(torch.equal(loaded[k], theirs[k]) for k in theirs)


@pytest.mark.parametrize(
    "entries",
    [
        {"w": ("F32", [2], 0, 8), "v": ("F32", [2], 4, 12)},  # one over the other
        {"w": ("F32", [2], 0, 8), "v": ("F32", [1], 12, 16)},  # a hole
        {"w": ("F32", [2], 4, 12)},  # before the first
        {"w": ("F32", [2], 0, 4)},  # too few
        {"w": ("F32", [2], 0, 8)},  # bytes behind the last
        {"w": ("F32", [1 << 40], 0, 1 << 42)},  # more than there are
        {"w": ("F32", [True, 4], 0, 16)},
        {"w": ("F32", [4.0], 0, 16)},
        {"w": ("F32", [-4], 0, 16)},
        {"w": ("F32", [4], 0.0, 16)},
        {"w": ("F32", "4", 0, 16)},
        {"w": ("F32", [4], 0, 8, 16)},
    ],
)
def test_bytes_that_are_not_those_of_the_shapes_are_refused(
    tmp_path: Path, entries: dict[str, tuple[object, ...]]
) -> None:
    """Of 16 bytes."""
    header = {
        name: {"dtype": dtype, "shape": shape, "data_offsets": offsets}
        for name, (dtype, shape, *offsets) in entries.items()
    }
    text = json.dumps(header).encode()
    (tmp_path / "x.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + bytes(16))
    with pytest.raises(CheckpointError, match="not a valid safetensors file"):
        load_tensors(tmp_path / "x.safetensors")


class _LeavesAMarker:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.marker,))


def test_a_pickle_named_as_safetensors_is_refused_and_not_run(tmp_path: Path) -> None:
    marker, path = tmp_path / "marker", tmp_path / "m.safetensors"
    path.write_bytes(pickle.dumps(_LeavesAMarker(marker)))
    with pytest.raises(CheckpointError, match="not a valid safetensors|not plausible"):
        load_tensors(path)
    assert not marker.exists()


def test_a_header_that_is_nested_too_deeply_is_refused(tmp_path: Path) -> None:
    header = b"[" * 100_000
    path = tmp_path / "m.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(CheckpointError, match="its header is nested too deeply"):
        load_tensors(path)


def test_a_header_that_names_a_tensor_twice_is_refused(tmp_path: Path) -> None:
    entry = json.dumps({"dtype": "F32", "shape": [1], "data_offsets": [0, 4]})
    header = f'{{"w": {entry}, "w": {entry}}}'.encode()
    path = tmp_path / "m.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))
    with pytest.raises(CheckpointError, match="twice"):
        load_tensors(path)


@pytest.mark.parametrize(
    ("dtype", "num_bits"),
    [
        ("F4", 4),
        ("F6_E2M3", 6),
        ("F8_E8M0", 8),
        ("F8_E4M3", 8),
        ("F8_E5M2", 8),
        ("C64", 64),
        ("F31", 31),
    ],
)
def test_a_type_of_number_that_no_run_holds_is_refused(
    tmp_path: Path, dtype: str, num_bits: int
) -> None:
    entry = {"dtype": dtype, "shape": [8], "data_offsets": [0, num_bits]}
    header = json.dumps({"w": entry}).encode()
    path = tmp_path / "m.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(num_bits))
    with pytest.raises(CheckpointError, match=f"'w' is '{dtype}', expected one of F64, F32, BF16"):
        load_tensors(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    path = tmp_path / "m.safetensors"
    save_file({"w": torch.tensor([1.0, value])}, path)
    with pytest.raises(CheckpointError, match="'w' holds numbers that are not finite"):
        load_tensors(path)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({"w": torch.zeros(4, 3)}, r"'w' is F32 \[4, 3\], the configuration needs F32 \[3, 4\]"),
        ({"w": torch.zeros(3, 4).double()}, "'w' is F64"),
        ({"v": torch.zeros(3, 4)}, "lacks 'w'"),
        ({"w": torch.zeros(3, 4), "v": torch.zeros(1)}, "holds an unknown tensor 'v'"),
    ],
)
def test_what_does_not_belong_is_named(
    tmp_path: Path, found: dict[str, torch.Tensor], message: str
) -> None:
    path = tmp_path / "m.safetensors"
    save_file(found, path)
    with pytest.raises(CheckpointError, match=message):
        load_tensors(path, expected={"w": torch.empty(3, 4, device="meta")})


def test_the_bytes_are_those_of_the_library(tmp_path: Path) -> None:
    tensors = {}
    for index, dtype in enumerate(_ORDER):
        tensors[f'b{index}é"'] = torch.arange(6).reshape(3, 2).to(dtype).t()
        tensors[f"a{index}"] = torch.tensor(1).to(dtype)
        tensors[f"e{index}"] = torch.zeros(0, 3).to(dtype)
    for some in (tensors, {}):
        digest = save_tensors(tmp_path / "x.safetensors", some)
        data = (tmp_path / "x.safetensors").read_bytes()
        loaded = load_tensors(tmp_path / "x.safetensors", expected=some)
        assert all(torch.equal(loaded[name], some[name]) for name in some)
        assert data == save({name: tensor.contiguous() for name, tensor in some.items()})
        assert digest == hashlib.sha256(data).hexdigest()


def test_a_dtype_that_is_not_stored_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"'z' is torch.complex64, which arbench does not store"):
        save_tensors(tmp_path / "x.safetensors", {"z": torch.zeros(1, dtype=torch.complex64)})
    assert not list(tmp_path.iterdir())
