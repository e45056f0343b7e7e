"""The file: a header of at most 256 bytes, choices, and the coder's bits.

Whatever is read is held against a hash of the whole file before anything is made of it. What the
header counts is bounded by what the file could hold. What comes out is held against a hash of what
went in.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from arbench import CheckpointError, DataError, Windows, atomic_path
from arbench_compression.coder import Choice, Coded
from arbench_compression.content import Content, Ends, Plan

_MAGIC, _VERSION = b"ARBZ", 1
# Magic, version, events in a lot, items, context, stride, end, padding, choices, bytes of choices,
# of lengths and of the stack, and hashes: of weights, configuration, content and the whole file.
_FIELDS = struct.Struct("<4sBIQIIiIIIIQ32s32s32s32s")
_NO_END, _LENGTHS_TOLD = -1, -2  # in place of the value that ends events
_MOST_HEADER_BYTES = 256
_MOST_NAME_BYTES = _MOST_HEADER_BYTES - _FIELDS.size - 1
_MOST_AT_ONCE = 1024
# A model that is all but certain of everything writes next to nothing; yet what a file may claim to
# hold is in proportion to its size: this many dims a byte, and as many as a kilobyte's at least.
_MOST_DIMS_PER_BYTE, _LEAST_BYTES = 1 << 13, 1 << 10


@dataclass(frozen=True)
class Identity:
    """Which model a file needs.

    Attributes:
        name: "task/model"; what is too long for the header is cut.
        config: sha256 of its configuration.
        weights: sha256 of its weights.
    """

    name: str
    config: bytes
    weights: bytes


@dataclass(frozen=True)
class Header:
    """What stands in a file beside its bits.

    Attributes:
        identity: of the model.
        plan: how the content was coded.
        content: its sha256.
    """

    identity: Identity
    plan: Plan
    content: bytes


class Parts(NamedTuple):
    """What follows the header: choices, lengths and the coder's bits.

    Attributes:
        num_choices: how many.
        choice_bytes: of the choices.
        length_bytes: of the lengths.
        stack_bytes: of the coder's bits.
    """

    num_choices: int
    choice_bytes: int
    length_bytes: int
    stack_bytes: int


@dataclass(frozen=True)
class Sizes:
    """Of a file, in bytes.

    Attributes:
        header: of the header.
        payload: of the coder's bits and the choices, which the likelihood pays for.
        lengths: of the lengths of events, where no value ends them; the likelihood is not of them.
    """

    header: int
    payload: int
    lengths: int


def save(file: Path, identity: Identity, content: Content, coded: Coded, num_dims: int) -> Sizes:
    """Write a file; it is there as a whole or not at all.

    Args:
        file: its path; a file that is there is replaced.
        identity: of the model.
        content: what was coded.
        coded: as what.
        num_dims: D, dims of an event.

    Raises:
        DataError: if the events are so likely that no reader would believe the file.
    """
    _require_plausible(content.plan, len(coded.stack), num_dims)
    choices = b"".join(_told(_steps(coded.choices)))
    lengths = b"".join(_told(_shorter(content.plan, num_dims)))
    parts = Parts(len(coded.choices), len(choices), len(lengths), len(coded.stack))
    rest = choices + lengths + coded.stack
    seal = hashlib.sha256(_fields(identity, content, parts, b"\0" * 32) + rest).digest()
    fields = _fields(identity, content, parts, seal)
    with atomic_path(file) as temporary:
        temporary.write_bytes(fields + rest)
    return Sizes(len(fields), len(choices) + len(coded.stack), len(lengths))


def load(file: Path, num_dims: int) -> tuple[Header, bytes, tuple[Choice, ...]]:
    """The header of a file, the coder's bits and the choices.

    What the header counts is what such a file can hold, or the file is refused; nothing of its size
    is allocated before.

    Args:
        file: its path.
        num_dims: D, dims of an event of the model that is to read it.

    Raises:
        DataError: if it is no such file, or another than was written.
    """
    data = _read(file)
    try:
        fields = _Fields(*_FIELDS.unpack_from(data))
        begin = _FIELDS.size + 1 + data[_FIELDS.size]
        if begin + sum(fields.parts[1:]) != len(data):
            raise ValueError("cut off, or longer than it says")
        unsealed = data[: _FIELDS.size - len(fields.seal)] + b"\0" * len(fields.seal)
        if hashlib.sha256(unsealed + data[_FIELDS.size :]).digest() != fields.seal:
            raise ValueError("it is not what was written")
        return _parsed(data, fields, begin, num_dims)
    except (ValueError, IndexError, DataError) as error:
        raise DataError(f"{file}: damaged: {error}; nothing was decoded") from error


def identity_of(file: Path) -> Identity:
    """Which model a file says that it needs; whether that is true, `load` finds out.

    Raises:
        DataError: if it is no such file.
    """
    data = _read(file)
    return _identity(data, _Fields(*_FIELDS.unpack_from(data)))


def require_model(wrote: Identity, own: Identity, file: Path) -> None:
    """Refuse a model that is not the one that wrote a file.

    Args:
        wrote: what the file names.
        own: of the model that is to read it.
        file: for the message.

    Raises:
        CheckpointError: if its weights or its configuration are others.
    """
    for what, there, here in (
        ("weights", wrote.weights, own.weights),
        ("configuration", wrote.config, own.config),
    ):
        if there != here:
            raise CheckpointError(
                f"{file}: written by {wrote.name} with the {what} {there.hex()[:12]}, and "
                f"{own.name} has {here.hex()[:12]}: only the model that wrote it reads it"
            )


def _require_plausible(plan: Plan, stack_bytes: int, num_dims: int) -> None:
    dims = plan.num_items * (num_dims if plan.windows is None else 1)
    most = _MOST_DIMS_PER_BYTE * (stack_bytes + _LEAST_BYTES)
    if not 1 <= plan.batch_size <= _MOST_AT_ONCE:
        raise DataError(f"{plan.batch_size:,} events at a time, and 1 to {_MOST_AT_ONCE:,} can be")
    if not 1 <= dims <= most:
        raise DataError(
            f"{dims:,} dims in {stack_bytes:,} bytes, and 1 to {most:,} are taken for possible"
        )


class _Fields(NamedTuple):
    """The fixed part of the header."""

    magic: bytes
    version: int
    batch_size: int
    num_items: int
    context: int
    stride: int
    end: int
    padding: int
    num_choices: int
    choice_bytes: int
    length_bytes: int
    stack_bytes: int
    weights: bytes
    config: bytes
    content: bytes
    seal: bytes

    @property
    def parts(self) -> Parts:
        """What follows the header."""
        return Parts(self.num_choices, self.choice_bytes, self.length_bytes, self.stack_bytes)


def _fields(identity: Identity, content: Content, parts: Parts, seal: bytes) -> bytes:
    """The header."""
    plan, name = content.plan, identity.name.encode()[:_MOST_NAME_BYTES]
    windows, ends = plan.windows or Windows(0, 0), plan.ends or Ends(_NO_END, 0)
    end = _LENGTHS_TOLD if ends.value is None else ends.value
    numbers = (plan.batch_size, plan.num_items, windows.context, windows.stride, end, ends.padding)
    hashes = (identity.weights, identity.config, content.sha256, seal)
    fixed = _FIELDS.pack(*_Fields(_MAGIC, _VERSION, *numbers, *parts, *hashes))
    return fixed + bytes([len(name)]) + name


def _read(file: Path) -> bytes:
    """The bytes of a file that says of itself that it is one of these.

    Raises:
        DataError: if it does not.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror})") from error
    if not data.startswith(_MAGIC):
        raise DataError(f"{file}: no file that `arbench compress` wrote")
    if len(data) <= _FIELDS.size:
        raise DataError(f"{file}: damaged: cut off within its header; nothing was decoded")
    if data[len(_MAGIC) :][:1] != bytes([_VERSION]):
        raise DataError(
            f"{file}: damaged, or written by a newer arbench: it does not say that it is of "
            f"format {_VERSION}; nothing was decoded"
        )
    return data


def _identity(data: bytes, fields: _Fields) -> Identity:
    name = data[_FIELDS.size + 1 :][: data[_FIELDS.size]].decode("ascii", errors="replace")
    printable = "".join(letter if letter.isprintable() else "?" for letter in name)
    return Identity(printable, fields.config, fields.weights)


def _parsed(
    data: bytes, fields: _Fields, begin: int, num_dims: int
) -> tuple[Header, bytes, tuple[Choice, ...]]:
    """See `load`.

    Raises:
        ValueError, IndexError, DataError: if it is damaged.
    """
    parts = fields.parts
    places = [begin, begin + parts.choice_bytes, len(data) - parts.stack_bytes]
    choices, lengths = (data[a:b] for a, b in itertools.pairwise(places))
    plan = Plan(
        num_items=fields.num_items,
        batch_size=fields.batch_size,
        windows=Windows(fields.context, fields.stride) if fields.context else None,
    )
    _require_plausible(plan, parts.stack_bytes, num_dims)
    if plan.windows is not None and not 1 <= fields.stride <= fields.context == num_dims:
        raise ValueError(f"its windows are of {fields.context}, and the model's of {num_dims}")
    if fields.end != _NO_END:
        told = _lengths(lengths, plan, num_dims) if fields.end == _LENGTHS_TOLD else ()
        value = None if fields.end == _LENGTHS_TOLD else fields.end
        plan = dataclasses.replace(plan, ends=Ends(value, fields.padding, told))
    header = Header(_identity(data, fields), plan, fields.content)
    return header, data[places[-1] :], tuple(_choices(choices, parts.num_choices))


def _steps(choices: tuple[Choice, ...]) -> Iterator[int]:
    """Two numbers for each choice: lots since the one before, and its place with the choice."""
    before = 0
    for lot, place, choice in choices:
        yield from (lot - before, 2 * place + choice)
        before = lot


def _choices(data: bytes, count: int) -> Iterator[Choice]:
    """The inverse of `_steps`.

    Raises:
        ValueError, IndexError: if there are not so many, and no more.
    """
    numbers = [*_numbers(data)]
    if len(numbers) != 2 * count:
        raise ValueError("there are not as many choices as it says")
    lot = 0
    for step, place in zip(numbers[0::2], numbers[1::2], strict=True):
        lot += step
        yield lot, place >> 1, place & 1


def _shorter(plan: Plan, num_dims: int) -> Iterator[int]:
    """Two numbers for each event that is not of full length: events since the last, and length."""
    before = 0
    for event, length in enumerate(plan.ends.lengths if plan.ends else ()):
        if length < num_dims:
            yield from (event - before, length)
            before = event


def _lengths(data: bytes, plan: Plan, num_dims: int) -> tuple[int, ...]:
    """The inverse of `_shorter`.

    Raises:
        ValueError, IndexError: if one is none.
    """
    numbers = [*_numbers(data)]
    lengths = [num_dims] * plan.num_items
    event = 0
    for step, length in zip(numbers[0::2], numbers[1::2], strict=True):
        event += step
        if length >= num_dims:
            raise ValueError(f"an event of {length:,} dims, and one has {num_dims:,}")
        lengths[event] = length
    return tuple(lengths)


def _told(numbers: Iterable[int]) -> Iterator[bytes]:
    """Numbers in 7 bits a byte, the lowest first; the last byte of each is below 128."""
    for number in numbers:
        while number >= 0x80:
            yield bytes([number & 0x7F | 0x80])
            number >>= 7
        yield bytes([number])


def _numbers(data: bytes) -> Iterator[int]:
    """The inverse of `_told`.

    Raises:
        ValueError: if they end within a number, or one is of more than 63 bits.
    """
    number = shift = 0
    for byte in data:
        number |= (byte & 0x7F) << shift
        shift = shift + 7 if byte & 0x80 else 0
        if shift == 0:
            yield number
            number = 0
        elif shift > 56:
            raise ValueError("a number has no end")
    if shift:
        raise ValueError("a number has no end")
