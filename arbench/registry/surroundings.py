"""Surroundings: what of torch, Python and NumPy every model's numbers rest on.

A plugin is imported between two looks at them. A setting that it changed, a dtype or a seed, is put
back, told, and written into records; of functions and classes that it replaced the first is named,
all are put back, and the plugin is refused: what was imported meanwhile may hold the wrong ones.
Nothing here imports torch: where it is not there yet, the first look is taken once it is.
"""

from __future__ import annotations

import contextlib
import importlib.machinery
import importlib.util
import operator
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from arbench.registry.plugins import UnfitError

# Whose attributes are held fast, and those of the classes in them.
_MODULES = ["torch", "torch.nn.functional", "torch.nn", "torch.nn.init", "torch.optim"]
_MODULES += ["torch.linalg", "torch.special", "torch.fft", "torch.autograd"]
# torch itself sets these: with the default dtype, and when its compiler is imported.
_STORAGE, _WRAPPED = "torch.Storage", "torch.manual_seed"

_undone: list[str] = []
_refused: dict[str, str] = {}


class TamperedError(UnfitError):
    """A plugin replaced what others compute with."""


def undone() -> list[str]:
    """What plugins changed in this process and was put back, a line for each plugin."""
    return [*_undone]


@contextlib.contextmanager
def undisturbed(plugin: str, tell: Callable[[str], None]) -> Iterator[None]:
    """Within, a plugin is imported; afterwards everything is as it was.

    Args:
        plugin: what messages call it.
        tell: is given a line about settings that were changed.

    Raises:
        TamperedError: if it replaced an attribute of torch, now or before.
    """
    if plugin in _refused:
        raise TamperedError(_refused[plugin])
    before = _Look()
    with _first_look_after_torch(before):
        try:
            yield
        finally:
            replaced = before.put_back_attributes()
            settings = before.put_back_settings()
            if settings:
                line = f"{plugin}: {', '.join(settings)}"
                _undone.append(line)
                tell(f"{plugin} changes {', '.join(settings)} when it is imported: put back")
    if replaced:
        _refused[plugin] = (
            f"it replaces {' and '.join(replaced[:3])} when it is imported, which changes the "
            "numbers of other models; everything was put back"
        )
        raise TamperedError(_refused[plugin])


@dataclass
class _Setting:
    """How a setting is read, as a value that can be compared, and how it is set."""

    read: Callable[[], Any]
    write: Callable[[Any], object]


@dataclass
class _Look:
    """The state of everything at one moment; of torch, once it is there."""

    settings: dict[str, tuple[_Setting, Any]] = field(default_factory=dict)
    owners: list[tuple[str, Any, dict[str, Any]]] = field(default_factory=list)
    with_compiler: bool = False

    def __post_init__(self) -> None:
        self._add({"the seed of Python's random": _Setting(random.getstate, random.setstate)})
        if "numpy" in sys.modules:
            self._add(_numpy_settings(sys.modules["numpy"]))
        if "torch" in sys.modules:
            self.look_at_torch()

    def look_at_torch(self) -> None:
        """Add torch, which has been imported just now or long ago."""
        self._add(_torch_settings(sys.modules["torch"]))
        self.owners = [(name, owner, dict(vars(owner))) for name, owner in _owners()]
        self.with_compiler = "torch._dynamo" in sys.modules

    def _add(self, settings: dict[str, _Setting]) -> None:
        self.settings |= {name: (each, each.read()) for name, each in settings.items()}

    def put_back_settings(self) -> list[str]:
        """Set what has changed, and name it with the value that it had been given."""
        changed = []
        for name, (setting, value) in self.settings.items():
            found = setting.read()
            if found != value:
                setting.write(value)
                changed.append(name if _is_long(found) else f"{name} ({found})")
        return changed

    def put_back_attributes(self) -> list[str]:
        """Restore what was replaced, taken away or hidden, and name it."""
        changed = []
        for owner_name, owner, before in self.owners:
            now = vars(owner)
            same = len(now) == len(before) and all(map(operator.is_, before.values(), now.values()))
            if same:
                continue
            for name, value in before.items():
                if now.get(name) is value or not _counts(name, value):
                    continue
                full_name = f"{owner_name}.{name}"
                wraps = "torch._dynamo" in sys.modules and not self.with_compiler
                if full_name == _STORAGE or (full_name == _WRAPPED and wraps):
                    continue
                setattr(owner, name, value)
                changed.append(full_name)
            for name in _hiding(owner, before):
                delattr(owner, name)
                changed.append(f"{owner_name}.{name}")
        return changed


def _counts(name: str, value: Any) -> bool:
    """Whether an attribute is part of what others use; modules keep notes under other names."""
    return callable(value) or not name.startswith("_")


def _hiding(owner: Any, before: dict[str, Any]) -> list[str]:
    """The new methods of a class that hide inherited ones."""
    if not isinstance(owner, type):
        return []
    inherited = owner.__mro__[1:]
    return [
        name
        for name, value in vars(owner).items()
        if name not in before
        if callable(value) or hasattr(value, "__get__")
        if any(name in vars(base) for base in inherited)
    ]


def _owners() -> Iterator[tuple[str, Any]]:
    """The modules and classes whose attributes are held fast, by name."""
    seen: set[int] = set()
    for module_name in _MODULES:
        module = sys.modules.get(module_name)
        if module is None:
            continue
        yield module_name, module
        for name, value in vars(module).items():
            own = isinstance(value, type) and value.__module__.partition(".")[0] == "torch"
            if own and id(value) not in seen and value.__flags__ & 1 << 9:  # of Python, not of C
                seen.add(id(value))
                yield f"{module_name}.{name}", value


def _is_long(value: Any) -> bool:
    return isinstance(value, (bytes, tuple, dict)) or len(str(value)) > 40


def _numpy_settings(numpy: ModuleType) -> dict[str, _Setting]:
    if "numpy.random" not in sys.modules:
        return {}

    def read() -> Any:
        kind, key, *rest = numpy.random.get_state()
        return kind, key.tobytes(), *rest

    def write(state: Any) -> None:
        kind, key, *rest = state
        numpy.random.set_state((kind, numpy.frombuffer(key, numpy.uint32), *rest))

    return {"the seed of NumPy": _Setting(read, write)}


def _torch_settings(torch: Any) -> dict[str, _Setting]:
    """By what messages call them. The default device comes first: others make tensors."""
    hooks = [
        value
        for name, value in sorted(vars(torch.nn.modules.module).items())
        if name.startswith("_global_") and isinstance(value, dict)
    ]

    def write_hooks(state: Any) -> None:
        for each, was in zip(hooks, state, strict=True):
            each.clear()
            each.update(was)

    def read_seed() -> bytes:
        return bytes(torch.default_generator.get_state().numpy().tobytes())

    def write_seed(state: bytes) -> None:
        values = torch.frombuffer(bytearray(state), dtype=torch.uint8)
        torch.default_generator.set_state(values)

    def read_determinism() -> tuple[bool, bool]:
        warns = torch.is_deterministic_algorithms_warn_only_enabled()
        return torch.are_deterministic_algorithms_enabled(), warns

    def keeps_denormals() -> bool:
        tiny = torch.full((), 1e-40, dtype=torch.float32, device="cpu")
        return bool(tiny * 1.0 != 0)

    cudnn = torch.backends.cudnn
    flags = ("enabled", "benchmark", "deterministic")

    def write_flags(state: Any) -> None:
        for flag, value in zip(flags, state, strict=True):
            setattr(cudnn, flag, value)

    return {
        "the default device": _Setting(
            lambda: str(torch.get_default_device()),
            # None is the CPU too, and costs nothing at every call.
            lambda v: torch.set_default_device(None if v == "cpu" else v),
        ),
        "the default dtype": _Setting(torch.get_default_dtype, torch.set_default_dtype),
        "the grad mode": _Setting(torch.is_grad_enabled, torch.set_grad_enabled),
        "the number of threads": _Setting(torch.get_num_threads, torch.set_num_threads),
        "the precision of products": _Setting(
            torch.get_float32_matmul_precision, torch.set_float32_matmul_precision
        ),
        "determinism": _Setting(
            read_determinism,
            lambda v: torch.use_deterministic_algorithms(v[0], warn_only=v[1]),
        ),
        "cudnn's flags": _Setting(
            lambda: tuple(getattr(cudnn, flag) for flag in flags),
            write_flags,
        ),
        "mkldnn": _Setting(torch._C._get_mkldnn_enabled, torch._C._set_mkldnn_enabled),
        "denormal numbers": _Setting(keeps_denormals, lambda v: torch.set_flush_denormal(not v)),
        "autocast": _Setting(
            lambda: torch.is_autocast_enabled("cpu"),
            lambda v: torch.set_autocast_enabled("cpu", v),
        ),
        "anomaly detection": _Setting(torch.is_anomaly_enabled, torch.set_anomaly_enabled),
        "hooks of all modules": _Setting(lambda: tuple(dict(each) for each in hooks), write_hooks),
        "the seed of torch": _Setting(read_seed, write_seed),
    }


@contextlib.contextmanager
def _first_look_after_torch(before: _Look) -> Iterator[None]:
    """Within, whoever imports torch lets it be looked at before going on."""
    if "torch" in sys.modules:
        yield
        return
    finder = _TorchFinder(before)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        if finder in sys.meta_path:
            sys.meta_path.remove(finder)


class _TorchFinder:
    """Finds torch as everybody does, and looks at it once it is imported."""

    def __init__(self, before: _Look) -> None:
        self.before = before

    def find_spec(
        self, name: str, path: Any = None, target: Any = None
    ) -> importlib.machinery.ModuleSpec | None:
        """See `importlib.abc.MetaPathFinder`."""
        if name != "torch":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            return spec
        loader: Any = spec.loader
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            self.before.look_at_torch()

        loader.exec_module = exec_module
        return spec
