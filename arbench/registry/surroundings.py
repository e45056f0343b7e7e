"""Runs the code of plugins: contains what it raises, and undoes what it changes (`undone`).

A plugin is imported between two looks at torch, NumPy and Python. A setting that it changed, a
dtype or a seed, is put back, told, and written into records; of functions and classes that it
replaced the first is named, all are put back, and the plugin is refused: what was imported
meanwhile may hold the wrong ones. Nothing here imports torch: where it is not there yet, the first
look is taken once it is.
"""

from __future__ import annotations

import contextlib
import functools
import operator
import random
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from arbench.errors import Interrupted, PluginError

# Whose attributes are held fast, and those of the classes in them.
_MODULES = ["torch", "torch.nn.functional", "torch.nn", "torch.nn.init", "torch.optim"]
_MODULES += ["torch.linalg", "torch.special", "torch.fft", "torch.autograd"]
# torch itself sets these: with the default dtype, and when its compiler is imported.
_STORAGE, _WRAPPED = "torch.Storage", "torch.manual_seed"
# Modules and classes by name, each with the attributes that it had.
_Owners = dict[str, tuple[Any, dict[str, Any]]]

undone: list[str] = []
"""What plugins changed in this process and was put back, a line for each plugin."""
tampered: dict[str, str] = {}
"""Which plugins replaced what others compute with, and what is said of each: it is refused."""


@contextlib.contextmanager
def contained() -> Iterator[None]:
    """Turn whatever a plugin raises, `SystemExit` included, into `PluginError`, in one line."""
    try:
        yield
    except BaseException as error:
        _blame(error)


def _blame(error: BaseException) -> NoReturn:
    """Raise what a plugin's code raised as `PluginError`, or as it is if it is nobody's fault."""
    if isinstance(error, (KeyboardInterrupt, Interrupted, MemoryError)):
        raise error
    kind = "" if isinstance(error, PluginError) else f"{type(error).__name__}: "
    raise PluginError(" ".join(f"{kind}{error}".split())) from error


@contextlib.contextmanager
def undisturbed(plugin: str, tell: Callable[[str], None]) -> Iterator[None]:
    """Within, a plugin is imported, `contained`; afterwards everything is as it was.

    Args:
        plugin: what messages call it.
        tell: is given a line about settings that were changed.

    Raises:
        PluginError: if it raises, or replaced an attribute of torch, now or before: see `tampered`.
    """
    if plugin in tampered:
        raise PluginError(tampered[plugin])
    owners: _Owners = {}
    settings: dict[str, Any] = {}
    _look(owners, settings)
    with contextlib.ExitStack() as stack:
        if "torch" not in sys.modules:
            from arbench.registry.torch_import import followed_by

            stack.enter_context(followed_by(functools.partial(_look, owners, settings)))
        try:
            yield
        except BaseException as error:
            _blame(error)
        finally:
            replaced, changed = _put_back(owners, settings)
            if changed:
                undone.append(f"{plugin}: {', '.join(changed)}")
                tell(f"{plugin} changes {', '.join(changed)} when it is imported: put back")
    if replaced:
        tampered[plugin] = (
            f"it replaces {' and '.join(replaced[:3])} when it is imported, which changes the "
            "numbers of other models; everything was put back"
        )
        raise PluginError(tampered[plugin])


def _look(owners: _Owners, settings: dict[str, Any]) -> None:
    """Take down the state of everything that was not there at the look before.

    Args:
        owners: is given what has attributes.
        settings: is given values that can be compared, by what messages call them.
    """
    settings |= {**_settings(), **settings}
    seen: set[int] = set()
    for module_name in _MODULES:
        if module_name not in sys.modules:
            continue
        module = sys.modules[module_name]
        owners[module_name] = (module, dict(vars(module)))
        for name, value in vars(module).items():
            own = isinstance(value, type) and value.__module__.partition(".")[0] == "torch"
            if own and id(value) not in seen and value.__flags__ & 1 << 9:  # of Python, not C
                seen.add(id(value))
                owners[f"{module_name}.{name}"] = (value, dict(vars(value)))


def _put_back(owners: _Owners, settings: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Restore what is not as `_look` found it.

    Returns:
        The attributes that were replaced, taken away or hidden; the settings that were changed,
        with the values that they had been given.
    """
    replaced = []
    for owner_name, (owner, before) in owners.items():
        now = vars(owner)
        if len(now) == len(before) and all(map(operator.is_, before.values(), now.values())):
            continue
        for name, value in before.items():
            if now.get(name) is value:
                continue
            if name.startswith("_") and not callable(value):
                continue  # a note of the module's own, which nobody else uses
            full_name = f"{owner_name}.{name}"
            wraps = "_dynamo" in now and "_dynamo" not in before  # torch's compiler has come
            if full_name == _STORAGE or (full_name == _WRAPPED and wraps):
                continue
            setattr(owner, name, value)
            replaced.append(full_name)
        # The new methods of a class that hide inherited ones.
        inherited = owner.__mro__[1:] if isinstance(owner, type) else ()
        for name, value in [*vars(owner).items()]:
            is_method = callable(value) or hasattr(value, "__get__")
            if name in before or not is_method:
                continue
            if any(name in vars(base) for base in inherited):
                delattr(owner, name)
                replaced.append(f"{owner_name}.{name}")

    changed = []
    found = _settings()
    for name, value in settings.items():
        if found[name] != value:
            _set(name, value)
            is_long = isinstance(value, (bytes, tuple, dict)) or len(str(found[name])) > 40
            changed.append(name if is_long else f"{name} ({found[name]})")
    return replaced, changed


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
    with warnings.catch_warnings():  # torch 2.9 advises against asking
        warnings.simplefilter("ignore", UserWarning)
        of_products = torch.get_float32_matmul_precision()
    return found | {
        "the default device": str(torch.get_default_device()),
        "the default dtype": torch.get_default_dtype(),
        "the grad mode": torch.is_grad_enabled(),
        "the number of threads": torch.get_num_threads(),
        "the precision of products": of_products,
        "determinism": (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
        ),
        "cudnn's flags": (flags.enabled, flags.benchmark, flags.deterministic),
        "mkldnn": torch._C._get_mkldnn_enabled(),
        "denormal numbers": bool(tiny * 1.0 != 0),
        "autocast": torch.is_autocast_enabled("cpu"),
        "anomaly detection": torch.is_anomaly_enabled(),
        "hooks of all modules": {
            name: dict(hooks)
            for name, hooks in vars(torch.nn.modules.module).items()
            if name.startswith("_global_") and isinstance(hooks, dict)
        },
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
            for kind, was in value.items():
                hooks = getattr(torch.nn.modules.module, kind)
                hooks.clear()
                hooks.update(was)
        case "the seed of torch":
            state = torch.frombuffer(bytearray(value), dtype=torch.uint8)
            torch.default_generator.set_state(state)
