"""Reads the chunks of a RIFF WAVE file, and finds files that are cut short."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from arbench.errors import DataError

PCM, FLOAT, A_LAW, MU_LAW = 1, 3, 6, 7
_EXTENSIBLE = 0xFFFE  # the real number stands behind
# What every decoder makes the same samples of; others guess, pad or round.
_BITS = {PCM: (8, 16, 24, 32), FLOAT: (32, 64), A_LAW: (8,), MU_LAW: (8,)}


@dataclass(frozen=True)
class Wave:
    """The sound of a wav file as it is stored.

    Attributes:
        coding: `PCM`, `FLOAT`, `A_LAW` or `MU_LAW`.
        num_frames: samples of each channel.
        data: their bytes.
    """

    coding: int
    num_frames: int
    data: bytes


def is_wave(content: bytes) -> bool:
    """Whether these are the first bytes of a wav file, or all of one."""
    return content[:4] == b"RIFF" and content[8:12] == b"WAVE"


def read_wave(content: bytes, place: str) -> Wave:
    """The sound in the bytes of a wav file, all of it.

    Args:
        content: of a file that `is_wave`.
        place: what an error message calls it.

    Raises:
        DataError: if the file ends before its sound does, is damaged, or codes its sound in a way
            that cannot be read exactly.
    """
    described: bytes | None = None
    data: bytes | None = None
    for name, size, body in _chunks(content, place):
        if name == b"fmt " and described is None:
            described = body
        elif name == b"data":
            if data is not None:
                raise DataError(f"{place}: found two pieces of sound in one wav file, expected one")
            if len(body) < size:
                raise DataError(
                    f"{place}: found {len(body):,} bytes of sound, expected {size:,} as its header "
                    "says; the file was cut short, or its writer never filled the length in"
                )
            data = body
    if described is None or len(described) < 16 or data is None:
        raise DataError(f"{place}: expected a wav or flac file, found a wav file without sound")
    coding, channels = _number(described, 0), _number(described, 2)
    block, bits = _number(described, 12), _number(described, 14)
    if coding == _EXTENSIBLE and len(described) >= 26:
        coding = _number(described, 24)
    if bits not in _BITS.get(coding, ()) or block != channels * bits // 8:
        raise DataError(
            f"{place}: found coding {coding:#x} with {bits} bits, expected PCM of 8, 16, 24 or 32, "
            "floats, A-law or mu-law; others are not read exactly: convert it yourself"
        )
    if block == 0 or len(data) % block:
        raise DataError(f"{place}: its sound ends within a sample; the file was cut short")
    return Wave(coding, len(data) // block, data)


def _chunks(content: bytes, place: str) -> Iterator[tuple[bytes, int, bytes]]:
    """Name, stated size and content of each chunk; of the last one there may be less than stated.

    What follows the stated end of the RIFF is no part of it.
    """
    position = 12
    end = 8 + int.from_bytes(content[4:8], "little")
    while position + 8 <= min(end, len(content)):
        name = content[position : position + 4]
        if not (name.isascii() and name.decode("ascii").isprintable()):
            raise DataError(
                f"{place}: found {name!r} where a wav file has the name of a chunk; it is damaged"
            )
        size = int.from_bytes(content[position + 4 : position + 8], "little")
        yield name, size, content[position + 8 : position + 8 + size]
        position += 8 + size + size % 2


def _number(described: bytes, at: int) -> int:
    return int.from_bytes(described[at : at + 2], "little")
