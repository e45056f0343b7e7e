"""Measurements come through the same door as models: a plugin, a name, one owner."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from arbench.errors import ConfigError, PluginError
from arbench.registry.entries import MeasurementEntry
from arbench.registry.manager import Registered, Registry
from arbench.registry.plugins import missing_of_extra

Install = Callable[..., None]
RunPython = Callable[..., subprocess.CompletedProcess[str]]

PLUGIN = """
from arbench import MeasurementEntry, hookimpl

@hookimpl
def arbench_register_measurements():
    return [MeasurementEntry(name="nats-twice", measurement="twice_as_much:Twice", extra=EXTRA)]
"""
CLASS = """
from arbench import Measurement

class Twice(Measurement):
    name, version = "nats-twice", "1"
    unit = "nats"
    better = "lower"

    def measure(self, density, dataset, context):
        return self.measured({"nats": -2 * context.log_probs("test")})
"""


def offered(name: str, distribution: str) -> Registered[MeasurementEntry]:
    return Registered(MeasurementEntry(name=name, measurement="a.b:C"), "p", distribution, "1")


def test_a_measurement_is_found_by_name_and_a_clash_belongs_to_nobody() -> None:
    offers = [offered("truth", "x"), offered("speed", "x"), offered("speed", "y")]
    registry = Registry(offers)
    assert registry.find(MeasurementEntry, " Truth ").entry.name == "truth"
    assert list(registry.measurements) == ["truth"]
    with pytest.raises(PluginError, match=r"the measurement name 'speed' is offered by x 1 \(p\)"):
        registry.find(MeasurementEntry, "speed")
    with pytest.raises(ConfigError, match="no measurement is called 'trth': did you mean truth"):
        registry.find(MeasurementEntry, "trth")
    with pytest.raises(ConfigError, match="`arbench list measurements` shows all"):
        registry.find(MeasurementEntry, "zzzz")


def test_a_plugin_offers_a_measurement(install: Install, python: RunPython, tmp_path: Path) -> None:
    install("twice-plugin", "twice", PLUGIN.replace("EXTRA", "None"))
    (tmp_path / "twice_as_much.py").write_text(CLASS)
    done = python("-m", "arbench", "list", "measurements", "--json", ARBENCH_PLUGINS="twice")
    (row,) = json.loads(done.stdout)["measurements"]
    assert (row["unit"], row["better"], row["plugin"]) == ("nats", "lower", "twice-plugin")
    assert done.stderr == ""
    code = (
        "import sys\n"
        "from arbench.cli import main\n"
        "assert main(['list', 'plugins']) == main(['show', 'nats-twice']) == 0\n"
        "from arbench.measure.opening import open_measurement\n"
        "print(open_measurement('nats-twice').key)"
    )
    done = python("-c", code, ARBENCH_PLUGINS="twice")
    assert "measurement nats-twice" in done.stdout, done.stderr
    assert done.stdout.splitlines()[-1] == "nats-twice"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (PLUGIN.replace("EXTRA", "3"), "nats-twice: the extra is a int, expected text"),
        (PLUGIN.replace("[Meas", "Meas").replace(")]", ")"), "expected a list of MeasurementEntry"),
        (PLUGIN.replace("measurements()", "measurement()"), "did you mean arbench_register_meas"),
    ],
)
def test_what_is_no_entry_is_kept_out(
    source: str, words: str, install: Install, python: RunPython
) -> None:
    install("twice-plugin", "twice", source.replace("EXTRA", "None"))
    done = python("-m", "arbench", "list", "measurements", ARBENCH_PLUGINS="twice")
    assert done.returncode == 0
    assert words in done.stderr


def test_what_is_not_installed_is_said_with_the_command(
    install: Install, python: RunPython, tmp_path: Path
) -> None:
    metadata = (
        "Metadata-Version: 2.1\nName: twice-plugin\nVersion: 1.2\nProvides-Extra: more\n"
        'Requires-Dist: never-heard-of-it>=3; extra == "more"\n'
    )
    install("twice-plugin", "twice", PLUGIN.replace("EXTRA", "'more'"), metadata=metadata)
    (tmp_path / "twice_as_much.py").write_text("import never_heard_of_it\n" + CLASS)
    done = python("-m", "arbench", "list", "measurements", ARBENCH_PLUGINS="twice")
    assert "not installed: pip install 'twice-plugin[more]'" in done.stdout
    code = (
        "from arbench.measure.opening import open_measurement\n"
        "from arbench import ConfigError\n"
        "try: open_measurement('nats-twice')\n"
        "except ConfigError as error: print(error)"
    )
    done = python("-c", code, ARBENCH_PLUGINS="twice")
    assert done.stdout.strip() == (
        "nats-twice needs never-heard-of-it, which is not installed: "
        "pip install 'twice-plugin[more]'"
    ), done.stderr


def test_an_extra_is_followed_to_what_it_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "far_away-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: far-away\nVersion: 1.0\n"
        "Requires-Dist: also-lost\n"
        'Requires-Dist: never-heard-of-it; extra == "one"\n'
        'Requires-Dist: too-old; extra == "one" and python_version < "3"\n'
        'Requires-Dist: far-away[one]; extra == "two"\n'
        'Requires-Dist: far-away[two]; extra == "one"\n'
        'Requires-Dist: pluggy; extra == "three"\n'
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert missing_of_extra("far-away", "one") == ("never-heard-of-it",)
    assert missing_of_extra("far-away", "two") == ("never-heard-of-it",)
    assert missing_of_extra("far-away", "three") == ()
    assert missing_of_extra("far-away", "four") == ()
