"""`arbench show`: a model, a task, the folder of a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from arbench.cli import main
from arbench.cli import show as show_verb
from arbench.registry.entries import ModelEntry, TaskEntry
from arbench.registry.manager import Registered, Registry

NETWORK = "class Net:\n    def __init__(self, layout, num_params, *, hidden: int = 500, x): ...\n"


@pytest.fixture(autouse=True)
def _offers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "show_probe"
    (package / "recipes").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "network.py").write_text(NETWORK)
    (package / "README.md").write_text("# Where it comes from\n")
    (package / "recipes" / "default.toml").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    model = ModelEntry(
        name="probe",
        network="show_probe.network:Net",
        summary="a probe",
        paper="Someone 2011",
        recipes="show_probe",
    )
    task = TaskEntry(name="images", task="show_probe.network:Net", argument="PATH")
    origin = ("plug", "dist", "1.0")
    registry = Registry(
        models=[Registered(model, *origin)], tasks=[Registered(task, *origin)]
    )
    monkeypatch.setattr(show_verb, "registry", lambda: registry)


def test_a_model_shows_its_configuration_recipes_and_origin(capsys) -> None:
    assert main(["show", "Probe"]) == 0
    text = capsys.readouterr().out
    for words in ("a probe", "Someone 2011", "plug, of dist 1.0", "recipes  default"):
        assert words in text
    assert "hidden  int           500" in text
    assert "x       (not stated)  (required)" in text


def test_a_task_shows_its_readme(capsys) -> None:
    assert main(["show", "images:somewhere"]) == 0
    text = capsys.readouterr().out
    assert "images:PATH" in text
    assert text.endswith("# Where it comes from\n")


def test_json_holds_the_same(capsys) -> None:
    assert main(["show", "probe", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["model"]["configuration"] == [
        {"key": "hidden", "type": "int", "default": "500"},
        {"key": "x", "type": "(not stated)", "default": "(required)"},
    ]


def test_a_run_folder_shows_its_record(tmp_path: Path, capsys) -> None:
    record = {
        "schema_version": 1,
        "task": {"name": "mnist-mini", "pinned": True},
        "nll": {"validation": {"nats_per_event": 1.25}, "test": {"nats_per_event": 1.5}},
        "sampling": [{"method": "step", "events_per_s": 12345.678}],
        "checkpoint": None,
    }
    run = tmp_path / "run"
    run.mkdir()
    (run / "record.json").write_text(json.dumps(record))
    assert main(["show", "run"]) == 0
    text = capsys.readouterr().out
    assert "name    mnist-mini" in text
    assert "validation  1.25" in text
    assert "test        1.5" in text
    assert "step    12345.7" in text
    assert "checkpoint      none" in text


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "not a run, or not a finished one"), ("{", "not readable"), ("[]", "found a list")],
)
def test_a_folder_without_a_readable_record_is_bad_data(
    content: str | None, words: str, tmp_path: Path, capsys
) -> None:
    (tmp_path / "run").mkdir()
    if content is not None:
        (tmp_path / "run" / "record.json").write_text(content)
    assert main(["show", "run"]) == 3
    assert words in capsys.readouterr().err


def test_a_near_miss_is_answered(capsys) -> None:
    assert main(["show", "prob"]) == 2
    assert "did you mean probe" in capsys.readouterr().err
