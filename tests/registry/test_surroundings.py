"""A plugin's import leaves no trace in what others compute: undone and told, or refused."""

from __future__ import annotations

import importlib
import json
import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from arbench.cli import main
from arbench.errors import PluginError
from arbench.registry import surroundings
from arbench.registry.surroundings import undisturbed

Install = Callable[..., None]
RunPython = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(autouse=True)
def _nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surroundings, "undone", [])
    monkeypatch.setattr(surroundings, "tampered", {})


SETTINGS: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "the default dtype (torch.float64)": (
        lambda: torch.set_default_dtype(torch.float64),
        torch.get_default_dtype,
    ),
    "the default device (meta)": (
        lambda: torch.set_default_device("meta"),
        lambda: torch.zeros(1).device,
    ),
    "the grad mode (False)": (lambda: torch.set_grad_enabled(False), torch.is_grad_enabled),
    "the number of threads (3)": (lambda: torch.set_num_threads(3), torch.get_num_threads),
    "the precision of products (medium)": (
        lambda: torch.set_float32_matmul_precision("medium"),
        torch.get_float32_matmul_precision,
    ),
    "determinism": (
        lambda: torch.use_deterministic_algorithms(True),
        torch.are_deterministic_algorithms_enabled,
    ),
    "cudnn's flags": (
        lambda: setattr(torch.backends.cudnn, "benchmark", True),
        lambda: torch.backends.cudnn.benchmark,
    ),
    "mkldnn (False)": (
        lambda: torch.backends.mkldnn.set_flags(False),
        torch._C._get_mkldnn_enabled,
    ),
    "denormal numbers (False)": (
        lambda: torch.set_flush_denormal(True),
        lambda: float(torch.tensor([1e-40]) * 1),
    ),
    "autocast (True)": (
        lambda: torch.set_autocast_enabled("cpu", True),
        lambda: torch.is_autocast_enabled("cpu"),
    ),
    "anomaly detection (True)": (
        lambda: torch.autograd.set_detect_anomaly(True),
        torch.is_anomaly_enabled,
    ),
    "hooks of all modules": (
        lambda: nn.modules.module.register_module_forward_hook(lambda *_: torch.zeros(1)),
        lambda: nn.Identity()(5),
    ),
    "the seed of torch": (lambda: torch.manual_seed(7), torch.initial_seed),
    "the seed of NumPy": (
        lambda: np.random.seed(7),
        lambda: np.random.get_state()[1].tolist(),  # type: ignore[index,union-attr]
    ),
    "the seed of Python's random": (lambda: random.seed(7), random.getstate),
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_setting_is_put_back_and_told(setting: str) -> None:
    change, read = SETTINGS[setting]
    before = read()
    told: list[str] = []
    with undisturbed("plugin bad", told.append):
        change()
        assert read() != before
    assert read() == before
    assert told == [f"plugin bad changes {setting} when it is imported: put back"]
    assert surroundings.undone == [f"plugin bad: {setting}"]


def test_a_hook_of_all_modules_that_was_there_before_stays() -> None:
    handle = nn.modules.module.register_module_forward_hook(lambda *_: torch.zeros(1))
    try:
        with undisturbed("plugin bad", print):
            nn.modules.module.register_module_forward_hook(lambda *_: torch.ones(1))
            assert nn.Identity()(5) == 1
        assert nn.Identity()(5) == 0
    finally:
        handle.remove()


def _failing_import() -> None:
    torch.set_default_dtype(torch.float64)
    raise ZeroDivisionError


def test_a_setting_is_put_back_when_the_import_fails_too() -> None:
    with pytest.raises(PluginError, match="ZeroDivisionError"), undisturbed("plugin bad", print):
        _failing_import()
    assert torch.get_default_dtype() == torch.float32
    assert len(surroundings.undone) == 1


def test_what_changes_nothing_is_not_mentioned() -> None:
    told: list[str] = []
    with undisturbed("plugin good", told.append):
        torch.arbench_probe = 1  # type: ignore[attr-defined]
        nn.Linear.arbench_probe = 1  # type: ignore[attr-defined]
        importlib.import_module("torch.distributions")
    del torch.arbench_probe, nn.Linear.arbench_probe  # type: ignore[attr-defined]
    assert told == surroundings.undone == []


OWNERS: dict[str, tuple[Any, Any]] = {
    "torch.exp": (torch, torch.abs),
    "torch.nn.functional.softplus": (functional, functional.relu),
    "torch.Tensor.sigmoid": (torch.Tensor, lambda x: x),  # inherited: the new one hides it
    "torch.nn.Linear.forward": (nn.Linear, lambda self, x: x),
    "torch.nn.Linear.__call__": (nn.Linear, lambda self, x: x),
    "torch.nn.Module.state_dict": (nn.Module, dict),
    "torch.optim.Adam.step": (torch.optim.Adam, None),
    "torch.float32": (torch, torch.float64),
}


@pytest.mark.parametrize("name", OWNERS)
def test_a_replaced_attribute_is_put_back_and_the_plugin_refused(name: str) -> None:
    owner, other = OWNERS[name]
    attribute = name.rpartition(".")[2]
    before, was_own = getattr(owner, attribute), attribute in vars(owner)
    said = f"it replaces {name} when it is imported"
    with pytest.raises(PluginError, match=said), undisturbed("plugin bad", print):
        setattr(owner, attribute, other)
    assert getattr(owner, attribute) == before
    assert (attribute in vars(owner)) == was_own
    assert [*surroundings.tampered] == ["plugin bad"]
    # It is in `sys.modules` now, and a second import would not show it.
    with pytest.raises(PluginError, match=said), undisturbed("plugin bad", print):
        raise AssertionError
    with undisturbed("plugin good", print):
        pass


def test_an_attribute_that_is_taken_away_is_put_back() -> None:
    before = torch.log
    with pytest.raises(PluginError, match=r"torch\.log"), undisturbed("plugin bad", print):
        del torch.log  # type: ignore[attr-defined]
    assert torch.log is before


FIRST = """
from arbench.errors import PluginError
from arbench.registry.surroundings import undisturbed
told = []
try:
    with undisturbed("plugin bad", told.append):
        import torch
        real = torch.exp
        torch.exp = torch.abs
        torch.set_default_dtype(torch.float64)
except PluginError as error:
    print(error)
assert torch.exp is real
assert torch.get_default_dtype() == torch.float32
assert len(told) == 1
"""
OWN = """
from arbench.registry.surroundings import undisturbed
told = []
with undisturbed("plugin good", told.append):
    import torch, torch.onnx, torch.distributed, torch._dynamo
with undisturbed("plugin good", told.append):
    import torch._inductor, scipy.stats, pandas
assert told == []
"""


def test_whoever_imports_torch_first_is_held_to_it_too(python: RunPython) -> None:
    done = python("-c", FIRST)
    assert done.returncode == 0, done.stderr
    assert "replaces torch.exp" in done.stdout


@pytest.mark.slow
def test_what_torch_changes_itself_is_no_change(python: RunPython) -> None:
    done = python("-c", OWN)
    assert done.returncode == 0, done.stderr


ENTRY = """
{entry}
from arbench import ModelEntry, hookimpl

@hookimpl
def arbench_register_models():
    return [ModelEntry(name="bad-model", network="bad_network:Net")]
"""
NETWORK = """
import torch
{network}
class Net(torch.nn.Module):
    def __init__(self, layout, num_params):
        super().__init__()
        self.logits = torch.nn.Parameter(torch.zeros(layout.num_sites, num_params))
    def forward(self, sites):
        return self.logits.expand(len(sites), -1, -1)
"""
DOUBLE = "import torch; torch.set_default_dtype(torch.float64); torch.set_grad_enabled(False)"
PATCH = "import torch.nn.functional as F; F.softplus = F.relu"
RUN = ["run", "--task", "toy-markov", "--limit", "50", "--device", "cpu", "--epochs", "2"]


def _run(
    install: Install, python: RunPython, folder: Path, model: str, *, entry: str, network: str
) -> subprocess.CompletedProcess[str]:
    install("bad-dist", "bad", ENTRY.format(entry=entry))
    (folder / "bad_network.py").write_text(NETWORK.format(network=network))
    arguments = [*RUN, "--model", model, "--out", str(folder / "run")]
    return python("-m", "arbench", *arguments, OMP_NUM_THREADS="1")


def test_a_plugin_that_sets_torch_changes_no_number_and_stands_in_the_record(
    install: Install, python: RunPython, tmp_path: Path
) -> None:
    """Of a built-in model: a plugin's first module is imported for whatever is run."""
    done = _run(install, python, tmp_path, "fvsbn", entry=DOUBLE, network="")
    assert done.returncode == 0, done.stderr
    what = "the default dtype (torch.float64), the grad mode (False)"
    plugin = "plugin bad of bad-dist 1.2"
    warning = f"arbench: warning: {plugin} changes {what} when it is imported: put back"
    assert warning in done.stderr.splitlines()
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    assert record["environment"]["undone"] == [f"{plugin}: {what}"]
    assert main([*RUN, "--model", "fvsbn", "--out", str(tmp_path / "alone")]) == 0
    alone = json.loads((tmp_path / "alone" / "record.json").read_text())
    assert alone["environment"]["undone"] == []
    found, expected = (r["measurements"]["likelihood"] for r in (record, alone))
    assert (found["validation"], found["test"]) == (expected["validation"], expected["test"])
    assert record["sha256"]["weights"] == alone["sha256"]["weights"]


@pytest.mark.parametrize("place", ["entry", "network"])
def test_a_plugin_that_patches_torch_ends_the_run_by_name(
    install: Install, python: RunPython, tmp_path: Path, place: str
) -> None:
    parts = {"entry": "", "network": "", place: PATCH}
    model = "fvsbn" if place == "entry" else "bad-model"
    done = _run(install, python, tmp_path, model, **parts)
    assert done.returncode == 5, done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("arbench: error: ")
    assert "bad-dist 1.2" in last
    assert "torch.nn.functional.softplus" in last
    assert not (tmp_path / "run").exists()


def test_listing_names_it_and_goes_on(install: Install, python: RunPython) -> None:
    install("bad-dist", "bad", ENTRY.format(entry=PATCH))
    done = python("-m", "arbench", "list")
    assert done.returncode == 0
    said = "plugin bad of bad-dist 1.2 is left out: it replaces torch.nn.functional.softplus"
    assert said in done.stderr
    assert "nade" in done.stdout
