"""Reads and writes safetensors files, and checks them before use."""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from arbench.errors import CheckpointError, RunError
from arbench.files.atomic import atomic_path, sha256_of

_MAX_HEADER_BYTES = 32 << 20


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> str:
    """Write tensors atomically as safetensors, one after the other.

    The library's own writers make the whole file in memory first, where a lack of it ends the
    process without a word, or wrap a full disk in an error of their own. These are the same bytes.

    Returns:
        The file's sha256.

    Raises:
        RunError: for a dtype that is not stored, or a full disk.
    """
    for name, tensor in tensors.items():
        if tensor.dtype not in _ORDER:
            raise RunError(
                f"{path}: tensor {name!r} is {tensor.dtype}, which arbench does not store; a "
                "network may keep its real and imaginary parts apart, or integers as int64"
            )
    # As the library has it: the widest types first, so that every tensor is aligned.
    ordered = sorted(tensors.items(), key=lambda item: (-_ORDER.index(item[1].dtype), item[0]))
    header, end = {}, 0
    for name, tensor in ordered:
        start, end = end, end + tensor.numel() * tensor.element_size()
        header[name] = {
            "dtype": _DTYPE_NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    text += b" " * (-len(text) % 8)
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, tensor in ordered:
            flat = tensor.detach().cpu().contiguous().reshape(-1)
            file.write(flat.view(torch.uint8).numpy().data)
        file.flush()
    return sha256_of(path)


def load_tensors(
    path: Path, *, sha256: str | None = None, expected: Mapping[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """The tensors in a safetensors file.

    Args:
        path: the file.
        sha256: what the file must hash to.
        expected: tensors (on any device, "meta" too) whose names, shapes and dtypes the file must
            have; compared with the file's header before anything is read. One without rows stands
            for any number of them, as a network that counts may find.

    Raises:
        CheckpointError: if the file is missing, damaged, foreign or holds numbers that are not
            finite.
    """
    header = _read_header(path)
    if expected is not None:
        _compare(path, header, expected)
    if sha256 is not None and (found := sha256_of(path)) != sha256:
        raise CheckpointError(
            f"{path}: sha256 is {found}, expected {sha256}; the file is damaged or not the one "
            "that was recorded: fetch or train it again"
        )
    tensors = _read_tensors(path, header)
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise CheckpointError(f"{path}: tensor {name!r} holds numbers that are not finite")
    return tensors


# What the header says of a tensor: its dtype and shape, and from where to where its bytes lie.
_Entry = tuple[str, list[int], int, int]


def _read_tensors(path: Path, header: Mapping[str, _Entry]) -> dict[str, Tensor]:
    """The tensors, each read to where it stays.

    The library makes them twice in memory, and where there is none left its Rust ends the process.
    """
    dtypes = {name: dtype for dtype, name in _DTYPE_NAMES.items()}
    tensors: dict[str, Tensor] = {}
    with open(path, "rb") as file:
        for name, (dtype, shape, start, end) in header.items():
            tensor = torch.empty(shape, dtype=dtypes[dtype], device="cpu")
            file.seek(start)
            if file.readinto(tensor.view(-1).view(torch.uint8).numpy().data) < end - start:
                raise CheckpointError(f"{path}: not a valid safetensors file: it was cut meanwhile")
            tensors[name] = tensor
    return tensors


def _read_header(path: Path) -> dict[str, _Entry]:
    """What the file says of its tensors, by name, in the order of their bytes; checked in full.

    Their bytes fill the file without a gap. A name twice, which the library lets pass, is refused,
    and so is a dtype that torch lacks or knows by halves, such as those of 4 bits.
    """

    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        keys = [key for key, _ in pairs]
        if len(set(keys)) < len(keys):
            raise CheckpointError(f"{path}: the header names a tensor twice")
        return dict(pairs)

    try:
        with open(path, "rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > _MAX_HEADER_BYTES:
                raise CheckpointError(f"{path}: a header of {length} bytes is not plausible")
            text = file.read(length)
            num_bytes = file.seek(0, os.SEEK_END)
        raw = json.loads(text.decode("utf-8"), object_pairs_hook=unique)
        raw.pop("__metadata__", None)
        header: dict[str, _Entry] = {}
        for name, entry in raw.items():
            shape = [_natural(n) for n in entry["shape"]]
            start, end = (8 + length + _natural(n) for n in entry["data_offsets"])
            header[name] = (str(entry["dtype"]), shape, start, end)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: no such file") from error
    except (struct.error, ValueError, LookupError, TypeError, AttributeError, OSError) as error:
        raise CheckpointError(f"{path}: not a valid safetensors file: {error!r}") from error
    except RecursionError as error:
        raise CheckpointError(f"{path}: its header is nested too deeply") from error
    sizes = {name: dtype.itemsize for dtype, name in _DTYPE_NAMES.items()}
    ordered = dict(sorted(header.items(), key=lambda item: item[1][2:]))
    position = 8 + length
    for name, (dtype, shape, *place) in ordered.items():
        if dtype not in sizes:
            known = ", ".join(sizes)
            raise CheckpointError(f"{path}: tensor {name!r} is {dtype!r}, expected one of {known}")
        end = position + math.prod(shape) * sizes[dtype]
        if place != [position, end]:
            raise CheckpointError(
                f"{path}: not a valid safetensors file: the bytes of tensor {name!r} are not those "
                "of its shape"
            )
        position = end
    if position != num_bytes:
        raise CheckpointError(
            f"{path}: not a valid safetensors file: {num_bytes:,} bytes, its header says "
            f"{position:,}"
        )
    return ordered


def _natural(value: object) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"expected a whole number, got {value!r}")
    return value


_DTYPE_NAMES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
# Of the library: from the narrow to the wide.
_ORDER = [torch.bool, torch.uint8, torch.int8, torch.int16, torch.float16, torch.bfloat16]
_ORDER += [torch.int32, torch.float32, torch.float64, torch.int64]


def _compare(path: Path, header: Mapping[str, _Entry], expected: Mapping[str, Tensor]) -> None:
    missing, extra = (
        sorted(expected.keys() - header.keys()),
        sorted(header.keys() - expected.keys()),
    )
    if missing or extra:
        what = f"lacks {missing[0]!r}" if missing else f"holds an unknown tensor {extra[0]!r}"
        raise CheckpointError(f"{path}: {what}; it does not belong to this configuration")
    for name, tensor in expected.items():
        dtype, shape, *_ = header[name]
        wanted = list(tensor.shape)
        if wanted[:1] == [0] and len(shape) == len(wanted):
            wanted[0] = shape[0]
        if shape != wanted or dtype != _DTYPE_NAMES.get(tensor.dtype):
            raise CheckpointError(
                f"{path}: tensor {name!r} is {dtype} {shape}, the configuration needs "
                f"{_DTYPE_NAMES.get(tensor.dtype)} {list(tensor.shape)}"
            )
