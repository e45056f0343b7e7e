"""Keyed random generators: every draw has a seed of its own.

Orders, masks and data sets have to be the same on every machine and with every numpy. numpy keeps
the raw stream of its PCG64 the same between versions, which it does not promise for the methods of
its Generator, so `uniforms` and `random_order` are made of raw bits. Zeros at the end of their keys
count for nothing: the stream of (3, 0) is that of (3,).
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.overrides import TorchFunctionMode


def derive_seed(seed: int, *key: str | int) -> int:
    """A 63-bit seed that depends on the run's seed and the key alone."""
    text = "/".join(str(part) for part in (seed, *key))
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def keyed_generator(seed: int, *key: str | int) -> torch.Generator:
    """A CPU generator seeded by `derive_seed`."""
    return torch.Generator().manual_seed(derive_seed(seed, *key))


@contextlib.contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seeds torch's global generators for the duration, then restores them."""
    has_own = device.type in ("cuda", "xpu")
    kind = device.type if has_own else "cuda"
    with torch.random.fork_rng(devices=[device] if has_own else [], device_type=kind):
        torch.manual_seed(seed)
        yield


class _Undrawn(TorchFunctionMode):
    """Normal numbers are not drawn, nor multiplied in place: what does so returns its tensor.

    On the device "meta" torch draws them by way of its compiler, which takes a second and 80 MB to
    import, to learn a shape that is known. Products in place import half of that.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        # "normal_" is that of a tensor, and those of `torch.nn.init`.
        if func.__name__.endswith("normal_") or (func.__name__ == "mul_" and args[0].is_meta):
            return args[0] if args else (kwargs or {})["tensor"]
        return func(*args, **(kwargs or {}))


@contextlib.contextmanager
def made_on(device: str | torch.device) -> Iterator[None]:
    """New tensors are on a device for the duration; on "meta" they have shapes and no numbers."""
    undrawn = _Undrawn() if str(device) == "meta" else contextlib.nullcontext()
    with torch.device(device), undrawn:
        yield


def uniforms(count: int, *key: int) -> NDArray[np.float64]:
    """`(count,)` numbers in [0, 1), the upper 53 bits of the raw stream that the key seeds."""
    raw = np.random.PCG64(key).random_raw(count)
    return (raw >> np.uint64(11)).astype(np.float64) * 2.0**-53


def random_order(count: int, *key: int) -> NDArray[np.int64]:
    """A uniformly random permutation `(count,)` of 0 to count - 1: the order of raw numbers."""
    return np.argsort(np.random.PCG64(key).random_raw(count), kind="stable")
