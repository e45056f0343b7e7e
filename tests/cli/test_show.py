"""`arbench show`: a model, a task, the folder of a run."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest

from arbench.cli import main
from arbench.cli import show as show_verb
from arbench.registry.entries import MeasurementEntry, ModelEntry, TaskEntry
from arbench.registry.manager import Registered, Registry

NETWORK = '''
class Base:
    """What both have.

    Args:
        width: not of Net.
        x: said by the base.
    """

class Net(Base):
    """A probe.

    Args:
        layout: any.
        hidden: units of the layer; there are
            many: 500, say.

    Raises:
        ValueError: never.
    """

    def __init__(self, layout, num_params, *, hidden: int = 500, x, y=None): ...
'''
MEASUREMENT = '''
class Detection:
    """How often what is strange is unlikely.

    Args:
        against: what is strange.
    """

    unit = "AUROC"
    better = "higher"
    reads = ("test", "labels:test")

    def __init__(self, *, against: str = "all"): ...
'''
RECIPE = "[network]\nhidden = 5\n[training]\nbetas = [0.9, 0.99]\n"
RECORD = {
    "schema_version": 1,
    "task": {
        "name": "mnist-mini",
        "version": "1",
        "data_sha256": "ab" * 32,
        "num_dims": 784,
        "unit": "pixel",
    },
    "model": {
        "name": "probe",
        "plugin": "dist",
        "plugin_version": "1.0",
        "hyperparameters": {"hidden": 5},
        "head": "bernoulli",
        "layout": "raster by dim",
        "num_members": 4,
        "num_parameters": 12345,
    },
    "training": {
        "recipe": "probe/tiny",
        "seed": 3,
        "steps": 1000,
        "epochs": 2.5,
        "seconds": 45.17,
        "limit": None,
        "best_step": 900,
        "device": "cpu",
        "precision": "float32",
        "status": "finished",
    },
    "nll": {
        "test": {
            "num_events": 100,
            "num_dims": 78400,
            "nats_per_event": 78.4,
            "bits_per_dim": 0.14427,
            "standard_error_nats": 0.784,
            "standard_error_bits_per_dim": 0.00144,
            "kind": "exact",
        }
    },
    "truth": None,
    "sampling": [
        {
            "method": "step",
            "batch_size": 64,
            "device": "cpu",
            "repeats": 5,
            "median_s": 0.0123,
            "iqr_s": 0.0004,
            "events_per_s": 12345.678,
            "extrapolated": False,
        }
    ],
    "environment": {
        "arbench": "0.1",
        "torch": "2",
        "platform": "Linux",
        "cpu": "a processor",
        "threads": 2,
        "gpu": None,
    },
    "checkpoint": None,
}


@pytest.fixture(autouse=True)
def _offers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "show_probe"
    (package / "recipes").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "network.py").write_text(NETWORK)
    (package / "detection.py").write_text(MEASUREMENT)
    (package / "README.md").write_text("# Where it comes from\n")
    (package / "recipes" / "default.toml").touch()
    (package / "recipes" / "tiny.toml").write_text(RECIPE)
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
    detection = MeasurementEntry(
        name="detection", measurement="show_probe.detection:Detection", summary="what is strange"
    )
    registry = Registry([Registered(entry, *origin) for entry in (model, task, detection)])
    monkeypatch.setattr(show_verb, "registry", lambda: registry)


def test_a_model_shows_its_settings_recipes_and_origin(capsys) -> None:
    assert main(["show", "Probe"]) == 0
    text = capsys.readouterr().out
    for words in ("a probe", "Someone 2011", "plug, of dist 1.0", "recipes  default, tiny"):
        assert words in text
    assert "hidden  (int, default 500)\n      units of the layer; there are many: 500, say." in text
    assert "x  (any type, required)\n      said by the base." in text
    assert "y  (any type, default None)\n      (not explained)" in text
    assert "ValueError" not in text


def test_a_measurement_shows_its_unit_direction_and_settings(capsys) -> None:
    assert main(["show", "Detection"]) == 0
    text = capsys.readouterr().out
    for words in ("what is strange", "AUROC", "higher", "test, labels:test", "log_prob"):
        assert words in text
    assert "settings (detection?KEY=VALUE&KEY=VALUE)" in text
    assert "against  (str, default 'all')\n      what is strange." in text


def test_a_recipe_shows_its_values_and_those_of_the_settings(capsys) -> None:
    assert main(["show", "probe", "--recipe", "tiny"]) == 0
    text = capsys.readouterr().out
    assert "hidden  (int, default 500, in this recipe 5)" in text
    assert "recipe probe/tiny" in text
    assert "training.betas  [0.9, 0.99]" in text


def test_a_task_without_a_recipe_of_its_own_has_the_default(capsys) -> None:
    assert main(["show", "probe", "--recipe", "images"]) == 0
    assert "recipe probe/default" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["probe", "--recipe", "tinny"], "did you mean tiny"),
        (["probe", "--recipe", "../recipes/tiny"], "no recipe"),
        (["images", "--recipe", "tiny"], "only a model has recipes"),
    ],
)
def test_a_recipe_that_is_not_there_is_refused(arguments: list[str], words: str, capsys) -> None:
    assert main(["show", *arguments]) == 2
    assert words in capsys.readouterr().err


def test_a_task_shows_its_readme(capsys) -> None:
    assert main(["show", "images:somewhere"]) == 0
    text = capsys.readouterr().out
    assert "images:PATH" in text
    assert text.endswith("# Where it comes from\n")


def test_json_holds_the_same(capsys) -> None:
    assert main(["show", "probe", "--json"]) == 0
    settings = json.loads(capsys.readouterr().out)["model"]["settings"]
    meaning = "units of the layer; there are many: 500, say."
    assert settings[:2] == [
        {"key": "hidden", "type": "int", "default": "500", "meaning": meaning},
        {"key": "x", "type": "", "default": None, "meaning": "said by the base."},
    ]


def _write(folder: Path, record: object) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "record.json").write_text(json.dumps(record))


def test_a_run_folder_shows_what_was_measured(tmp_path: Path, capsys) -> None:
    _write(tmp_path / "run", RECORD)
    (tmp_path / "run" / "samples.png").touch()
    assert main(["show", "run"]) == 0
    text = capsys.readouterr().out
    assert (
        "probe: 12,345 parameters, head bernoulli, raster by dim, 4 members, from dist 1.0" in text
    )
    assert "2.5 epochs, 1,000 steps (best on validation at 900), 45.2 s on cpu" in text
    assert "NATS/EVENT      BITS/PIXEL" in text
    assert "78.400 ± 0.784  0.1443 ± 0.0014  100" in text
    assert "rests on 100 events only" in text
    assert "12,345.7  12.3 ms      400 µs" in text
    assert "run/samples.png  samples" in text
    for name in ("nats_per_event", "hyperparameters", "median_s", "num_"):
        assert name not in text


def test_a_run_folder_as_json_is_its_record(tmp_path: Path, capsys) -> None:
    _write(tmp_path / "run", RECORD)
    assert main(["show", "run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"run": RECORD}


def test_a_stranger_s_record_does_not_control_the_terminal(tmp_path: Path, capsys) -> None:
    evil = "\x1b]0;owned\x07\x1b[2J\x9b31m"
    machine = {**RECORD["environment"], "cpu": evil, "platform": evil}
    training = {**RECORD["training"], "recipe": evil, "device": evil}
    model = {**RECORD["model"], "hyperparameters": {evil: evil}, "head": evil}
    parts = {"environment": machine, "training": training, "model": model}
    _write(tmp_path / "run", {**RECORD, **parts})
    assert main(["show", "run"]) == 3
    text = capsys.readouterr().err
    assert "holds the control character" in text
    assert [c for c in text if unicodedata.category(c) == "Cc" and c != "\n"] == []
    _write(tmp_path / "run", RECORD)
    (tmp_path / "run" / "samples.\x1b[2J").touch()
    assert main(["show", "run"]) == 0
    text = capsys.readouterr().out
    assert "samples.\ufffd[2J" in text
    assert [c for c in text if unicodedata.category(c) == "Cc" and c != "\n"] == []


def test_a_message_does_not_control_the_terminal(tmp_path: Path, capsys) -> None:
    (tmp_path / "run\x1b[2J").mkdir()
    assert main(["show", "run\x1b[2J"]) == 3
    assert "run\ufffd[2J has no record.json" in capsys.readouterr().err


def test_an_interrupted_run_says_how_to_continue(tmp_path: Path, capsys) -> None:
    training = {**RECORD["training"], "status": "interrupted"}
    _write(tmp_path / "run", {**RECORD, "training": training, "nll": {}, "sampling": []})
    assert main(["show", "run"]) == 0
    text = capsys.readouterr().out
    assert "continue with  `arbench resume run`" in text
    assert "likelihood" not in text


def test_a_run_that_was_killed_is_unfinished(tmp_path: Path, capsys) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").touch()
    assert main(["show", "run"]) == 3
    assert "`arbench resume run`" in capsys.readouterr().err


def test_json_that_is_no_record_is_bad_data(tmp_path: Path, capsys) -> None:
    _write(tmp_path / "run", {**RECORD, "model": {"name": "probe"}})
    assert main(["show", "run"]) == 3
    assert "no record of a run (KeyError" in capsys.readouterr().err


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
