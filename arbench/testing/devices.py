"""Whether a density computes on another device than the CPU, shown without such a device."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.amp import autocast_mode
from torch.overrides import TorchFunctionMode
from torch.utils._mode_utils import no_dispatch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from arbench.probability.flows.flow import Flow
from arbench.probability.model import Model
from arbench.testing.subject import ConformanceError, TinySubject

_aten = torch.ops.aten
_MOVES = (_aten.copy_.default, _aten._to_copy.default)  # from device to device
_MAKERS = (torch.tensor, torch.as_tensor)
_ITEMS = (Tensor.__getitem__, Tensor.__setitem__)
_INDEXING = (_aten.index.Tensor, _aten.index_put.default, _aten.index_put_.default)
# These change a tensor's shape, and no values.
_RESHAPES = (
    _aten.transpose_.default,
    _aten.t_.default,
    _aten.squeeze_.default,
    _aten.squeeze_.dim,
    _aten.unsqueeze_.default,
)
_DEVICE = torch.device("meta")
_NUM_EVENTS = 3
# Kernels for the CPU alone may round differently; in float64.
_ROUNDING = 1e-9


class _Elsewhere(Tensor):
    """A tensor that is not on the CPU, it says; its values are, so that code may look at them.

    It says that it is on the meta device, the only other one that every torch knows.
    """

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> _Elsewhere:
        made: _Elsewhere = Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=_DEVICE,
        )
        made.held = held
        return made

    def tolist(self) -> Any:
        """Its values; torch refuses subclasses."""
        return self.held.tolist()

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        return _run(func, args, dict(kwargs or {}))


class _AnotherDevice(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Within, tensors may be made there, or be moved."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        return _run(func, args, dict(kwargs or {}))


class _ValuesOfLists(TorchFunctionMode):
    """Within, lists become tensors there by way of the CPU: torch gives them no values on meta."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        options = dict(kwargs or {})
        if func in _ITEMS:
            return func(args[0], tree_map(_as_index, args[1], is_leaf=_is_list), *args[2:])
        if func is Tensor.new_tensor:
            options = {"dtype": args[0].dtype, "device": args[0].device, **options}
            func, args = torch.tensor, args[1:]
        if func in _MAKERS and options.get("device") is not None:
            device = options.pop("device")
            return func(*args, **options).to(device)
        return func(*args, **options)


def _is_list(leaf: Any) -> bool:
    return isinstance(leaf, list | range)


def _as_index(leaf: Any) -> Any:
    return torch.tensor([*leaf]) if _is_list(leaf) else leaf


def _run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """The result of an operation, where it belongs.

    Raises:
        RuntimeError: if it mixes devices; single numbers and indices may come from the CPU, as
            everywhere in torch.
    """
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    is_there = any(isinstance(tensor, _Elsewhere) for tensor in tensors)
    strays = [t for t in tensors if t.dim() > 0 and not isinstance(t, _Elsewhere)]
    if func in _INDEXING:
        strays = [t for t in strays if all(t is not index for index in args[1])]
    if is_there and strays and func not in _MOVES:
        raise RuntimeError(
            f"{func.overloadpacket.__name__} gets a tensor {tuple(strays[0].shape)} on the CPU "
            "beside others on the device"
        )
    if is_there and func in _RESHAPES:
        with no_dispatch():  # what it says of itself
            func(*args, **kwargs)
    if (device := kwargs.get("device")) is not None:
        is_there = torch.device(device).type == _DEVICE.type
        kwargs["device"] = torch.device("cpu")
    own_args, own_kwargs = tree_map(_held, (args, kwargs))
    if func is _aten.copy_.default and own_args[0].data_ptr() == own_args[1].data_ptr():
        return args[0]  # torch itself does so, but cannot see it here
    result = func(*own_args, **own_kwargs)
    if func._schema.is_mutable:
        known = {id(_held(tensor)): tensor for tensor in tensors}
        return tree_map(lambda leaf: known.get(id(leaf), leaf), result)
    return tree_map(_there_too, result) if is_there else result


def _there_too(leaf: Any) -> Any:
    return _Elsewhere(leaf) if isinstance(leaf, Tensor) else leaf


def _held(leaf: Any) -> Any:
    return leaf.held if isinstance(leaf, _Elsewhere) else leaf


@contextmanager
def _another_device() -> Iterator[None]:
    """Within, the device is there, and knows autocast as the CPU does."""
    begin = autocast_mode.autocast.__init__

    def begin_there(self: Any, device_type: str, *args: Any, **options: Any) -> None:
        begin(self, "cpu" if device_type == _DEVICE.type else device_type, *args, **options)

    with (
        mock.patch.object(autocast_mode.autocast, "__init__", begin_there),
        _ValuesOfLists(),
        _AnotherDevice(),  # type: ignore[no-untyped-call]
    ):
        yield


@torch.no_grad()
def check_devices(subject: TinySubject[Any]) -> None:
    """A density on a device gets along with what is there: nothing of the CPU is mixed in.

    It is moved to a device that refuses tensors of the CPU, gives log-probabilities and the loss of
    training there, and samples, by steps if it has any. The values are those of the CPU.

    Raises:
        ConformanceError: naming the operation and the line where two devices meet.
    """
    model: Model | Flow = subject.fresh()
    events = subject.random_events(_NUM_EVENTS, seed=21)
    scored = subject.tiny.scored(events)
    noise = model.draw_noise(_NUM_EVENTS, torch.Generator().manual_seed(22))
    expected = model.log_prob(events, scored)
    method = "step" if "step" in model.samplers else "auto"
    drawn = model.sample(_NUM_EVENTS, noise=noise, method=method)
    with _another_device():
        model.to(_DEVICE)
        found = _there("log_prob", lambda: model.log_prob(events, scored))
        change = (found - expected).abs().max().item()
        if not change <= _ROUNDING:
            raise ConformanceError(
                f"on another device the log-probability of an event differs by {change:.2g} nats"
            )
        _there("training_log_prob", lambda: model.training_log_prob(events, scored))
        samples = _there("sample", lambda: model.sample(_NUM_EVENTS, noise=noise, method=method))
    if not torch.allclose(samples.double(), drawn.double(), rtol=0, atol=_ROUNDING):
        raise ConformanceError("on another device samples for equal noise differ")


def _there(what: str, compute: Callable[[], Tensor]) -> Tensor:
    """The values of what is computed on the device.

    Raises:
        ConformanceError: if it fails, or is on the CPU.
    """
    try:
        result = compute()
    except (RuntimeError, TypeError, NotImplementedError) as error:
        frames = traceback.extract_tb(error.__traceback__)
        torchs = Path(torch.__file__).parent
        own = [f for f in frames if not Path(f.filename).is_relative_to(torchs)]
        place = [f for f in own if Path(f.filename) != Path(__file__)][-1]
        raise ConformanceError(
            f"{what} fails on another device than the CPU: {str(error).splitlines()[0]} "
            f"({Path(place.filename).name}:{place.lineno}: {place.line}); make tensors with "
            "`device=` of the weights or of the input, and register those that are kept as buffers"
        ) from error
    if not isinstance(result, _Elsewhere):
        raise ConformanceError(f"{what} of a density on another device returns a tensor on the CPU")
    return result.held
