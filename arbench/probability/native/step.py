"""`NativeStep`: a network's `step` for a compiler, and who may be sampled by it.

Python spends a hundred microseconds on a site whose arithmetic takes a few. A network may therefore
say its step once more, in the part of Python that Numba compiles. The sampler `step` then goes from
site to site in compiled code (`walk.py`): it is the same function of the noise, summed in another
order. What is not said to be right natively takes the Python step, and so does all that must come
out the same elsewhere (`ReferencePath`).
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import zlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from types import FunctionType
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor

from arbench.errors import ConfigError

Kernel = Literal["python", "native"]
_DTYPES = (torch.float32, torch.float64)
_ONLY_PYTHON = ContextVar("_ONLY_PYTHON", default=False)
_NUM_THREADS = ContextVar("_NUM_THREADS", default=0)  # torch's, while it has one alone


class NativeStep(NamedTuple):
    """What a network's `native_step` returns; see `NativeSteppingNetwork`.

    Attributes:
        step: a function of the module's own, under `arbench.networks.native.vectors.compiled`:
            `step(weights, state, previous, site, params)`. It takes n events, at most `num_events`.
            It reads `previous`, `(n,)` int64, the value of site - 1, which is not there at site 0,
            where it may hold anything. It writes `params`, `(n, P)`, all of it, and updates
            `state`. An event's numbers depend on no other event.
        weights: tensors, integers, and tuples of these; the step has the tensors as arrays.
        state: shapes of what is kept for an event. The step has a tuple of arrays `(n, *shape)` in
            the dtype of the weights, which hold zeros at site 0.
        num_events: how many events a step takes at most, so that they read weights once together.
        prefill: leaves in the state what the steps of the first m sites would have left in it; it
            takes the state as tensors, and sites `(n, m, 1)`. See `PrefillingNetwork.prefill`.
            Without it, given sites are stepped through, too.
    """

    step: Callable[..., None]
    weights: tuple[Any, ...]
    state: tuple[tuple[int, ...], ...] = ()
    num_events: int = 1
    prefill: Callable[[tuple[Tensor, ...], Tensor], None] | None = None


class NativeDraw(NamedTuple):
    """What a head's `native_draw` returns: which of the compiled ways to draw is its own.

    Attributes:
        kind: a logit against the noise, or the inverse CDF of a softmax.
        temperature: what parameters are divided by.
    """

    kind: Literal["bernoulli", "categorical"]
    temperature: float = 1.0


@contextlib.contextmanager
def only_python() -> Iterator[None]:
    """Every sampler takes Python steps for the duration."""
    token = _ONLY_PYTHON.set(True)
    try:
        yield
    finally:
        _ONLY_PYTHON.reset(token)


@contextlib.contextmanager
def in_one_thread() -> Iterator[None]:
    """Torch's operations stay in this thread for the duration.

    OpenMP's other threads wait for more work by spinning, for about as long as a batch of samples
    takes, on the processors that compiled loops want to have.
    """
    before = torch.get_num_threads()
    if before == 1:
        yield
        return
    token = _NUM_THREADS.set(before)
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        _NUM_THREADS.reset(token)


def num_threads() -> int:
    """How many threads compiled loops may take: as many as torch has, or had."""
    return _NUM_THREADS.get() or torch.get_num_threads()


def native_step_of(network: Any, head: Any, sites: Tensor) -> tuple[NativeStep, NativeDraw] | None:
    """How a batch is sampled by compiled code, or None where it takes the Python step.

    It takes discrete sites of one dim, on the CPU, and a network and a head that both offer it; the
    extra `arbench[fast]`; and nobody who turned it off, by `only_python` or in the environment by
    `ARBENCH_KERNEL=python`.

    Args:
        network: of the model.
        head: of the model.
        sites: `(B, T, site_dim)`, as samplers have them.

    Raises:
        ConfigError: if `ARBENCH_KERNEL` names no kernel.
    """
    if (
        not native_is_wanted()
        or sites.dtype != torch.int64
        or sites.device.type != "cpu"
        or sites.shape[2] != 1
        or not _speaks_for(network, "native_step", "step")
        or not _speaks_for(head, "native_draw", "draw")
    ):
        return None
    draw: NativeDraw | None = head.native_draw()
    native: NativeStep | None = None if draw is None else network.native_step(len(sites))
    if draw is None or native is None or dtype_of(native.weights) not in _DTYPES:
        return None
    return native, draw


def native_is_wanted() -> bool:
    """Whether there is Numba, and nobody turned compiled code off.

    Raises:
        ConfigError: if `ARBENCH_KERNEL` names no kernel.
    """
    wanted = os.environ.get("ARBENCH_KERNEL", "")
    if wanted not in ("", *get_args(Kernel)):
        raise ConfigError(
            f"ARBENCH_KERNEL is {wanted!r}, expected 'python' or 'native'; without it, what "
            "has a native step takes that"
        )
    return not _ONLY_PYTHON.get() and wanted != "python" and numba_is_there()


def dtype_of(weights: tuple[Any, ...]) -> torch.dtype | None:
    """The floating-point type of weights, that of the first one which has one."""
    for own in weights:
        if isinstance(own, tuple) and (found := dtype_of(own)):
            return found
        if isinstance(own, Tensor) and own.is_floating_point():
            return own.dtype
    return None


def _speaks_for(owner: Any, native: str, original: str) -> bool:
    """Whether the native form is at least as special as the other: a subclass may change one."""
    for base in type(owner).__mro__:
        if native in vars(base):
            return True
        if original in vars(base):
            return False
    return False


@functools.cache
def numba_is_there() -> bool:
    """Whether the extra `arbench[fast]` is installed."""
    return importlib.util.find_spec("numba") is not None


def kept_on_disk(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """The function as Numba compiles it, for Python; it is kept where code may be written.

    Tensors among its arguments become arrays, without a copy where they are contiguous. What it
    calls is compiled into it, and needs no keeping of its own. Numba compiles anew what is kept
    when the function's own file changes; its name changes with the files that all may share.
    """
    import numba

    folder = Path(__file__).parents[2] / "networks" / "native"
    shared = zlib.crc32(b"".join(path.read_bytes() for path in sorted(folder.glob("*.py"))))
    name = f"{function.__name__}_{shared:08x}"
    code = function.__code__.replace(co_name=name, co_qualname=name)
    renamed = FunctionType(code, function.__globals__, name)
    renamed.__module__ = function.__module__
    try:
        compiled = numba.njit(nogil=True, error_model="numpy", cache=True, **options)(renamed)
    except RuntimeError:  # no folder for compiled code may be written
        compiled = numba.njit(nogil=True, error_model="numpy", **options)(renamed)

    @functools.wraps(function)
    def call(*arguments: Any) -> Any:
        arrays = [
            own.detach().contiguous().numpy() if isinstance(own, Tensor) else own
            for own in arguments
        ]
        try:
            return compiled(*arrays)
        except OSError:  # it is compiled, and only could not be kept: the disk is full
            return compiled(*arrays)

    return call
