"""Undoes what a plugin's import changes in torch, NumPy or Python (`undone`).

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


class _Look:
    """The state of everything at one moment; of torch, once it is there.

    Attributes:
        settings: values that can be compared, by what messages call them.
        owners: names, modules and classes, and the attributes that each has.
        with_compiler: whether torch's compiler was there.
    """

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {}
        self.take()

    def take(self) -> None:
        """Look at what has not been looked at before."""
        self.settings = {**_settings(), **self.settings}
        self.owners = [(name, owner, dict(vars(owner))) for name, owner in _owners()]
        self.with_compiler = "torch._dynamo" in sys.modules

    def put_back_settings(self) -> list[str]:
        """Set what has changed, and name it with the value that it had been given."""
        changed = []
        found = _settings()
        for name, value in self.settings.items():
            if found[name] != value:
                _set(name, value)
                is_long = isinstance(value, (bytes, tuple)) or len(str(found[name])) > 40
                changed.append(name if is_long else f"{name} ({found[name]})")
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
                if now.get(name) is value:
                    continue
                if name.startswith("_") and not callable(value):
                    continue  # a note of the module's own, which nobody else uses
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


def _settings() -> dict[str, Any]:
    """What is set now, by what messages call it; of NumPy and torch, where they are there."""
    found: dict[str, Any] = {"the seed of Python's random": random.getstate()}
    if "numpy.random" in sys.modules:
        kind, key, *rest = sys.modules["numpy"].random.get_state()
        found["the seed of NumPy"] = (kind, key.tobytes(), *rest)
    torch: Any = sys.modules.get("torch")
    if torch is None:
        return found
    flags = torch.backends.cudnn
    tiny = torch.full((), 1e-40, dtype=torch.float32, device="cpu")
    return found | {
        "the default device": str(torch.get_default_device()),
        "the default dtype": torch.get_default_dtype(),
        "the grad mode": torch.is_grad_enabled(),
        "the number of threads": torch.get_num_threads(),
        "the precision of products": torch.get_float32_matmul_precision(),
        "determinism": (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
        ),
        "cudnn's flags": (flags.enabled, flags.benchmark, flags.deterministic),
        "mkldnn": torch._C._get_mkldnn_enabled(),
        "denormal numbers": bool(tiny * 1.0 != 0),
        "autocast": torch.is_autocast_enabled("cpu"),
        "anomaly detection": torch.is_anomaly_enabled(),
        "hooks of all modules": tuple(dict(each) for each in _module_hooks(torch)),
        "the seed of torch": bytes(torch.default_generator.get_state().numpy().tobytes()),
    }


def _set(name: str, value: Any) -> None:
    """Set what `_settings` calls by this name; the default device first: others make tensors."""
    torch: Any = sys.modules.get("torch")
    match name:
        case "the seed of Python's random":
            random.setstate(value)
        case "the seed of NumPy":
            numpy: Any = sys.modules["numpy"]
            kind, key, *rest = value
            numpy.random.set_state((kind, numpy.frombuffer(key, numpy.uint32), *rest))
        case "the default device":  # None is the CPU too, and costs nothing at every call
            torch.set_default_device(None if value == "cpu" else value)
        case "the default dtype":
            torch.set_default_dtype(value)
        case "the grad mode":
            torch.set_grad_enabled(value)
        case "the number of threads":
            torch.set_num_threads(value)
        case "the precision of products":
            torch.set_float32_matmul_precision(value)
        case "determinism":
            torch.use_deterministic_algorithms(value[0], warn_only=value[1])
        case "cudnn's flags":
            flags = torch.backends.cudnn
            flags.enabled, flags.benchmark, flags.deterministic = value
        case "mkldnn":
            torch._C._set_mkldnn_enabled(value)
        case "denormal numbers":
            torch.set_flush_denormal(not value)
        case "autocast":
            torch.set_autocast_enabled("cpu", value)
        case "anomaly detection":
            torch.set_anomaly_enabled(value)
        case "hooks of all modules":
            for each, was in zip(_module_hooks(torch), value, strict=True):
                each.clear()
                each.update(was)
        case "the seed of torch":
            state = torch.frombuffer(bytearray(value), dtype=torch.uint8)
            torch.default_generator.set_state(state)


def _module_hooks(torch: Any) -> list[dict[Any, Any]]:
    """The hooks that run with every module, by kind."""
    return [
        value
        for name, value in sorted(vars(torch.nn.modules.module).items())
        if name.startswith("_global_") and isinstance(value, dict)
    ]


@contextlib.contextmanager
def _first_look_after_torch(before: _Look) -> Iterator[None]:
    """Inside the block, the first import of torch takes a snapshot of it before going on."""
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
            self.before.take()

        loader.exec_module = exec_module
        return spec
