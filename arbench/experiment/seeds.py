"""Keyed randomness: every draw names what it is for, so nothing depends on what came before."""

from __future__ import annotations

import hashlib

import torch


def derive_seed(seed: int, *key: str | int) -> int:
    """A 63-bit seed that depends on the run's seed and the key alone."""
    text = "/".join(str(part) for part in (seed, *key))
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def keyed_generator(seed: int, *key: str | int) -> torch.Generator:
    """A CPU generator seeded by `derive_seed`."""
    return torch.Generator().manual_seed(derive_seed(seed, *key))
