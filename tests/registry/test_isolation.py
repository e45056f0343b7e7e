"""A failing plugin is named, kept out, and takes nothing down; one real distribution per kind."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

Install = Callable[..., None]
RunPython = Callable[..., subprocess.CompletedProcess[str]]

GOOD = """
from arbench import ModelEntry, TaskEntry, hookimpl

@hookimpl
def arbench_register_models():
    return [ModelEntry(name="good-model", network="good.network:Net", summary="works")]

@hookimpl
def arbench_register_tasks():
    return [TaskEntry(name="good-task", task="good.task:Data")]
"""


HEAD = "from arbench import ModelEntry, TaskEntry, hookimpl\n"
MODELS = "@hookimpl\ndef arbench_register_models():\n    "
ONE = 'ModelEntry(name="bad-model", network="bad.net:Net")'

# kind of failure -> (source of the plugin, words that the warning must contain)
FAILURES = {
    "raises": ("raise RuntimeError('two\\nlines')", "RuntimeError: two lines"),
    "missing-import": ("import no_such_module_anywhere", "no_such_module_anywhere"),
    "syntax-error": ("def (", "SyntaxError"),
    "exits": ("import sys; sys.exit(3)", "SystemExit: 3"),
    "raises-base": ("class E(BaseException): pass\nraise E('x')", "E: x"),
    "prints": (f"{HEAD}print('hello')\n{MODELS}return [{ONE}]", "prints"),
    "prints-in-hook": (f"{HEAD}{MODELS}print('hello'); return [{ONE}]", "prints"),
    "misspells": (
        f"{HEAD}@hookimpl\ndef arbench_register_modles():\n    return [{ONE}]",
        "did you mean arbench_register_models",
    ),
    "unmarked": (f"{HEAD}def arbench_register_models():\n    return [{ONE}]", "@hookimpl"),
    "no-hook": ("x = 1", "implements no hook"),
    "wrong-signature": (f"{HEAD}@hookimpl\ndef arbench_register_models(x): return []", "x"),
    "hook-raises": (f"{HEAD}{MODELS}return 1 / 0", "ZeroDivisionError"),
    "hook-exits": (f"{HEAD}{MODELS}raise SystemExit", "SystemExit"),
    "returns-none": (f"{HEAD}{MODELS}[{ONE}]", "returned None"),
    "returns-text": (f"{HEAD}{MODELS}return 'bad-model'", "returned a str"),
    "returns-one": (f"{HEAD}{MODELS}return {ONE}", "returned a ModelEntry, expected a list"),
    "returns-generator": (f"{HEAD}{MODELS}return (x for x in [{ONE}])", "returned a generator"),
    "offers-text": (f"{HEAD}{MODELS}return [{ONE}, 'x']", "offers a str"),
    "offers-task-as-model": (
        f"{HEAD}{MODELS}return [TaskEntry(name='bad-model', task='a.b:C')]",
        "offers a TaskEntry, expected ModelEntry",
    ),
    "bad-name": (f"{HEAD}{MODELS}return [ModelEntry(name='../x', network='a.b:C')]", "'../x'"),
    "bad-target": (f"{HEAD}{MODELS}return [ModelEntry(name='bad', network='a b')]", "'a b'"),
    "bad-field": (
        f"{HEAD}{MODELS}return [ModelEntry(name='bad', network='a.b:C', summary=3)]",
        "the summary is a int",
    ),
    "twice": (f"{HEAD}{MODELS}return [{ONE}, {ONE}]", "'bad-model' twice"),
    "list-is-text": (f"{HEAD}arbench_entries = 'bad-model'", "arbench_entries is a str"),
    "list-is-one": (f"{HEAD}arbench_entries = {ONE}", "is a ModelEntry, expected a list of"),
    "list-offers-text": (f"{HEAD}arbench_entries = [{ONE}, 'x']", "arbench_entries offers a str"),
    "list-has-a-bad-field": (
        f"{HEAD}arbench_entries = [TaskEntry(name='bad', task='a.b:C', summary=3)]",
        "the summary is a int",
    ),
    "list-offers-twice": (f"{HEAD}arbench_entries = [{ONE}, {ONE}]", "'bad-model' twice"),
    "list-misspelt": (f"{HEAD}arbench_entrys = [{ONE}]", "has no list arbench_entries"),
    "list-and-hook-offer-twice": (
        f"{HEAD}arbench_entries = [{ONE}]\n{MODELS}return [{ONE}]",
        "'bad-model' twice",
    ),
    "list-beside-a-misspelt-hook": (
        f"{HEAD}arbench_entries = [{ONE}]\n@hookimpl\ndef arbench_register_modles(): return []",
        "did you mean arbench_register_models",
    ),
    "list-beside-an-unmarked-hook": (
        f"{HEAD}arbench_entries = [{ONE}]\ndef arbench_register_models(): return []",
        "@hookimpl",
    ),
}


LISTING = """
import json
from arbench.registry.manager import registry
found = registry()
statuses = {plugin.name: plugin.status for plugin in found.plugins}
print(json.dumps([sorted(found.models), sorted(found.tasks), statuses]))
"""


@dataclass
class Listed:
    """What a child process found and said."""

    models: list[str]
    tasks: list[str]
    statuses: dict[str, str]
    errors: str


def listed(python: RunPython, **variables: str) -> Listed:
    """What a child process finds, and what it says on standard error."""
    done = python("-c", LISTING, **variables)
    assert done.returncode == 0, done.stderr
    return Listed(*json.loads(done.stdout), errors=done.stderr)


@pytest.mark.parametrize("kind", FAILURES)
def test_a_failing_plugin_is_named_and_harms_nothing(
    kind: str, install: Install, python: RunPython
) -> None:
    source, words = FAILURES[kind]
    install("bad-dist", "bad", source)
    install("good-dist", "good", GOOD)
    found = listed(python, ARBENCH_PLUGINS="good,bad")
    assert (found.models, found.tasks) == (["good-model"], ["good-task"])
    statuses = {name: found.statuses[name] for name in ("good", "bad")}
    assert statuses == {"good": "loaded", "bad": "failed"}
    (warning,) = found.errors.splitlines()
    assert warning.startswith("arbench: warning: plugin bad of bad-dist 1.2 is left out: ")
    assert words in warning


def test_all_failures_at_once_leave_the_others_as_they_were(
    install: Install, python: RunPython
) -> None:
    install("good-dist", "good", GOOD)
    before = listed(python)
    for number, (source, _) in enumerate(FAILURES.values()):
        install(f"bad-dist-{number}", f"bad{number}", source)
    after = listed(python)
    assert "good-model" in before.models
    assert (after.models, after.tasks) == (before.models, before.tasks)
    failed = {f"bad{number}": "failed" for number in range(len(FAILURES))}
    assert after.statuses == {**before.statuses, **failed}


LISTED = """
from arbench import CommandEntry, HeadEntry, LauncherEntry, MeasurementEntry, ModelEntry, TaskEntry
from arbench import LoggerEntry, hookimpl

arbench_entries = (
    ModelEntry(name="good", network="good.network:Net"),
    TaskEntry(name="good", task="good.task:Data"),
    HeadEntry(name="good", head="good.head:Head"),
    MeasurementEntry(name="good", measurement="good.measurement:Question"),
    CommandEntry(name="good", command="good.command:command"),
    LauncherEntry(name="good", launcher="good.launcher:Launcher"),
    LoggerEntry(name="good", logger="good.logger:Logger"),
)

@hookimpl
def arbench_register_models():
    return [ModelEntry(name="of-a-hook", network="good.network:Net")]

@hookimpl
def arbench_register_launchers():
    return [LauncherEntry(name="of-a-hook", launcher="good.launcher:Launcher")]

@hookimpl
def arbench_register_loggers():
    return [LoggerEntry(name="of-a-hook", logger="good.logger:Logger")]
"""


def test_a_list_holds_entries_of_all_kinds_and_hooks_add_to_it(
    install: Install, python: RunPython
) -> None:
    """One name in several kinds is no clash: nobody types a task where a model is wanted."""
    install("good-dist", "good", LISTED)
    code = (
        "from arbench.registry.manager import registry\n"
        "found = registry()\n"
        "kinds = (found.models, found.tasks, found.heads, found.measurements, found.commands)\n"
        "print([[*kind] for kind in kinds], [*found.launchers], [*found.loggers], found.clashes)"
    )
    done = python("-c", code, ARBENCH_PLUGINS="good")
    assert done.stderr == ""
    ours = "['good', 'of-a-hook']"
    assert done.stdout == f"[{ours}, ['good'], ['good'], ['good'], ['good']] {ours} {ours} {{}}\n"


@pytest.mark.parametrize("kind", ["raises", "exits", "misspells", "bad-name"])
def test_strict_raises(kind: str, install: Install, python: RunPython) -> None:
    install("bad-dist", "bad", FAILURES[kind][0])
    done = python("-m", "arbench", "list", ARBENCH_STRICT_PLUGINS="1", ARBENCH_PLUGINS="bad")
    assert done.returncode == 5
    (line,) = done.stderr.splitlines()
    assert line.startswith("arbench: error: plugin bad of bad-dist 1.2: ")


@pytest.mark.parametrize(
    "text", ["[arbench]\nno equals sign\n", "[arbench]\ngood = = =\n"], ids=["pair", "value"]
)
def test_damaged_entry_points_harm_nothing(text: str, install: Install, python: RunPython) -> None:
    install("good-dist", "good", GOOD)
    install("bad-dist", "bad", "", entry_points=text)
    found = listed(python)
    assert "good-model" in found.models
    assert "bad-dist 1.2 is left out" in found.errors


def test_undecodable_entry_points_harm_nothing(
    install: Install, python: RunPython, tmp_path: Path
) -> None:
    install("good-dist", "good", GOOD)
    install("bad-dist", "bad", "")
    (tmp_path / "bad_dist-1.2.dist-info" / "entry_points.txt").write_bytes(b"[arbench]\n\xff\xfe")
    found = listed(python)
    assert "good-model" in found.models
    assert "bad-dist 1.2 is left out" in found.errors


def test_a_distribution_without_metadata_harms_nothing(install: Install, python: RunPython) -> None:
    install("good-dist", "good", GOOD)
    install("bad-dist", "bad", "raise ValueError", metadata="\n")
    found = listed(python)
    assert "good-model" in found.models
    assert "plugin bad of (unnamed distribution)" in found.errors


def test_a_distribution_found_twice_counts_once(
    install: Install, python: RunPython, tmp_path: Path
) -> None:
    install("good-dist", "good", GOOD)
    (tmp_path / "again" / "good_dist-1.1.dist-info").mkdir(parents=True)
    older = tmp_path / "again" / "good_dist-1.1.dist-info"
    (older / "METADATA").write_text("Metadata-Version: 2.1\nName: Good_Dist\nVersion: 1.1\n")
    (older / "entry_points.txt").write_text("[arbench]\ngood = good\n")
    code = (
        "import sys; sys.path.append('again')\n"
        "from arbench.registry.entries import ModelEntry\n"
        "from arbench.registry.manager import registry\n"
        "print(registry().find(ModelEntry, 'good-model').version, registry().clashes)"
    )
    assert python("-c", code).stdout.strip() == "1.2 {}"


def test_a_clash_names_both_and_gives_the_name_to_neither(
    install: Install, python: RunPython
) -> None:
    install("good-dist", "good", GOOD)
    install("rival-dist", "rival", GOOD.replace("good-task", "rival-task"))
    found = listed(python)
    assert "good-model" not in found.models
    assert {"good-task", "rival-task"} <= set(found.tasks)
    assert found.statuses["good"] == found.statuses["rival"] == "loaded"
    asked = python("-m", "arbench", "show", "good-model")
    assert asked.returncode == 5
    assert "good-dist 1.2" in asked.stderr
    assert "rival-dist 1.2" in asked.stderr
    assert "good-dist 1.2" in python("-m", "arbench", "list").stdout
    assert python("-m", "arbench", "list", ARBENCH_STRICT_PLUGINS="1").returncode == 5
    chosen = python("-m", "arbench", "list", "models", "--json", ARBENCH_PLUGINS="Rival_Dist")
    (row,) = json.loads(chosen.stdout)["models"]
    assert row["plugin"] == "rival-dist"


def test_a_selection_loads_nothing_else(install: Install, python: RunPython) -> None:
    install("good-dist", "good", GOOD)
    install("bad-dist", "bad", "raise RuntimeError('imported all the same')")
    found = listed(python, ARBENCH_PLUGINS="good-dist")
    assert (found.models, found.tasks) == (["good-model"], ["good-task"])
    assert [name for name, status in found.statuses.items() if status == "loaded"] == ["good"]
    assert found.statuses["bad"] == "skipped"
    assert found.errors == ""


def test_an_unknown_selection_is_a_usage_error(install: Install, python: RunPython) -> None:
    install("good-dist", "good", GOOD)
    done = python("-m", "arbench", "list", ARBENCH_PLUGINS="goood-dist")
    assert done.returncode == 2
    assert "did you mean good-dist" in done.stderr


LOADING = """
from arbench.errors import PluginError
from arbench.registry.entries import ModelEntry
from arbench.registry.manager import registry
try:
    print(registry().find(ModelEntry, "GOOD-Model").load())
except PluginError as error:
    print(f"PluginError: {error}")
"""


@pytest.mark.parametrize(
    ("network", "words"),
    [
        ("raise SystemExit(4)", "SystemExit: 4"),
        ("import no_such_module_anywhere", "no_such_module_anywhere"),
        ("x = 1", "Net"),
        ("Net = 1", "a int, not a class"),
    ],
)
def test_a_class_that_cannot_be_loaded_names_its_distribution(
    network: str, words: str, install: Install, python: RunPython, tmp_path: Path
) -> None:
    install("good-dist", "good", GOOD.replace("good.network", "good_network"))
    (tmp_path / "good_network.py").write_text(network)
    done = python("-c", LOADING, ARBENCH_PLUGINS="good-dist")
    assert done.stdout.startswith("PluginError: good-model: good_network:Net of good-dist 1.2 ")
    assert words in done.stdout


def test_loading_is_lazy_and_keeps_standard_output_clean(
    install: Install, python: RunPython, tmp_path: Path
) -> None:
    install("good-dist", "good", GOOD.replace("good.network", "good_network"))
    (tmp_path / "good_network.py").write_text("print('loud')\nclass Net: pass")
    code = (
        "import sys\nfrom arbench.registry.entries import ModelEntry\n"
        "from arbench.registry.manager import registry\n"
        "offer = registry().find(ModelEntry, 'good-model')\n"
        "assert 'good_network' not in sys.modules\n"
        "print(offer.load().__name__)"
    )
    done = python("-c", code, ARBENCH_PLUGINS="good-dist")
    assert (done.stdout, done.stderr) == ("Net\n", "loud\n")
