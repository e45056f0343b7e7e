"""What 0.1 called its modules still imports, and says once to every file what to write instead."""

from __future__ import annotations

import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import arbench

# By its old module, what an author of a plugin took from it in 0.1: in the templates, the pages,
# the reference, and the plugins and tasks that came with arbench.
TAKEN = {
    "arbench.experiment.archives": "read_members read_zip_member",
    "arbench.experiment.arrays": "read_npz",
    "arbench.experiment.data": "SourceFile cache_dir check data_dir fetch writing",
    "arbench.experiment.files": "atomic_path",
    "arbench.experiment.folders": "RunFolder",
    "arbench.experiment.mu_law": "MU NUM_LEVELS SILENCE decode encode",
    "arbench.experiment.recordings": "Recording read_recording windows",
    "arbench.experiment.records": "Record",
    "arbench.experiment.rendering": (
        "AudioRendering ImageRendering Rendering TableRendering TextRendering"
    ),
    "arbench.experiment.streams": "StreamTask",
    "arbench.experiment.tasks": "SPLITS Split SplitName Task open_task",
    "arbench.probability.metrics": "NLL PairedDifference paired_difference",
    "arbench.publish.zoo": "find_run",
}
# What has another name now.
RENAMED = {
    "check": arbench.check_source,
    "writing": arbench.writing_cache,
    "windows": arbench.recording_windows,
    **{name: getattr(arbench.mu_law, name) for name in TAKEN["arbench.experiment.mu_law"].split()},
}
# Modules that stayed where they were, behind the door, and what an author took from them.
STAYED = {
    "arbench.errors": "ArbenchError ConfigError DataError NetworkError",
    "arbench.probability.events": "Discrete Domain EventSpec Real",
    "arbench.probability.foreign": "ForeignDensity",
    "arbench.probability.heads": "Head",
    "arbench.probability.layouts": "Layout",
    "arbench.probability.precision": "widen",
    "arbench.probability.randomness": "random_order uniforms",
    "arbench.registry.entries": "CommandEntry HeadEntry ModelEntry TaskEntry",
    "arbench.registry.hookspecs": "hookimpl",
}


def imported(file: Path, code: str) -> tuple[dict[str, object], list[str]]:
    """The names in a file of this code after it ran, and what it was told meanwhile."""
    names: dict[str, object] = {}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        exec(compile(code, str(file), "exec"), names)
    assert {warning.filename for warning in caught} <= {str(file)}
    assert {warning.category for warning in caught} <= {DeprecationWarning}
    return names, [str(warning.message) for warning in caught]


@pytest.mark.parametrize("module", TAKEN)
def test_its_names_are_those_of_the_door(module: str, tmp_path: Path) -> None:
    wanted = TAKEN[module].split()
    names, _ = imported(tmp_path / "a.py", f"from {module} import {', '.join(wanted)}")
    for name in wanted:
        new = RENAMED[name] if name in RENAMED else getattr(arbench, name)
        assert names[name] is new


@pytest.mark.parametrize("module", TAKEN)
def test_every_file_is_told_once(module: str, tmp_path: Path) -> None:
    code = f"import {module}\n" + f"from {module} import {', '.join(TAKEN[module].split())}\n" * 2
    for file in ("a.py", "b.py"):
        _, told = imported(tmp_path / file, code)
        assert len(told) == 1
        assert told[0].startswith(f"{module} has moved: write ")
        assert told[0].endswith("; this module goes in 0.3")


@pytest.mark.parametrize("module", TAKEN)
def test_what_it_says_to_write_brings_the_same_names(module: str, tmp_path: Path) -> None:
    (told,) = imported(tmp_path / "a.py", f"from {module} import {TAKEN[module].split()[0]}")[1]
    (code,) = re.findall("`(from arbench import .*)`", told)
    names, more = imported(tmp_path / "b.py", code)
    assert more == []
    wanted = TAKEN[module].split()
    space = vars(names["mu_law"]) if "mu_law" in names else names
    old, _ = imported(tmp_path / "c.py", f"from {module} import {', '.join(wanted)}")
    assert all(space[name] is old[name] for name in wanted)


def test_a_name_that_it_never_had_is_missed_as_anywhere() -> None:
    with pytest.raises(ImportError, match=r"cannot import name 'Tsak' from 'arbench\.experiment"):
        exec("from arbench.experiment.tasks import Tsak")


def test_a_warning_made_an_error_comes_again(tmp_path: Path) -> None:
    code = compile("from arbench.experiment.tasks import Task", str(tmp_path / "a.py"), "exec")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):
            with pytest.raises(DeprecationWarning, match="from arbench import"):
                exec(code)


def test_an_old_module_alone_imports_nothing_of_arbench_and_nothing_heavy() -> None:
    code = (
        f"import sys\nfor name in {[*TAKEN]}: __import__(name)\n"
        "print('torch' in sys.modules, [name for name in sys.modules if 'arbench.data' in name])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "False []", done.stderr


@pytest.mark.parametrize("module", STAYED)
def test_what_stayed_where_it_was_is_at_the_door_too(module: str, tmp_path: Path) -> None:
    names, told = imported(
        tmp_path / "a.py", f"from {module} import {', '.join(STAYED[module].split())}"
    )
    assert told == []
    assert all(names[name] is getattr(arbench, name) for name in STAYED[module].split())
