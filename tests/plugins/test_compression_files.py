"""Files of compression: what is damaged, forged or of another model is one sentence."""

from __future__ import annotations

import dataclasses
import hashlib
import random
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from coding import CASES, WHO, Case, own_file

from arbench import ArbenchError, CheckpointError, DataError
from arbench_compression import codec, coder, file
from arbench_compression.content import Content, Plan
from arbench_compression.file import Identity

pytest.importorskip("constriction")
NUM_MUTATIONS, FAST_SHARE = 1000, 10
SEAL = slice(file._FIELDS.size - 32, file._FIELDS.size)


def sealed(data: bytes) -> bytes:
    """The bytes with a seal that fits: as somebody would forge them."""
    blank = data[: SEAL.start] + b"\0" * 32 + data[SEAL.stop :]
    return data[: SEAL.start] + hashlib.sha256(blank).digest() + data[SEAL.stop :]


def flipped(data: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(data))
    return data[:place] + bytes([data[place] ^ 1 << chance.randrange(8)]) + data[place + 1 :]


def cut(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data))]


def longer(data: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(data) + 1)
    return data[:place] + chance.randbytes(chance.randint(1, 8)) + data[place:]


def scrambled(data: bytes, chance: random.Random) -> bytes:
    place, size = chance.randrange(len(data)), chance.randint(1, 8)
    return (data[:place] + chance.randbytes(size) + data[place + size :])[: len(data)]


def zeroed(data: bytes, chance: random.Random) -> bytes:
    place, size = chance.randrange(len(data)), chance.randint(1, 64)
    return (data[:place] + b"\0" * size + data[place + size :])[: len(data)]


CHANGES: list[Callable[[bytes, random.Random], bytes]] = [flipped, cut, longer, scrambled, zeroed]


def check_mutations(case: Case, folder: Path, seeds: range) -> int:
    """Mutate a file in many ways; returns how many were refused.

    Every other one gets a seal that fits. Then what is left of the file may be read, if it gives
    the same events: some bits of a header only name things.
    """
    source = own_file(folder, case)
    original, mutated = source.read_bytes(), folder / "mutated.arb"
    refused = num_read = 0
    for seed in seeds:
        chance = random.Random(seed)
        data = chance.choice(CHANGES)(original, chance)
        is_forged = seed % 2 == 1 and len(data) > SEAL.stop
        mutated.write_bytes(sealed(data) if is_forged else data)
        try:
            _, back = codec.decompress(case.path(), WHO, mutated)
        except ArbenchError as error:
            refused += error.exit_code == 3 and "\n" not in str(error)
        else:
            num_read += 1
            assert torch.equal(back.items.long(), case.content.items.long()), seed
            assert is_forged or data == original, seed
    assert refused + num_read == len(seeds), "not every refusal is one sentence and exit code 3"
    return refused


@pytest.mark.parametrize("name", ["words", "clips"])
def test_no_mutated_file_is_decoded_to_wrong_data(name: str, tmp_path: Path) -> None:
    seeds = range(0, NUM_MUTATIONS, FAST_SHARE)
    every_kind = [seed + number % 2 for number, seed in enumerate(seeds)]
    refused = sum(
        check_mutations(CASES[name](), tmp_path, range(seed, seed + 1)) for seed in every_kind
    )
    assert refused > 0.9 * len(every_kind)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", CASES)
def test_no_mutated_file_of_any_kind_is_decoded_to_wrong_data(name: str, tmp_path: Path) -> None:
    refused = check_mutations(CASES[name](), tmp_path, range(NUM_MUTATIONS))
    assert refused > 0.9 * NUM_MUTATIONS


@pytest.mark.parametrize(("part", "size"), [("header", 0.5), ("payload", 0.99), ("magic", 0.01)])
def test_a_cut_file_is_one_sentence(part: str, size: float, tmp_path: Path) -> None:
    case = CASES["bits"]()
    source = own_file(tmp_path, case)
    data = source.read_bytes()
    source.write_bytes(data[: int(size * len(data))])
    with pytest.raises(DataError, match=r"damaged|no file that") as caught:
        codec.decompress(case.path(), WHO, source)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("field", ["weights", "config"])
def test_another_model_is_refused(field: str, tmp_path: Path) -> None:
    case = CASES["bits"]()
    source = own_file(tmp_path, case)
    other = dataclasses.replace(WHO, name="toy/other", **{field: b"o" * 32})
    with pytest.raises(CheckpointError, match="only the model that wrote it reads it"):
        codec.decompress(case.path(), other, source)


def test_other_weights_under_the_same_name_are_noticed(tmp_path: Path) -> None:
    case, other = CASES["bits"](), CASES["bits"]()
    source = own_file(tmp_path, case)
    for weight in other.model.parameters():
        weight.data += 0.01
    with pytest.raises(DataError, match=r"damaged|not what was written"):
        codec.decompress(other.path(), WHO, source)


def rewritten(source: Path, **fields: int) -> None:
    """The file with other counts, and a seal that fits."""
    data = source.read_bytes()
    found = file._Fields(*file._FIELDS.unpack_from(data))._replace(**fields)
    source.write_bytes(sealed(file._FIELDS.pack(*found) + data[file._FIELDS.size :]))


@pytest.mark.parametrize(
    "fields",
    [
        {"num_items": 1 << 40},
        {"num_items": (1 << 64) - 1},
        {"num_items": 0},
        {"batch_size": 1 << 31},
        {"batch_size": 0},
        {"num_choices": 1 << 31},
        {"context": 8, "stride": 0},
        {"context": 1 << 31, "stride": 1},
        {"end": -2},
        {"end": 1 << 20},
        {"padding": (1 << 32) - 1, "end": 0},
    ],
    ids=str,
)
def test_counts_are_bounded_before_anything_is_allocated(
    fields: dict[str, int], tmp_path: Path
) -> None:
    case = CASES["words"]()
    source = own_file(tmp_path, case)
    rewritten(source, **fields)
    path = case.path()
    tracemalloc.start()
    with pytest.raises(DataError):
        codec.decompress(path, WHO, source)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_a_coder_that_ends_with_zero_never_reaches_constriction() -> None:
    case = CASES["bits"]()
    coded = coder.write(case.path(), case.content)
    for stack in (b"\0\0\0\0", coded.stack + b"\0\0\0\0"):
        with pytest.raises(DataError, match="last word is 0"):
            coder.read(case.path(), case.content.plan, stack, ())


def test_events_after_the_last_are_noticed() -> None:
    case = CASES["bits"]()
    coded = coder.write(case.path(), case.content)
    fewer = dataclasses.replace(case.content.plan, num_items=80)
    with pytest.raises(DataError, match="more than its events"):
        coder.read(case.path(), fewer, coded.stack, ())


def test_a_header_with_the_longest_names_fits(tmp_path: Path) -> None:
    case = CASES["clips"]()
    identity = Identity("t" * 64 + "/" + "m" * 64, b"c" * 32, b"w" * 32)
    source = tmp_path / "long.arb"
    _, sizes = codec.compress(case.path(), case.content, identity, source)
    assert sizes.header == 256
    assert file.identity_of(source).name.startswith("t" * 64 + "/m")
    _, back = codec.decompress(case.path(), identity, source)
    assert torch.equal(back.items.long(), case.content.items.long())


def test_numbers_in_sevens_come_back() -> None:
    numbers = [0, 1, 127, 128, 300, 1 << 40, (1 << 63) - 1]
    data = b"".join(file._told(numbers))
    assert [*file._numbers(data)] == numbers
    with pytest.raises(ValueError, match="no end"):
        [*file._numbers(data[:-1])]
    with pytest.raises(ValueError, match="no end"):
        [*file._numbers(b"\xff" * 12 + b"\x01")]


def test_what_is_all_but_certain_is_refused_before_a_reader_would(tmp_path: Path) -> None:
    """Both sides hold a file against its size by the same rule."""
    content = Content(Plan(1 << 30, 256), torch.zeros(1, 4, dtype=torch.uint8))
    nothing = torch.zeros(0, dtype=torch.float64)
    coded = coder.Coded(b"", (), nothing, nothing)
    with pytest.raises(DataError, match="taken for possible"):
        file.save(tmp_path / "vast.arb", WHO, content, coded, 4)
    assert not (tmp_path / "vast.arb").exists()
